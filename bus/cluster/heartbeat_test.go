package cluster_test

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/clustertest"
)

func TestReplicasSeeEachOtherComeAndGo(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	first := clustertest.Heartbeat(t, testenv.Bus(t, url), "r1")
	defer clustertest.Stop(t, first)
	clustertest.AwaitLive(t, first, 1)
	second := clustertest.Heartbeat(t, testenv.Bus(t, url), "r 2")
	clustertest.AwaitLive(t, first, 2)
	clustertest.AwaitLive(t, second, 2)
	clustertest.Stop(t, second)
	clustertest.AwaitLive(t, first, 1)
}

func TestHeartbeatRecordIsReadableByOthers(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	h := clustertest.Heartbeat(t, testenv.Bus(t, url), "r 2")
	defer clustertest.Stop(t, h)
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
	t.Parallel()
	urls := testenv.Cluster(t)
	b, err := bus.Open(t.Context(), bus.Config{URL: strings.Join(urls, ","), Name: "r1", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	h := clustertest.Heartbeat(t, b, "r1")
	defer clustertest.Stop(t, h)
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
