package replica_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/testenv/soak/abuse"
)

// silent is a plugin that answers every request with an empty message.
var silent = guests.Handmade{}.Bytes()

func agentManifest() []byte { return testenv.Manifest(nil, "MetadataAgent") }

func TestRefreshUnderLoadFailsNoCall(t *testing.T) {
	t.Parallel()
	roomy := guests.Handmade{Body: guests.Echo, Pages: 20}.Bytes()
	w := start(t, nil, func(c *setup) {
		testenv.AddPlugin(t, c.Plugins.Folder, "agent", agentManifest(), roomy)
	})
	ctx := w.context(t)
	caller := client.New(w.caller.Conn, client.WithResends(0)) // which would hide a refusal
	ask := func() (string, error) {
		response, err := caller.Call(ctx, "agent", biography, []byte("hello"))
		return string(response), err
	}
	load, stop := context.WithCancel(ctx)
	var workers sync.WaitGroup
	var calls atomic.Int64
	work := func(call func() error) {
		workers.Go(func() {
			for load.Err() == nil {
				if err := call(); err != nil {
					t.Errorf("a call during a refresh: %v", err)
					return
				}
				calls.Add(1)
			}
		})
	}
	for range 2 {
		work(func() error {
			_, err := ask()
			return err
		})
		// It takes a while to decode, so that the version which was current
		// when it came is often gone when it runs.
		request := []byte(`{"id":"` + strings.Repeat("x", 200_000) + `"}`)
		work(func() error {
			_, err := caller.CallJSON(ctx, "agent", biography, request, patience)
			return err
		})
	}
	for i := range 20 {
		wasm, want := guests.Handmade{Pages: 20}.Bytes(), ""
		if i%2 == 1 {
			wasm, want = roomy, "hello"
		}
		seen := calls.Load()
		eventually(t, "calls between two refreshes", func() bool { return t.Failed() || calls.Load() > seen+10 })
		testenv.AddPlugin(t, w.folder, "agent", agentManifest(), wasm)
		if err := w.Refresh(ctx, "agent"); err != nil {
			t.Fatal(err)
		}
		if got, err := ask(); err != nil || got != want {
			t.Errorf("after refresh %d: %q, %v, want %q", i, got, err, want)
		}
	}
	stop()
	workers.Wait()
}

func TestRefreshDoesNotWaitForCallsOfTheFormerVersion(t *testing.T) {
	t.Parallel()
	w := start(t, nil, func(c *setup) {
		testenv.AddPlugin(t, c.Plugins.Folder, "agent", agentManifest(), guests.Wasm(t, guests.Probe))
	})
	ctx := w.context(t)
	type outcome struct {
		response []byte
		err      error
	}
	slow := make(chan outcome, 1)
	go func() {
		response, err := w.caller.Client.CallJSON(ctx, "agent", biography, []byte(`{"name":"sleep 4000"}`), patience)
		slow <- outcome{response, err}
	}()
	w.running(t, "agent", 1)
	// Several times: none of them waits for the one before.
	for _, wasm := range [][]byte{silent, echo} {
		testenv.AddPlugin(t, w.folder, "agent", agentManifest(), wasm)
		if err := w.Refresh(ctx, "agent"); err != nil {
			t.Fatal(err)
		}
	}
	if response, err := w.caller.Client.Call(ctx, "agent", biography, []byte("\x12\x04good")); err != nil || string(response) != "\x12\x04good" {
		t.Errorf("the new version answers %q, %v", response, err)
	}
	select {
	case got := <-slow:
		t.Fatalf("the former version's call was over before: %q, %v", got.response, got.err)
	default:
	}
	if got := <-slow; got.err != nil || !strings.Contains(string(got.response), "biography of sleep 4000") {
		t.Errorf("the former version's call: %q, %v", got.response, got.err)
	}
}

