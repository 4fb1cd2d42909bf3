package replica_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/testenv/soak/abuse"
)

// linked is a replica that reaches its NATS server through a link.
func linked(t *testing.T, prepare func(*setup)) (world, *testenv.NATSLink) {
	t.Helper()
	url := testenv.NATS(t)
	link := testenv.StartNATSLink(t, url, func(*testenv.NATSLink, string) bool { return true })
	with := setup{Config: testenv.Config(t, link.URL(), t.TempDir())}
	with.HTTP.Listen = "127.0.0.1:0"
	with.Plugins.Watch = false
	prepare(&with)
	r := testenv.Start(t, with.Config, nil, with.options...)
	return world{r, abuse.NewCaller(testenv.Connect(t, url)), with.Plugins.Folder}, link
}

// readiness is what /readyz says.
func (w world) readiness(t *testing.T) (code int, reason string) {
	t.Helper()
	response, err := http.Get("http://" + w.HTTPAddress() + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, strings.TrimSpace(string(body))
}

func TestReplicaWithoutOneOfItsConnectionsIsNotReadyAndDoesWhatItCan(t *testing.T) {
	t.Parallel()
	w, link := linked(t, func(c *setup) { abuse.Install(t, &c.Config) })
	become := func(code int, reason string) {
		t.Helper()
		eventually(t, reason, func() bool {
			is, says := w.readiness(t)
			return is == code && says == reason
		})
	}
	become(http.StatusOK, "ok")
	for _, use := range []string{"calls", "control", "core"} {
		link.Refuse(" " + use)
		become(http.StatusServiceUnavailable, "no connection to NATS for "+use)
		if use != "calls" {
			w.good(t, abuse.Bystander)
		}
		if use != "control" {
			if _, err := w.caller.Client.Status(w.context(t)); err != nil {
				t.Errorf("without the connection for %s: %v", use, err)
			}
		}
		link.Refuse()
		become(http.StatusOK, "ok")
		// The server hears of the subscriptions a moment after the connection is back.
		eventually(t, "the plugin answers", func() bool { return abuse.Good(w.context(t), w.caller, abuse.Bystander) == nil })
	}
	link.Refuse(" calls", " control", " core")
	become(http.StatusServiceUnavailable, "no connection to NATS for calls, control, core")
	link.Refuse()
	become(http.StatusOK, "ok")
}

func TestHeartbeatListsAPluginOnceItsCallsArrive(t *testing.T) {
	t.Parallel()
	w, link := linked(t, func(*setup) {})
	ctx := w.context(t)
	js, err := jetstream.New(w.caller.Conn)
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(ctx, subjects.StateBucket)
	if err != nil {
		t.Fatal(err)
	}
	watch, err := kv.Watch(ctx, subjects.HeartbeatKey(w.ID()), jetstream.UpdatesOnly())
	if err != nil {
		t.Fatal(err)
	}
	beat := func() (record subjects.Heartbeat) {
		t.Helper()
		select {
		case entry := <-watch.Updates():
			if err := json.Unmarshal(entry.Value(), &record); err != nil {
				t.Fatal(err)
			}
		case <-ctx.Done():
			t.Fatal("there is no heartbeat")
		}
		return record
	}
	link.Refuse(" calls")
	testenv.AddPlugin(t, w.folder, "p", testenv.Manifest(nil, "MetadataAgent"), guests.Handmade{Body: guests.Echo}.Bytes())
	loaded := make(chan error, 1)
	go func() { loaded <- w.Refresh(ctx, "p") }()
	eventually(t, "the plugin has been compiled", func() bool { return w.IsMade("p") })
	for unserved := 0; unserved < 3; { // the first may be older
		record := beat()
		if record.Generations["p"] != "" || unserved > 0 && len(record.Unserved) != 1 {
			t.Fatalf("nobody can call the plugin, and the heartbeat says %+v", record)
		}
		unserved += len(record.Unserved)
	}
	link.Refuse()
	for record := beat(); record.Generations["p"] == ""; record = beat() {
		if record.Unserved == nil {
			t.Errorf("the heartbeat does not list the plugin any more: %+v", record)
		}
	}
	if _, err := w.caller.Conn.RequestWithContext(ctx, subjects.Call("p", "get_artist_url"), []byte("x")); err != nil {
		t.Errorf("the heartbeat lists the plugin: %v", err)
	}
	if err := <-loaded; err != nil {
		t.Error(err)
	}
}
