package bus_test

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/clustertest"
)

// connectionsOf are the replica's connections at a server, by what they are for.
func connectionsOf(t *testing.T, s *server.Server) map[string]*server.ConnInfo {
	t.Helper()
	report, err := s.Connz(&server.ConnzOptions{Subscriptions: true})
	if err != nil {
		t.Fatal(err)
	}
	conns := make(map[string]*server.ConnInfo)
	for _, conn := range report.Conns {
		if use, is := strings.CutPrefix(conn.Name, "pluginhost r1 "); is {
			conns[use] = conn
		}
	}
	return conns
}

func TestWhatOthersSendComesOnConnectionsOfItsOwn(t *testing.T) {
	t.Parallel()
	s := testenv.Server(t)
	b := testenv.Bus(t, s.ClientURL())
	clustertest.Stop(t, clustertest.Heartbeat(t, b, "r1"))
	serve(t, b, "p", echo())
	control, err := b.StartControl(map[string]bus.ControlHandler{subjects.ControlStatus: {Answer: func(string) any { return "answer" }}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = control.Stop() }()
	replies := make(chan string, 1)
	conn := testenv.Connect(t, s.ClientURL())
	if _, err := conn.Subscribe(subjects.NavidromeSubsonic, func(msg *nats.Msg) {
		replies <- msg.Reply
		_ = msg.Respond(nil)
	}); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.RequestSubsonic(t.Context(), subjects.SubsonicRequest{Plugin: "p", User: "u", Endpoint: "ping", Query: "u=u"}, nil); err != nil {
		t.Fatal(err)
	}
	conns := connectionsOf(t, s)
	var core string // what the inboxes of JetStream begin with
	for use, begin := range map[string][]string{
		"calls":   {"plugins.p.", subjects.InboxPrefix + "."},
		"control": {"pluginhost.ctl."},
		"core":    {subjects.CoreInboxPrefix + "."},
	} {
		conn := conns[use]
		if conn == nil || len(conn.Subs) == 0 {
			t.Fatalf("there is no connection for %s with subscriptions: %v", use, conn)
		}
		for _, subject := range conn.Subs {
			if !slices.ContainsFunc(begin, func(prefix string) bool { return strings.HasPrefix(subject, prefix) }) {
				t.Errorf("the connection for %s has subscribed to %s", use, subject)
			}
			if use == "core" {
				core = strings.Join(strings.Split(subject, ".")[:3], ".")
			}
			if use == "calls" && strings.HasPrefix(subject, subjects.CoreInboxPrefix) {
				t.Errorf("Navidrome is asked with an inbox of JetStream's: %s", subject)
			}
		}
	}
	if reply := <-replies; strings.HasPrefix(reply, subjects.CoreInboxPrefix) || !strings.HasPrefix(reply, subjects.InboxPrefix+".") {
		t.Errorf("Navidrome is asked to answer on %s", reply)
	}
	if secret := strings.TrimPrefix(core, subjects.CoreInboxPrefix+"."); len(secret) < 26 {
		t.Errorf("the inboxes of JetStream can be guessed: %s", core)
	}
}

func TestConnectionForCallsIsGivenUpFirstAndThatOfTheHostLast(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	b, err := bus.Open(t.Context(), bus.Config{
		URL: testenv.NATS(t), Name: "r1", Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
	var order []string
	for line := range strings.Lines(log.String()) {
		if _, use, is := strings.Cut(line, `msg="NATS connection closed" connection=`); is {
			order = append(order, strings.TrimSpace(use))
		}
	}
	if want := []string{"calls", "control", "core"}; !slices.Equal(order, want) {
		t.Errorf("closed %v, want %v", order, want)
	}
	select {
	case err := <-b.Lost():
		if err == nil {
			t.Error("it does not say why it is lost")
		}
	default:
		t.Error("it does not say that it is lost")
	}
}
