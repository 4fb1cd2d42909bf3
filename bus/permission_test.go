package bus_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

// documented starts a server with the users of docs/operations.md, and returns
// the URL of each.
func documented(t *testing.T) (host, caller, navidrome string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(guests.Root(), "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	users := regexp.MustCompile(`(?s)\nauthorization \{.*?\n\}\n`).Find(text)
	file := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(file, users, 0o600); err != nil {
		t.Fatal(err)
	}
	parsed, err := server.ProcessConfigFile(file)
	if err != nil || len(parsed.Users) != 4 {
		t.Fatalf("the users of the document: %d, %v", len(parsed.Users), err)
	}
	url := testenv.NATS(t, func(o *server.Options) { o.Users = parsed.Users })
	as := func(user string) string { return "nats://" + user + ":" + user + "-secret@" + url[len("nats://"):] }
	return as("host"), as("caller"), as("navidrome")
}

// A server does not check whether who asks may publish on the reply subject: the
// host, who may, must not do it for others.
func TestNobodyWritesThroughTheReplySubject(t *testing.T) {
	hostURL, callerURL, _ := documented(t)
	b := open(t, hostURL)
	secret, err := b.Secret(t.Context(), subjects.ArtworkKey)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, b, "p", echo())
	control, err := b.StartControl(map[string]bus.ControlHandler{subjects.ControlStatus: func(string) any { return "answer" }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = control.Stop() }()
	discovery, err := b.StartDiscovery()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = discovery.Stop() }()
	conn := testenv.Connect(t, callerURL)
	for _, reply := range []string{"$KV." + subjects.StateBucket + "." + subjects.ArtworkKey, "$JS.API.STREAM.DELETE.KV_" + subjects.StateBucket} {
		for _, subject := range []string{subjects.Call("p", "get"), subjects.ControlStatus, "$SRV.PING"} {
			if err := conn.PublishRequest(subject, reply, []byte(`{"v":1}`)); err != nil {
				t.Fatal(err)
			}
		}
	}
	// Answered after those before it.
	if reply := request(t, conn, subjects.Call("p", "get"), "x"); string(reply.Data) != "x" {
		t.Errorf("got %q", reply.Data)
	}
	if again, err := b.Secret(t.Context(), subjects.ArtworkKey); err != nil || string(again) != string(secret) {
		t.Errorf("the key has changed: %v", err)
	}
}

func TestNobodyReadsTheAnswersToAHost(t *testing.T) {
	hostURL, callerURL, navidromeURL := documented(t)
	if _, err := open(t, hostURL).Secret(t.Context(), subjects.ArtworkKey); err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{callerURL, navidromeURL} {
		refused := make(chan struct{}, 10)
		conn, err := nats.Connect(url, nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) { refused <- struct{}{} }))
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
			t.Error("it may subscribe to what hosts are answered")
		}
	}
}
