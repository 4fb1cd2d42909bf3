package bus_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/bus/kvcache"
	"github.com/pluginhost/pluginhost/bus/schedule"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/clustertest"
)

// As while the cluster elects who answers: the first of each kind of question is lost.
func TestAReplicaStartsWhileJetStreamIsNotReady(t *testing.T) {
	t.Parallel()
	asked := make(map[string]int)
	var mu sync.Mutex
	link := testenv.StartNATSLink(t, testenv.NATS(t), func(_ *testenv.NATSLink, subject string) bool {
		if !strings.HasPrefix(subject, "$JS.API.STREAM.") {
			return true
		}
		mu.Lock()
		defer mu.Unlock()
		asked[subject]++
		return asked[subject] > 1
	})
	b := testenv.Bus(t, link.URL())
	ctx := t.Context()
	h := clustertest.Heartbeat(t, b, "r1")
	defer clustertest.Stop(t, h)
	for name, begin := range map[string]func() (end func(), err error){
		"election": func() (func(), error) {
			e, err := cluster.StartElection(ctx, b.Jet(), "r1")
			return func() { _ = e.Stop(context.WithoutCancel(ctx)) }, err
		},
		"schedules": func() (func(), error) {
			s, err := schedule.Open(ctx, b.Jet(), func(string, *subjects.ScheduleRecord) {})
			return func() { s.Stop() }, err
		},
		"packages": func() (func(), error) {
			p, err := b.OpenPackages(ctx, func(string) {})
			return func() { p.Stop() }, err
		},
		"cache": func() (func(), error) {
			c, err := kvcache.Open(ctx, b.Jet(), kvcache.Config{})
			return func() { c.Stop() }, err
		},
		"secret": func() (func(), error) {
			s, err := cluster.KeepSecret(ctx, b.Jet(), "test", func() {})
			return func() { s.Stop() }, err
		},
	} {
		end, err := begin()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		defer end()
	}
	mu.Lock()
	defer mu.Unlock()
	for subject, times := range asked {
		if times < 2 {
			t.Errorf("%s was not asked again", subject)
		}
	}
	if len(asked) < 8 {
		t.Errorf("only these were asked: %v", asked)
	}
}

// A server that removes the last stream of an account removes the folder of all streams, too, and
// cannot make one meanwhile. A file in the folder's place stands for that moment.
func TestAReplicaStartsWhileTheServerCannotMakeAStream(t *testing.T) {
	t.Parallel()
	store := t.TempDir()
	url := testenv.NATS(t, func(o *server.Options) { o.StoreDir = store })
	streams := filepath.Join(store, "jetstream", "$G", "streams")
	if err := os.MkdirAll(filepath.Dir(streams), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(streams, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	log := writerFunc(func(line []byte) (int, error) {
		if strings.Contains(string(line), "JetStream is not ready yet") {
			if err := os.RemoveAll(streams); err != nil {
				t.Error(err)
			}
			close(gone)
		}
		return len(line), nil
	})
	b, err := bus.Open(t.Context(), bus.Config{URL: url, Name: "r1", Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	secret, err := cluster.KeepSecret(t.Context(), b.Jet(), "test", func() {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(secret.Stop)
	select {
	case <-gone:
	default:
		t.Error("the server made the stream at once: the file is not in its way")
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
