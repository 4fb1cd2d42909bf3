package replica_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/replica"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/testenv/journal"
	"github.com/pluginhost/pluginhost/testenv/navidrome"
)

// failFirst is a journal whose OnInit fails so often, with the same text.
func failFirst(times int32) journal.Answer {
	var inits atomic.Int32
	return func(e journal.Event) ([]journal.Command, error) {
		if e.Event == "init" && inits.Add(1) <= times {
			return nil, errors.New("not yet")
		}
		return nil, nil
	}
}

// becomesReady waits until all replicas serve the plugin.
func (s *stateful) becomesReady(replicas ...*replica.Replica) {
	s.t.Helper()
	for _, r := range replicas {
		eventually(s.t, "the plugin is ready", func() bool { return r.Status().Plugins[0].State == subjects.StateReady })
	}
	s.ready(replicas...)
}

// An OnInit that has failed is tried again by itself, by one of the replicas at a time,
// and each tells of the same failure once.
func TestOnInitThatFailsIsTriedAgain(t *testing.T) {
	t.Parallel()
	s := newStateful(t, failFirst(2))
	three := s.starting(3)()
	for _, r := range three {
		status := r.Status().Plugins[0]
		if status.State != subjects.StateFailed || status.InitRetry == nil || status.InitRetry.Failures != 1 || !status.InitRetry.Next.After(time.Now()) {
			t.Errorf("%+v, retry %+v", status, status.InitRetry)
		}
	}
	s.becomesReady(three...)
	s.inits(3)
	for i, pause := range []time.Duration{5 * time.Second, 10 * time.Second} {
		if inits := s.journal.Of("init"); inits[i+1].At.Sub(inits[i].At) < pause {
			t.Errorf("attempt %d comes %v after the one before, want %v at least", i+2, inits[i+1].At.Sub(inits[i].At), pause)
		}
	}
	for _, r := range three {
		if status := r.Status().Plugins[0]; status.InitRetry != nil {
			t.Errorf("%+v", status.InitRetry)
		}
	}
	if told := s.announced.of(subjects.EventFailed, ""); len(told) != len(three) {
		t.Errorf("%d failures are announced, want one of each replica: %+v", len(told), told)
	}
	record := awaitRecord(s, subjects.StateBucket, subjects.InitKey("p", three[0].Status().Plugins[0].Generation), isThere[subjects.InitRecord])
	if record.State != subjects.InitDone || record.Attempt != 3 || record.Failures != 0 {
		t.Errorf("%+v", record)
	}
}

// A version whose OnInit fails takes the calls once it has succeeded; until then the
// one before has them.
func TestVersionServesOnUntilTheOnInitOfTheNextSucceeds(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	r := s.start()
	before := r.Status().Plugins[0].Generation
	s.journal.On("", failFirst(1))
	testenv.AddPlugin(t, s.folder, "p", append(journal.Manifest(), '\n'), guests.Wasm(t, guests.Stateful))
	if err := r.Refresh(t.Context(), "p"); err == nil || !strings.Contains(err.Error(), "not yet") {
		t.Fatalf("it is loaded: %v", err)
	}
	if status := r.Status().Plugins[0]; status.State != subjects.StateReady || status.Generation != before || status.InitRetry == nil {
		t.Errorf("%+v", status)
	}
	s.do(journal.Command{Do: "now"})
	eventually(t, "the next version serves", func() bool {
		status := r.Status().Plugins[0]
		return status.Generation != before && status.Error == ""
	})
	s.do(journal.Command{Do: "now"})
	s.inits(3)
}

// An OnInit that does not end holds up neither the replica nor the settings that would
// mend it, and counts as failed when it is given up: other replicas do not wait for it.
func TestOnInitThatHangsIsGivenUpForOtherSettings(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	hung := make(chan struct{})
	defer close(hung)
	s.journal.On("", func(e journal.Event) ([]journal.Command, error) {
		if e.Event == "init" && len(s.journal.Of("init")) == 1 {
			<-hung
		}
		return nil, nil
	})
	two := s.starting(2)() // they are ready although OnInit runs
	for _, r := range two {
		if status := r.Status(); !status.Ready || status.Plugins[0].State != subjects.StateInitialising {
			t.Errorf("%+v", status)
		}
	}
	for _, r := range two {
		config := r.Config()
		config.PluginConfig = map[string]map[string]string{"p": {"journal": s.journal.URL(), "mended": "yes"}}
		if changed, err := r.Reconfigure(t.Context(), config); err != nil || len(changed.Loaded) != 1 {
			t.Fatalf("%+v, %v", changed, err)
		}
	}
	s.ready(two...)
	record := awaitRecord(s, subjects.StateBucket, subjects.InitKey("p", two[0].Status().Plugins[0].Generation), isThere[subjects.InitRecord])
	if record.State != subjects.InitDone || record.Attempt != 1 {
		t.Errorf("%+v", record)
	}
}

