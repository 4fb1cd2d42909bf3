package bus_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

func heartbeat(t *testing.T, b *bus.Bus, replica string) *bus.Heartbeat {
	t.Helper()
	h, err := bus.StartHeartbeat(t.Context(), b.Jet(), replica, func() any {
		return subjects.Heartbeat{V: subjects.Version, Replica: replica, Generations: map[string]string{"p": "g1"}}
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func stop(t *testing.T, h *bus.Heartbeat) {
	t.Helper()
	if err := h.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// awaitLive waits until a replica sees so many alive.
func awaitLive(t *testing.T, h *bus.Heartbeat, want int) {
	t.Helper()
	changed := h.Changed()
	for h.Live() != want {
		select {
		case <-changed:
			changed = h.Changed()
		case <-t.Context().Done():
			t.Fatalf("%d replicas are seen alive, want %d", h.Live(), want)
		}
	}
}

func TestReplicasSeeEachOtherComeAndGo(t *testing.T) {
	url := testenv.NATS(t)
	first := heartbeat(t, open(t, url), "r1")
	defer stop(t, first)
	awaitLive(t, first, 1)
	second := heartbeat(t, open(t, url), "r 2")
	awaitLive(t, first, 2)
	awaitLive(t, second, 2)
	stop(t, second)
	awaitLive(t, first, 1)
}

func TestHeartbeatRecordIsReadableByOthers(t *testing.T) {
	url := testenv.NATS(t)
	h := heartbeat(t, open(t, url), "r 2")
	defer stop(t, h)
	js, err := jetstream.New(testenv.Connect(t, url))
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), "pluginhost-state")
	if err != nil {
		t.Fatal(err)
	}
	entry, err := kv.Get(t.Context(), "replica.r=202")
	if err != nil {
		t.Fatal(err)
	}
	var record subjects.Heartbeat
	if err := json.Unmarshal(entry.Value(), &record); err != nil {
		t.Fatal(err)
	}
	if record.V != 1 || record.Replica != "r 2" || record.Generations["p"] != "g1" {
		t.Errorf("%+v", record)
	}
}

func TestStateIsKeptThriceOnAClusteredServer(t *testing.T) {
	urls := testenv.Cluster(t)
	b, err := bus.Open(t.Context(), bus.Config{URL: strings.Join(urls, ","), Name: "r1", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	h := heartbeat(t, b, "r1")
	defer stop(t, h)
	js, err := jetstream.New(testenv.Connect(t, urls[0]))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "KV_pluginhost-state")
	if err != nil {
		t.Fatal(err)
	}
	if config := stream.CachedInfo().Config; config.Replicas != 3 || config.AllowDirect {
		t.Errorf("%d copies, direct gets %v; want 3 without", config.Replicas, config.AllowDirect)
	}
}
