package replica_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/replica"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/testenv/journal"
)

// Whoever may call plugins may ask for their generations, and knows or guesses everything
// that they are made of but a PIN.
func TestAPINCannotBeGuessedByTheGeneration(t *testing.T) {
	as := testenv.DeployedNATS(t)
	plugins := t.TempDir()
	testenv.AddPlugin(t, plugins, "p", testenv.Manifest(nil, plugin.MetadataAgent), guests.Handmade{}.Bytes())
	settings := testenv.Config(t, as("host"), plugins)
	with := func(pin string) config.Config {
		guess := settings
		guess.PluginConfig = map[string]map[string]string{"p": {"pin": pin}}
		return guess
	}
	testenv.Start(t, with("4711"), nil)
	conn, err := nats.Connect(as("navidrome"), nats.CustomInboxPrefix("_INBOX_navidrome"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	infos, err := client.New(conn).Info(t.Context(), "p")
	if err != nil || len(infos) != 1 || infos[0].Plugin.State != subjects.StateReady {
		t.Fatalf("%+v, %v", infos, err)
	}
	shown := infos[0].Plugin
	for pin := range 10_000 {
		guess, err := replica.UnkeyedGeneration(with(fmt.Sprintf("%04d", pin)), "p", shown.Files, plugin.Load(plugins, "p").Manifest)
		if err != nil {
			t.Fatal(err)
		}
		if guess == shown.Generation {
			t.Fatalf("the PIN is %04d", pin)
		}
	}
}

// generation is the generation of the plugin that a replica serves.
func (s *stateful) generation(r *replica.Replica) string {
	s.t.Helper()
	return r.Status().Plugins[0].Generation
}

func TestGenerationsAreThoseOfACluster(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	two := s.starting(2)()
	other := s.in(t)
	other.url = testenv.NATS(t)
	alone := other.start()
	if s.generation(two[0]) != s.generation(two[1]) {
		t.Error("replicas with the same files and settings have different generations")
	}
	if s.generation(two[0]) == s.generation(alone) {
		t.Error("another cluster has the same generation: it tells that the settings are the same")
	}
	// Plugins with the same files and settings are not seen to have the same settings.
	testenv.AddPlugin(t, s.folder, "q", journal.Manifest(), guests.Wasm(t, guests.Stateful))
	if err := two[0].Refresh(t.Context(), "q"); err != nil {
		t.Fatal(err)
	}
	config := two[0].Config()
	config.PluginConfig = map[string]map[string]string{"p": config.PluginConfig["p"], "q": config.PluginConfig["p"]}
	if _, err := two[0].Reconfigure(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	if all := two[0].Status().Plugins; len(all) != 2 || all[0].Files != all[1].Files || all[0].Generation == all[1].Generation {
		t.Errorf("%+v", all)
	}
}

// loaded is how often the plugin was loaded, by replica.
func (s *stateful) loaded() map[string]int {
	s.t.Helper()
	counts := make(map[string]int)
	for _, event := range s.announced.of(subjects.EventLoaded, "") {
		counts[event.Replica]++
	}
	return counts
}

// loseState removes the bucket of state.
func (s *stateful) loseState() {
	s.t.Helper()
	js, err := jetstream.New(s.conn)
	if err == nil {
		err = js.DeleteStream(s.t.Context(), "KV_"+subjects.StateBucket)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// The key goes with the bucket of state, and each replica puts it back: nothing is loaded
// or initialised again, and who starts afterwards runs the same generations.
func TestGenerationsOutliveTheBucketOfState(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	two := s.starting(2)()
	before := s.generation(two[0])
	s.loseState()
	awaitRecord(s.again(), subjects.StateBucket, subjects.GenerationKey, isThere[struct{}])
	s.caughtUp(two...)
	third := s.start()
	for _, r := range append(two, third) {
		if got := s.generation(r); got != before {
			t.Errorf("%s has generation %s, before it was %s", r.ID(), got, before)
		}
		if n := s.loaded()[r.ID()]; n != 1 {
			t.Errorf("%s has loaded the plugin %d times", r.ID(), n)
		}
	}
	s.inits(1)
}

// again waits until there is a bucket of state again.
func (s *stateful) again() *stateful {
	s.t.Helper()
	js, err := jetstream.New(s.conn)
	if err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "the bucket is made anew", func() bool {
		_, err := js.KeyValue(s.t.Context(), subjects.StateBucket)
		return err == nil
	})
	return s
}

// The bucket of state is lost while the replicas are cut off, and one that starts meanwhile
// makes another key: it takes up the former one when they are back. They load nothing, and
// nothing goes to and fro.
func TestReplicasWithDifferentKeysAgreeOnGenerations(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	link := testenv.StartLink(t, strings.TrimPrefix(s.url, "nats://"))
	two := s.starting(2, func(c *setup) { c.NATS.URL = "nats://" + link.Address() })()
	before := s.generation(two[0])
	link.Cut()
	s.loseState()
	third := s.start()
	s.inits(2) // nobody could tell that it had run
	if s.generation(third) == before {
		t.Fatal("nobody could tell it the key")
	}
	link.Mend()
	eventually(t, "the third replica has the generation of the others", func() bool { return s.generation(third) == before })
	s.caughtUp(append(two, third)...)
	fourth := s.start()
	s.ready(append(two, third, fourth)...)
	s.inits(2)
	for id, n := range s.loaded() {
		want := 1
		if id == third.ID() {
			want = 2
		}
		if n != want {
			t.Errorf("%s has loaded the plugin %d times, want %d", id, n, want)
		}
	}
	for _, r := range append(two, fourth) {
		if got := s.generation(r); got != before {
			t.Errorf("%s has generation %s, before it was %s", r.ID(), got, before)
		}
	}
}