// A version that comes while another is being loaded is loaded after it, before Rescan returns.
func TestRescanWaitsForWhatCameWhileThePluginWasLoaded(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	r := s.start()
	hung, initialises := make(chan struct{}), make(chan struct{})
	defer close(hung)
	var inits atomic.Int32
	s.journal.On("", func(e journal.Event) ([]journal.Command, error) {
		if e.Event == "init" && inits.Add(1) == 1 {
			close(initialises)
			<-hung
		}
		return nil, nil
	})
	second, third := append(journal.Manifest(), '\n'), bytes.Replace(journal.Manifest(), []byte("1.0.0"), []byte("3.0.0"), 1)
	testenv.AddPlugin(t, s.folder, "p", second, guests.Wasm(t, guests.Stateful))
	loaded := make(chan error, 1)
	go func() { loaded <- r.Rescan(t.Context()) }()
	<-initialises
	testenv.AddPlugin(t, s.folder, "p", third, guests.Wasm(t, guests.Stateful))
	if err := r.Rescan(t.Context()); err != nil {
		t.Error(err)
	}
	if status := r.Status().Plugins[0]; status.Version != "3.0.0" || status.State != subjects.StateReady || status.Error != "" {
		t.Errorf("%+v", status)
	}
	if err := <-loaded; err == nil {
		t.Error("the version that came too late is loaded")
	}
}

// A machine that boots the host before Navidrome: what the plugin needs is named, and it
// starts when that is there.
func TestPluginStartsOnceNavidromeDoes(t *testing.T) {
	t.Parallel()
	url, folder := testenv.NATS(t), t.TempDir()
	permissions := map[string]any{"subsonicapi": map[string]any{"reason": "test", "allowAdmins": true}}
	testenv.AddPlugin(t, folder, "sync", testenv.Manifest(permissions, "MetadataAgent", "LifecycleManagement"), guests.Wasm(t, guests.FirstSync))
	fake := navidrome.Start(t)
	fake.Stop()
	config := testenv.Config(t, url, folder)
	config.File = "/etc/pluginhost.toml"
	r := testenv.Start(t, config, t.Output())
	fails := func(want string) {
		t.Helper()
		if status := r.Status().Plugins[0]; status.State != subjects.StateFailed || !strings.HasSuffix(status.Error, want) || strings.Contains(status.Error, "PluginConfig") {
			t.Errorf("%+v, want it to end with %s", status, want)
		}
	}
	fails("set [Navidrome] URL in /etc/pluginhost.toml")
	config = r.Config()
	config.Navidrome.URL = fake.URL
	if changed, err := r.Reconfigure(t.Context(), config); err != nil || len(changed.Failed) != 1 {
		t.Fatalf("%+v, %v", changed, err)
	}
	fails("Navidrome does not answer: start it, or check [Navidrome] URL in /etc/pluginhost.toml")
	fake.Restart()
	eventually(t, "the plugin is ready", func() bool { return r.Status().Plugins[0].State == subjects.StateReady })
	agent := client.New(testenv.Connect(t, url)).MetadataAgent("sync")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if biography, err := agent.GetArtistBiography(ctx, nil); err != nil || biography.GetBiography() != "synchronised" {
		t.Errorf("%v, %v", biography, err)
	}
}

// A replica that leaves while it waits to try again, or while OnInit runs again, leaves
// at once, and the others try.
func TestOtherReplicasTryOnInitAgain(t *testing.T) {
	t.Parallel()
	s := newStateful(t, failFirst(1))
	two := s.starting(2)()
	if err := two[0].Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.becomesReady(two[1])
	s.inits(2)
}