func TestCallsOfAFormerVersionAreFinishedBeforeTheReplicaLeaves(t *testing.T) {
	t.Parallel()
	w := start(t, nil, func(c *setup) {
		testenv.AddPlugin(t, c.Plugins.Folder, "agent", agentManifest(), guests.Wasm(t, guests.Probe))
	})
	ctx := w.context(t)
	slow := make(chan error, 1)
	go func() {
		_, err := w.caller.Client.CallJSON(ctx, "agent", biography, []byte(`{"name":"sleep 1500"}`), patience)
		slow <- err
	}()
	w.running(t, "agent", 1)
	testenv.AddPlugin(t, w.folder, "agent", agentManifest(), silent)
	// With other limits also what received the call is a former one.
	config := w.Config()
	config.Runtime.Timeout = 7 * time.Second
	if _, err := w.Reconfigure(ctx, config); err != nil {
		t.Fatal(err)
	}
	if err := w.Drain(ctx); err != nil {
		t.Error(err)
	}
	if err := <-slow; err != nil {
		t.Errorf("the former version's call: %v", err)
	}
	if err := w.Refresh(ctx, "agent"); err == nil {
		t.Error("a replica that has left loads plugins")
	}
}

func TestRefreshesAskedMeanwhileShareOneThatFollows(t *testing.T) {
	t.Parallel()
	var log testenv.Log
	w := start(t, &log, func(c *setup) {
		c.Runtime.CompileTimeout = 3 * time.Second // what the first version takes until it fails
		testenv.AddPlugin(t, c.Plugins.Folder, "agent", agentManifest(), []byte("none"))
	})
	ctx := w.context(t)
	announced := w.events(t)
	testenv.AddPlugin(t, w.folder, "agent", agentManifest(), guests.Stuck().Bytes())
	first := make(chan error, 1)
	go func() { first <- w.Refresh(ctx, "agent") }()
	eventually(t, "it is being initialised", func() bool { return strings.Contains(log.String(), "hm?") })
	testenv.AddPlugin(t, w.folder, "agent", agentManifest(), echo)
	var others sync.WaitGroup
	for range 8 {
		others.Go(func() {
			if err := w.Refresh(ctx, "agent"); err != nil {
				t.Errorf("a refresh asked after the files were replaced: %v", err)
			}
		})
	}
	others.Wait()
	if err := <-first; err == nil {
		t.Error("the refresh of a version that does not start ended well")
	}
	if got, want := announced.of(t, "agent"), map[string]int{"failed": 1, "loaded": 1}; !maps.Equal(got, want) {
		t.Errorf("announced %v, want %v", got, want)
	}
}

func TestRefreshToABrokenVersionLeavesTheOldOneServing(t *testing.T) {
	t.Parallel()
	w := start(t, nil, func(c *setup) {
		testenv.AddPlugin(t, c.Plugins.Folder, "agent", agentManifest(), echo)
	})
	ctx := w.context(t)
	generation := w.plugin(t, "agent").Generation
	for name, c := range map[string]struct {
		manifest, wasm []byte
		says           string
	}{
		"wasm that is none":       {agentManifest(), []byte("none"), "not a WebAssembly module"},
		"wasm that is cut short":  {agentManifest(), echo[:100], "copy it again"},
		"a broken manifest":       {[]byte("{"), echo, "manifest"},
		"a guest that traps":      {agentManifest(), guests.Handmade{Initialize: guests.Trap}.Bytes(), "does not initialise"},
		"another contract":        {agentManifest(), guests.Handmade{Version: 7}.Bytes(), "API version mismatch"},
		"a permission it lacks":   {agentManifest(), guests.Handmade{Imports: []string{"get_plugin_config"}}.Bytes(), `add "config" to the permissions`},
		"a capability it has not": {testenv.Manifest(nil, "Scrobbler"), echo, "scrobbler_api_version is not exported"},
	} {
		t.Run(name, func(t *testing.T) {
			testenv.AddPlugin(t, w.folder, "agent", c.manifest, c.wasm)
			if err := w.Refresh(ctx, "agent"); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("Refresh: %v, want %q", err, c.says)
			}
			// The same over the wire.
			answers, err := w.caller.Client.Refresh(ctx, "agent")
			if err != nil || len(answers) != 1 || !strings.Contains(answers[0].Error, c.says) {
				t.Errorf("refresh over the wire: %+v, %v", answers, err)
			}
			status := w.plugin(t, "agent")
			if status.State != subjects.StateReady || status.Generation != generation || !strings.Contains(status.Error, c.says) {
				t.Errorf("status is %s, generation %s (was %s), error %q", status.State, status.Generation, generation, status.Error)
			}
			w.good(t, "agent")
		})
	}
	testenv.AddPlugin(t, w.folder, "agent", agentManifest(), silent)
	if err := w.Refresh(ctx, "agent"); err != nil {
		t.Fatal(err)
	}
	if status := w.plugin(t, "agent"); status.Error != "" || status.Generation == generation {
		t.Errorf("mended, but status is %+v", status)
	}
}

