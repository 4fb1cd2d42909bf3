package bus_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/clustertest"
)

// inboxes are the prefixes of the inboxes of those who are no hosts.
var inboxes = map[string]string{"navidrome": "_INBOX_navidrome", "operator": "_INBOX"}

// A server does not check whether who asks may publish on the reply subject: the
// host, who may, must not do it for others.
func TestNobodyWritesThroughTheReplySubject(t *testing.T) {
	as := testenv.DeployedNATS(t)
	b := testenv.Bus(t, as("host"))
	artwork, generations := clustertest.KeepSecret(t, b, subjects.ArtworkKey).Bytes(), clustertest.KeepSecret(t, b, subjects.GenerationKey).Bytes()
	serve(t, b, "p", echo())
	answer := bus.ControlHandler{Answer: func(string) any { return "answer" }}
	control, err := b.StartControl(map[string]bus.ControlHandler{subjects.ControlStatus: answer, subjects.ControlInfos: answer})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = control.Stop() }()
	discovery, err := b.StartDiscovery()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = discovery.Stop() }()
	for user, asked := range map[string][]string{
		"navidrome": {subjects.Call("p", "get"), subjects.ControlInfo("p")},
		"operator":  {subjects.Call("p", "get"), subjects.ControlStatus, "$SRV.PING"},
	} {
		conn, err := nats.Connect(as(user), nats.CustomInboxPrefix(inboxes[user]))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for _, reply := range []string{"$KV." + subjects.StateBucket + "." + subjects.ArtworkKey, "$KV." + subjects.StateBucket + "." + subjects.GenerationKey, "$JS.API.STREAM.DELETE.KV_" + subjects.StateBucket} {
			for _, subject := range asked {
				if err := conn.PublishRequest(subject, reply, []byte(`{"v":1}`)); err != nil {
					t.Fatal(err)
				}
			}
		}
		// Answered after those before them.
		for _, subject := range asked {
			request(t, conn, subject, "x")
		}
	}
	fresh := testenv.Bus(t, as("host"))
	if !bytes.Equal(clustertest.KeepSecret(t, fresh, subjects.ArtworkKey).Bytes(), artwork) || !bytes.Equal(clustertest.KeepSecret(t, fresh, subjects.GenerationKey).Bytes(), generations) {
		t.Error("a key has changed")
	}
}

func TestNobodyReadsTheAnswersToAHost(t *testing.T) {
	as := testenv.DeployedNATS(t)
	clustertest.KeepSecret(t, testenv.Bus(t, as("host")), subjects.ArtworkKey)
	for user := range inboxes {
		refused := make(chan struct{}, 10)
		conn, err := nats.Connect(as(user), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) { refused <- struct{}{} }))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.SubscribeSync(subjects.InboxPrefix + ".>"); err != nil {
			t.Fatal(err)
		}
		select {
		case <-refused:
		case <-time.After(wait):
			t.Errorf("%s may subscribe to what hosts are answered", user)
		}
	}
}
