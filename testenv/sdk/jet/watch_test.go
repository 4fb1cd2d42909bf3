package jet_test

import (
	"runtime"
	"strconv"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/testenv"
)

func TestAWatchEndsWithMoreToTellThanAnybodyReads(t *testing.T) {
	js, err := jetstream.New(testenv.Connect(t, testenv.NATS(t)))
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "many", Storage: jetstream.MemoryStorage})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 500 {
		if _, err := kv.Put(t.Context(), strconv.Itoa(i), nil); err != nil {
			t.Fatal(err)
		}
	}
	watcher, err := kv.WatchAll(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for len(watcher.Updates()) < cap(watcher.Updates()) {
		runtime.Gosched()
	}
	if err := jet.EndWatch(watcher); err != nil {
		t.Error(err)
	}
	if _, open := <-watcher.Updates(); open {
		t.Error("it goes on")
	}
}