func TestRefreshOfARemovedPluginUnloadsIt(t *testing.T) {
	t.Parallel()
	w := start(t, nil, func(c *setup) {
		for _, id := range []string{"agent", abuse.Bystander} {
			testenv.AddPlugin(t, c.Plugins.Folder, id, agentManifest(), echo)
		}
		testenv.AddPlugin(t, c.Plugins.Folder, "failed", agentManifest(), []byte("none"))
	})
	ctx := w.context(t)
	w.good(t, "agent")
	for _, id := range []string{"agent", "failed"} {
		if err := os.RemoveAll(filepath.Join(w.folder, id)); err != nil {
			t.Fatal(err)
		}
		if err := w.Refresh(ctx, id); err != nil {
			t.Errorf("%s: %v", id, err)
		}
		if _, err := w.caller.Client.Call(ctx, id, biography, nil); !errors.Is(err, subjects.ErrUnavailable) || !strings.Contains(err.Error(), "is on no replica") {
			t.Errorf("a call of %s got %v", id, err)
		}
	}
	if plugins := w.Status().Plugins; len(plugins) != 1 || plugins[0].ID != abuse.Bystander {
		t.Errorf("status still has %+v", plugins)
	}
	w.good(t, abuse.Bystander)
	testenv.AddPlugin(t, w.folder, "agent", agentManifest(), echo)
	if err := w.Refresh(ctx, "agent"); err != nil {
		t.Fatal(err)
	}
	w.good(t, "agent")
}

func TestRefreshOfWhatNeverWas(t *testing.T) {
	t.Parallel()
	w := start(t, nil, func(*setup) {})
	for id, want := range map[string]error{"nobody": plugin.ErrNotFound, "../etc": plugin.ErrBadID, "": plugin.ErrBadID, ".": plugin.ErrBadID} {
		if err := w.Refresh(w.context(t), id); !errors.Is(err, want) {
			t.Errorf("Refresh(%q): %v, want %v", id, err, want)
		}
	}
	if plugins := w.Status().Plugins; len(plugins) != 0 {
		t.Errorf("status has %+v", plugins)
	}
}

func TestRefreshesAtTheSameTimeEndWithWhatIsOnDisk(t *testing.T) {
	t.Parallel()
	w := start(t, nil, func(c *setup) {
		testenv.AddPlugin(t, c.Plugins.Folder, "agent", agentManifest(), silent)
	})
	ctx := w.context(t)
	testenv.AddPlugin(t, w.folder, "agent", agentManifest(), echo)
	var refreshes sync.WaitGroup
	for range 8 {
		refreshes.Go(func() {
			if err := w.Refresh(ctx, "agent"); err != nil {
				t.Error(err)
			}
		})
	}
	refreshes.Wait()
	w.good(t, "agent")
}

func TestRemovalAndReturnAtTheSameTimeLeaveOnePlugin(t *testing.T) {
	t.Parallel()
	w := start(t, nil, func(c *setup) {
		testenv.AddPlugin(t, c.Plugins.Folder, "agent", agentManifest(), echo)
	})
	ctx := w.context(t)
	for range 20 {
		var refreshes sync.WaitGroup
		testenv.RemovePlugin(t, w.folder, "agent")
		refreshes.Go(func() { _ = w.Refresh(ctx, "agent") })
		// Moved in as a whole: a half-written plugin is another matter.
		testenv.AddPlugin(t, w.folder, ".agent", agentManifest(), echo)
		if err := os.Rename(filepath.Join(w.folder, ".agent"), filepath.Join(w.folder, "agent")); err != nil {
			t.Fatal(err)
		}
		refreshes.Go(func() { _ = w.Refresh(ctx, "agent") })
		refreshes.Wait()
		w.good(t, "agent")
		if plugins := w.Status().Plugins; len(plugins) != 1 {
			t.Fatalf("status has %+v", plugins)
		}
	}
	testenv.RemovePlugin(t, w.folder, "agent")
	if err := w.Refresh(ctx, "agent"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.caller.Client.Call(ctx, "agent", biography, nil); !errors.Is(err, subjects.ErrUnavailable) {
		t.Errorf("the removed plugin answers: %v", err)
	}
}
