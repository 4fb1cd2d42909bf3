package replica_test

import (
	"context"
	"io"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/replica"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/soak/abuse"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, testenv.LatePublisher()) }

// patience bounds what a test waits for; nothing is said about how long it
// should take.
const patience = time.Minute

// world is a replica, its NATS server and someone who calls its plugins.
type world struct {
	*replica.Replica
	caller abuse.Caller
	folder string // of the plugins
}

// setup is what a replica is started with.
type setup struct {
	config.Config
	options []replica.Option
}

// WatchClosely is replica.WatchClosely.
func (s *setup) WatchClosely(onLook func()) {
	s.Plugins.Watch = true
	s.options = append(s.options, replica.WatchClosely(onLook))
}

// ForgetRemovedAfter is replica.ForgetRemovedAfter.
func (s *setup) ForgetRemovedAfter(away time.Duration) {
	s.options = append(s.options, replica.ForgetRemovedAfter(away))
}

// start runs a replica with what prepare puts into its configuration and
// plugins folder. log may be nil.
func start(t *testing.T, log io.Writer, prepare func(*setup)) world {
	t.Helper()
	url := testenv.NATS(t)
	s := setup{Config: testenv.Config(t, url, t.TempDir())}
	s.Runtime.CompileTimeout = 5 * time.Minute // the race detector makes compilers slow
	s.Plugins.Watch = false                    // tests say themselves when to look
	prepare(&s)
	r := testenv.Start(t, s.Config, log, s.options...)
	return world{r, abuse.NewCaller(testenv.Connect(t, url)), s.Plugins.Folder}
}

// context returns one that ends with the test, or when patience does.
func (w world) context(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// plugin is what the replica's status says of a plugin.
func (w world) plugin(t *testing.T, id string) subjects.PluginStatus {
	t.Helper()
	plugins := w.Status().Plugins
	i := slices.IndexFunc(plugins, func(p subjects.PluginStatus) bool { return p.ID == id })
	if i < 0 {
		t.Fatalf("status does not list %s", id)
	}
	return plugins[i]
}

// good fails the test unless a good call of the plugin is answered.
func (w world) good(t *testing.T, id string) {
	t.Helper()
	if err := abuse.Good(w.context(t), w.caller, id); err != nil {
		t.Error(err)
	}
}

// eventually waits until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	timeout := time.After(patience)
	for !holds() {
		select {
		case <-ticker.C:
		case <-timeout:
			t.Fatalf("never: %s", what)
		}
	}
}
