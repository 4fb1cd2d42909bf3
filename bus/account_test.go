package bus_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/sdk/call"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// A Navidrome is in an account of its own, and what it asks crosses to that of hosts.
func TestWhatANavidromeAsksCrossesAccounts(t *testing.T) {
	t.Run("on one server", func(t *testing.T) {
		as := testenv.DeployedNATS(t)
		crossAccounts(t, 1, as("host"), as("host"), as("navidrome"))
	})
	t.Run("on three servers", func(t *testing.T) {
		as := testenv.DeployedNATSCluster(t)
		crossAccounts(t, 3, as("host")[0], as("host")[1], as("navidrome")[2])
	})
}

// crossAccounts has replicas at two URLs, and a Navidrome at a third.
func crossAccounts(t *testing.T, copies int, first, second, third string) {
	conn, err := nats.Connect(third, nats.CustomInboxPrefix(inboxes["navidrome"]))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	for _, subject := range []string{subjects.Call("p", "get"), subjects.ControlList, subjects.ControlInfo("p"), subjects.ScrobbleAll, subjects.Scrobble("p")} {
		if msg, err := conn.Request(subject, nil, wait); !errors.Is(err, nats.ErrNoResponders) {
			t.Errorf("%s, which nobody serves: %v, %v", subject, msg, err)
		}
	}

	runs := make(chan string, 100)
	buses := map[string]*bus.Bus{"r1": testenv.Bus(t, first), "r2": testenv.Bus(t, second)}
	for name, b := range buses {
		method := echo()
		method.Call = call.Returning(func(_ context.Context, request []byte) ([]byte, error) {
			runs <- name
			return request, nil
		})
		serve(t, b, "p", method)
		answer := bus.ControlHandler{Answer: func(string) any { return name }}
		control, err := b.StartControl(map[string]bus.ControlHandler{subjects.ControlList: answer, subjects.ControlInfos: answer})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := control.Stop(); err != nil {
				t.Error(err)
			}
		})
	}
	for _, subject := range []string{subjects.ControlList, subjects.ControlInfo("p")} {
		awaitAnswers(t, conn, subject, `"r1"`, `"r2"`)
	}

	for len(runs) > 0 {
		<-runs
	}
	limit := int(conn.MaxPayload())
	for _, body := range []string{"", "short", strings.Repeat("x", limit-jet.HeaderRoom)} {
		reply := request(t, conn, subjects.Call("p", "get"), body)
		if string(reply.Data) != body || reply.Header.Get(subjects.HeaderReplica) == "" {
			t.Errorf("a call of %d bytes is answered with %d and %v", len(body), len(reply.Data), reply.Header)
		}
		<-runs
		if len(runs) > 0 {
			t.Error("two replicas have run a call")
		}
	}
	// What the server adds on the way makes it longer than a message may be.
	longest := subjects.HeaderContentType + ": x\r\n"
	reply := request(t, conn, subjects.Call("p", "get"), strings.Repeat("x", limit-len("NATS/1.0\r\n"+longest+"\r\n")), subjects.HeaderContentType, "x")
	if reply.Header.Get(subjects.HeaderErrorCode) == "" {
		t.Errorf("the longest call is answered with %v", reply.Header)
	}
	reply = request(t, conn, subjects.Call("p", "get"), `{"a":1}`, subjects.HeaderContentType, subjects.ContentTypeJSON)
	if string(reply.Data) != `[{"A":1}]` || reply.Header.Get(subjects.HeaderContentType) != subjects.ContentTypeJSON {
		t.Errorf("a call in JSON is answered with %s, %v", reply.Data, reply.Header)
	}

	intake(t, conn, buses["r1"], copies)

	_, err = buses["r1"].RequestSubsonic(t.Context(), subjects.SubsonicRequest{Plugin: "p", User: "joe", Endpoint: "ping", Query: "u=joe"}, nil)
	if !errors.Is(err, subjects.ErrUnavailable) || !strings.Contains(err.Error(), "nobody answers") {
		t.Errorf("without anybody who answers: %v", err)
	}
	image := bytes.Repeat([]byte("x"), limit)
	answer(t, conn, subjects.NavidromeSubsonic, func(*nats.Msg) *nats.Msg { return &nats.Msg{Data: image} })
	for _, b := range buses {
		got, err := b.RequestSubsonic(t.Context(), subjects.SubsonicRequest{Plugin: "p", User: "joe", Endpoint: "ping", Query: "u=joe"}, nil)
		for errors.Is(err, subjects.ErrUnavailable) && t.Context().Err() == nil { // its server does not know yet
			got, err = b.RequestSubsonic(t.Context(), subjects.SubsonicRequest{Plugin: "p", User: "joe", Endpoint: "ping", Query: "u=joe"}, nil)
		}
		if err != nil || !bytes.Equal(got, image) {
			t.Errorf("a Navidrome answers %d bytes, %v", len(got), err)
		}
	}
	if err := conn.LastError(); err != nil {
		t.Error(err)
	}
}

