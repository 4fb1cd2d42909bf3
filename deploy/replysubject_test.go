package deploy_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

const navidromeInbox = "_INBOX_navidrome"

// openIntake makes the stream of what is published, as the user host.
func openIntake(t *testing.T, host *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(host)
	if err != nil {
		t.Fatal(err)
	}
	// No roll-ups, no TTLs, no schedules, no batches: a publisher could name them in a header.
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: subjects.IntakeStream, Subjects: []string{subjects.ScrobbleAll, subjects.ScrobbleSubjects},
	}); err != nil {
		t.Fatal(err)
	}
	return js
}

// JetStream acknowledges what was published on whatever subject the publisher has named for
// replies, and asks nobody whether he may publish there.
func TestNobodyWritesThroughAnAcknowledgement(t *testing.T) {
	as := testenv.DeployedNATS(t)
	host := connectAs(t, as("host"), nats.CustomInboxPrefix(subjects.InboxPrefix))
	js := openIntake(t, host)
	handle, err := jet.New(jet.Config{Conn: host, Patience: wait, Lease: wait})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(handle.Close)
	buckets := []jet.Bucket{jet.StateBucket, jet.CacheBucket, jet.ScheduleBucket, jet.AccessTokenBucket}
	const key, consumer = "leader", "c"
	for _, bucket := range buckets {
		kv, err := handle.EnsureBucket(t.Context(), bucket)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := kv.PutString(t.Context(), key, "ours"); err != nil {
			t.Fatal(err)
		}
		if _, err := js.CreateConsumer(t.Context(), bucket.Stream(), jetstream.ConsumerConfig{Durable: consumer}); err != nil {
			t.Fatal(err)
		}
	}
	// What a host hears. Each is in its subscription before the answer to who publishes later.
	var heard []*nats.Subscription
	for _, subject := range []string{"plugins.>", "pluginhost.ctl.>", "pluginhost.socket.*.*", "$SRV.>", subjects.InboxPrefix + ".>"} {
		queue := ""
		if subject == "plugins.>" {
			queue = subjects.QueueGroup
		}
		subscription, err := host.QueueSubscribeSync(subject, queue)
		if err != nil || refused(t, host) {
			t.Fatal(err, host.LastError())
		}
		heard = append(heard, subscription)
	}

	navidrome := connectAs(t, as("navidrome"), nats.CustomInboxPrefix(navidromeInbox))
	attacks := []string{"plugins.x.callback.on_close", "plugins.x.scrobble", "pluginhost.ctl.drain", "pluginhost.socket.x.y", "$SRV.PING", subjects.InboxPrefix + ".x"}
	for _, bucket := range buckets {
		stream := bucket.Stream()
		attacks = append(attacks, bucket.Subject(key),
			"$JS.API.STREAM.PURGE."+stream, "$JS.API.STREAM.UPDATE."+stream, "$JS.API.STREAM.DELETE."+stream, "$JS.API.STREAM.MSG.DELETE."+stream,
			"$JS.API.CONSUMER.CREATE."+stream, "$JS.API.CONSUMER.DELETE."+stream+"."+consumer)
	}
	for _, reply := range attacks {
		for _, subject := range []string{subjects.ScrobbleAll, subjects.Scrobble("p")} {
			if err := navidrome.PublishRequest(subject, reply, []byte("a play")); err != nil {
				t.Fatal(err)
			}
		}
	}
	// Acknowledged after those before it.
	reply, err := navidrome.Request(subjects.ScrobbleAll, []byte("a play"), wait)
	if err != nil || refused(t, navidrome) {
		t.Fatal(err, navidrome.LastError())
	}
	var ack struct {
		Stream string `json:"stream"`
		Seq    int    `json:"seq"`
	}
	if err := json.Unmarshal(reply.Data, &ack); err != nil || ack.Stream != subjects.IntakeStream || ack.Seq != 2*len(attacks)+1 {
		t.Errorf("acknowledged: %s, %v", reply.Data, err)
	}

	for _, bucket := range buckets {
		stream, err := js.Stream(t.Context(), bucket.Stream())
		if err != nil {
			t.Errorf("%s: %v", bucket, err)
			continue
		}
		// Stored after what was written before it.
		if _, err := js.PublishMsg(t.Context(), bucket.Message("marker", nil)); err != nil {
			t.Fatal(err)
		}
		msg, err := stream.GetLastMsgForSubject(t.Context(), bucket.Subject(key))
		if err != nil || string(msg.Data) != "ours" {
			t.Errorf("%s has %+v, %v", bucket, msg, err)
		}
		if _, err := stream.Consumer(t.Context(), consumer); err != nil {
			t.Errorf("the consumer of %s: %v", bucket, err)
		}
	}
	if err := host.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, subscription := range heard {
		for n, _, _ := subscription.Pending(); n > 0; n-- {
			msg, err := subscription.NextMsg(wait)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(msg.Data), fmt.Sprintf("%q", subjects.IntakeStream)) && !strings.HasPrefix(string(msg.Data), `{"type"`) {
				t.Errorf("a host was told %s: %s", msg.Subject, msg.Data)
			}
		}
	}
}