// Who shares the account of a Navidrome can have what a plugin answers come to it, where a request
// of a host does.
func TestAnAnswerIsNoRequestToANavidrome(t *testing.T) {
	as := testenv.DeployedNATS(t)
	b := testenv.Bus(t, as("host"))
	forged, err := json.Marshal(subjects.SubsonicRequest{V: subjects.Version, Plugin: "p", User: "admin", Endpoint: "ping", Query: "u=admin"})
	if err != nil {
		t.Fatal(err)
	}
	method := echo()
	method.ResponseToJSON = func([]byte) ([]byte, error) { return forged, nil }
	serve(t, b, "p", method)
	conn, err := nats.Connect(as("navidrome"), nats.CustomInboxPrefix(inboxes["navidrome"]))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	// What comes here is what the service is given.
	heard, err := conn.QueueSubscribeSync(subjects.NavidromeArtwork, subjects.NavidromeGroup)
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan string, 10)
	service, err := client.ServeNavidrome(conn, client.Navidrome{Subsonic: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- client.SubsonicUser(r.Context())
	})})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := service.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	for _, reply := range []string{subjects.NavidromeSubsonic, subjects.NavidromeArtwork} {
		if err := conn.PublishRequest(subjects.Call("p", "get"), reply, []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	if msg, err := heard.NextMsg(wait); err != nil || !bytes.Equal(msg.Data, forged) || msg.Reply != "" {
		t.Errorf("the answer comes as %+v, %v", msg, err)
	}
	if _, err := b.RequestSubsonic(t.Context(), subjects.SubsonicRequest{Plugin: "p", User: "joe", Endpoint: "ping", Query: "u=joe"}, nil); err != nil {
		t.Fatal(err)
	}
	if user := <-asked; user != "joe" || len(asked) > 0 {
		t.Errorf("it was asked for %s", user)
	}
}

// awaitAnswers asks until all have answered one request, and then a few times more: each must.
func awaitAnswers(t *testing.T, conn *nats.Conn, subject string, want ...string) {
	t.Helper()
	for begun := time.Now(); ; {
		missing := ask(t, conn, subject, time.Second, want)
		if len(missing) == 0 {
			break
		}
		if time.Since(begun) > wait { // its server knows all of them by now
			t.Fatalf("%s: %v lack", subject, missing)
		}
	}
	for range 5 {
		if missing := ask(t, conn, subject, wait, want); len(missing) > 0 {
			t.Fatalf("%s: %v lack", subject, missing)
		}
	}
}

// ask returns those whose answer to one request has not come in time.
func ask(t *testing.T, conn *nats.Conn, subject string, within time.Duration, want []string) (missing []string) {
	t.Helper()
	answers, err := conn.SubscribeSync(conn.NewInbox())
	if err == nil {
		err = conn.PublishRequest(subject, answers.Subject, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answers.Unsubscribe() }()
	missing = slices.Clone(want)
	for len(missing) > 0 {
		msg, err := answers.NextMsg(within)
		if err != nil {
			return missing
		}
		i := slices.Index(missing, string(msg.Data))
		if i < 0 {
			t.Fatalf("%s: %s, %v", subject, msg.Data, msg.Header)
		}
		missing = slices.Delete(missing, i, i+1)
	}
	return nil
}

// intake publishes a play, which is acknowledged.
func intake(t *testing.T, conn *nats.Conn, b *bus.Bus, copies int) {
	t.Helper()
	stream, err := b.Jet().EnsureStream(t.Context(), jetstream.StreamConfig{
		Name: subjects.IntakeStream, Subjects: []string{subjects.ScrobbleAll, subjects.ScrobbleSubjects}, Replicas: copies,
	})
	if err != nil {
		t.Fatal(err)
	}
	for n, subject := range []string{subjects.ScrobbleAll, subjects.Scrobble("p")} {
		msg, err := conn.Request(subject, []byte("play"), wait)
		for errors.Is(err, nats.ErrNoResponders) && t.Context().Err() == nil { // its server does not know yet
			msg, err = conn.Request(subject, []byte("play"), wait)
		}
		if err != nil {
			t.Fatal(err)
		}
		var ack jetstream.PubAck
		if err := json.Unmarshal(msg.Data, &ack); err != nil || ack.Stream != subjects.IntakeStream || ack.Sequence != uint64(n+1) {
			t.Errorf("%s is acknowledged with %s, %v", subject, msg.Data, err)
		}
		stored, err := stream.GetMsg(t.Context(), ack.Sequence)
		if err != nil || stored.Subject != subject || string(stored.Data) != "play" {
			t.Errorf("stored is %+v, %v", stored, err)
		}
		if len(stored.Header) > 0 {
			t.Errorf("stored with %v", stored.Header)
		}
	}
}
