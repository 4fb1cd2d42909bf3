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

	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

// startWatched is start with the plugins folder watched, and the plugin agent in
// it, which echoes.
func startWatched(t *testing.T, onLook func()) world {
	t.Helper()
	return start(t, nil, func(c *setup) {
		c.WatchClosely(onLook)
		testenv.AddPlugin(t, c.Plugins.Folder, "agent", agentManifest(), echo)
	})
}

// answers says what the plugin makes of a request.
func (w world) answers(t *testing.T, id string) string {
	t.Helper()
	response, err := w.caller.Client.Call(w.context(t), id, biography, []byte("\x0a\x01x"))
	if err != nil {
		t.Fatal(err)
	}
	return string(response)
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, name string) {
	t.Helper()
	if err := os.Symlink(target, name); err != nil {
		t.Fatal(err)
	}
}

func TestReplacedPluginIsLoadedByItself(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		prepare func(t *testing.T, folder, elsewhere string) // for what the echoing plugin is not just a folder
		replace func(t *testing.T, folder, elsewhere string)
	}{
		"plugin.wasm is written in place": {
			replace: func(t *testing.T, folder, _ string) { write(t, filepath.Join(folder, "agent", "plugin.wasm"), silent) },
		},
		"another plugin.wasm is renamed over it": {
			replace: func(t *testing.T, folder, elsewhere string) {
				write(t, filepath.Join(elsewhere, "new.wasm"), silent)
				rename(t, filepath.Join(elsewhere, "new.wasm"), filepath.Join(folder, "agent", "plugin.wasm"))
			},
		},
		"the whole folder is renamed": {
			replace: func(t *testing.T, folder, elsewhere string) {
				testenv.AddPlugin(t, elsewhere, "agent", agentManifest(), silent)
				rename(t, filepath.Join(folder, "agent"), filepath.Join(elsewhere, "old"))
				rename(t, filepath.Join(elsewhere, "agent"), filepath.Join(folder, "agent"))
			},
		},
		"the folder is a symlink to another one": {
			prepare: func(t *testing.T, folder, elsewhere string) {
				rename(t, filepath.Join(folder, "agent"), filepath.Join(elsewhere, "1"))
				link(t, filepath.Join(elsewhere, "1"), filepath.Join(folder, "agent"))
			},
			replace: func(t *testing.T, folder, elsewhere string) {
				testenv.AddPlugin(t, elsewhere, "2", agentManifest(), silent)
				link(t, filepath.Join(elsewhere, "2"), filepath.Join(folder, ".new"))
				rename(t, filepath.Join(folder, ".new"), filepath.Join(folder, "agent"))
			},
		},
		"the folder that a symlink leads to changes": {
			prepare: func(t *testing.T, folder, elsewhere string) {
				rename(t, filepath.Join(folder, "agent"), filepath.Join(elsewhere, "1"))
				link(t, filepath.Join(elsewhere, "1"), filepath.Join(folder, "agent"))
			},
			replace: func(t *testing.T, _, elsewhere string) {
				write(t, filepath.Join(elsewhere, "1", "plugin.wasm"), silent)
			},
		},
		"the file that plugin.wasm is a symlink to changes": {
			prepare: func(t *testing.T, folder, elsewhere string) {
				rename(t, filepath.Join(folder, "agent", "plugin.wasm"), filepath.Join(elsewhere, "build.wasm"))
				link(t, filepath.Join(elsewhere, "build.wasm"), filepath.Join(folder, "agent", "plugin.wasm"))
			},
			replace: func(t *testing.T, _, elsewhere string) { write(t, filepath.Join(elsewhere, "build.wasm"), silent) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			elsewhere := t.TempDir()
			w := start(t, nil, func(config *setup) {
				config.WatchClosely(nil)
				testenv.AddPlugin(t, config.Plugins.Folder, "agent", agentManifest(), echo)
				if c.prepare != nil {
					c.prepare(t, config.Plugins.Folder, elsewhere)
				}
			})
			generation := w.plugin(t, "agent").Generation
			c.replace(t, w.folder, elsewhere)
			eventually(t, "another generation serves", func() bool { return w.plugin(t, "agent").Generation != generation })
			if got := w.answers(t, "agent"); got != "" {
				t.Errorf("the former version answers: %q", got)
			}
		})
	}
}

func TestReplacedManifestIsLoadedByItself(t *testing.T) {
	t.Parallel()
	w := startWatched(t, nil)
	path := filepath.Join(w.folder, "agent", "manifest.json")
	for version, replace := range map[string]func([]byte){
		"2.0.0": func(manifest []byte) { write(t, path, manifest) },
		"3.0.0": func(manifest []byte) {
			write(t, path+".new", manifest)
			rename(t, path+".new", path)
		},
	} {
		replace([]byte(strings.Replace(string(agentManifest()), "1.0.0", version, 1)))
		eventually(t, "version "+version+" serves", func() bool { return w.plugin(t, "agent").Version == version })
	}
}

func TestNewAndRemovedFoldersAreNoticed(t *testing.T) {
	t.Parallel()
	w := startWatched(t, nil)
	elsewhere := t.TempDir()
	testenv.AddPlugin(t, w.folder, "copied", agentManifest(), echo)
	testenv.AddPlugin(t, elsewhere, "moved", agentManifest(), echo)
	rename(t, filepath.Join(elsewhere, "moved"), filepath.Join(w.folder, "moved"))
	link(t, filepath.Join(w.folder, "moved"), filepath.Join(w.folder, "linked"))
	if err := os.RemoveAll(filepath.Join(w.folder, "agent")); err != nil {
		t.Fatal(err)
	}
	ids := func() string {
		var ids []string
		for _, p := range w.Status().Plugins {
			ids = append(ids, p.ID+" "+string(p.State))
		}
		return strings.Join(ids, ", ")
	}
	eventually(t, "what is in the folder is served", func() bool { return ids() == "copied ready, linked ready, moved ready" })
	for _, id := range []string{"copied", "moved", "linked"} {
		w.good(t, id)
	}
	if _, err := w.caller.Client.Call(w.context(t), "agent", biography, nil); !errors.Is(err, subjects.ErrUnavailable) {
		t.Errorf("the removed plugin answers: %v", err)
	}
	testenv.AddPlugin(t, w.folder, "agent", agentManifest(), echo)
	eventually(t, "it is back", func() bool { return strings.HasPrefix(ids(), "agent ready") })
	w.good(t, "agent")
}

func TestFileThatIsBeingWrittenIsNotLoaded(t *testing.T) {
	t.Parallel()
	var (
		mu      sync.Mutex
		writing *os.File
		rest    []byte // of silent
		seen    []subjects.PluginStatus
		w       world
	)
	// One byte more at every look, so that no two looks see the same file.
	onLook := func() {
		mu.Lock()
		defer mu.Unlock()
		if writing == nil {
			return
		}
		seen = append(seen, w.plugin(t, "agent"))
		n := 1
		if len(seen) == 20 {
			n = len(rest)
		}
		if _, err := writing.Write(rest[:n]); err != nil {
			t.Error(err)
		}
		if rest = rest[n:]; len(rest) == 0 {
			if err := writing.Close(); err != nil {
				t.Error(err)
			}
			writing = nil
		}
	}
	w = startWatched(t, onLook)
	announced := w.events(t)
	generation := w.plugin(t, "agent").Generation
	mu.Lock()
	file, err := os.Create(filepath.Join(w.folder, "agent", "plugin.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write(silent[:len(silent)/2]); err != nil {
		t.Fatal(err)
	}
	writing, rest = file, silent[len(silent)/2:]
	mu.Unlock()
	eventually(t, "the whole file is loaded", func() bool { return w.plugin(t, "agent").Generation != generation && w.Settled() })
	for i, status := range seen {
		if status.Generation != generation || status.Error != "" || status.State != subjects.StateReady {
			t.Errorf("at look %d, with a part of the file: %+v", i, status)
		}
	}
	if got, want := announced.of(t, "agent"), map[string]int{"loaded": 1}; !maps.Equal(got, want) {
		t.Errorf("announced %v, want %v", got, want)
	}
}

func TestFileThatIsCutShortWaitsForItsRest(t *testing.T) {
	t.Parallel()
	w := startWatched(t, nil)
	generation := w.plugin(t, "agent").Generation
	path := filepath.Join(w.folder, "agent", "plugin.wasm")
	write(t, path, silent[:len(silent)/2])
	eventually(t, "the failure is told", func() bool { return w.plugin(t, "agent").Error != "" })
	if status := w.plugin(t, "agent"); status.State != subjects.StateReady || status.Generation != generation || !strings.Contains(status.Error, "copy it again") {
		t.Errorf("status is %s, generation %s (was %s), error %q", status.State, status.Generation, generation, status.Error)
	}
	w.good(t, "agent")
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write(silent[len(silent)/2:]); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the whole file is loaded", func() bool {
		status := w.plugin(t, "agent")
		return status.Generation != generation && status.Error == ""
	})
}

func TestLoadThatFailsWhileFilesChangeIsNoFailure(t *testing.T) {
	t.Parallel()
	var log testenv.Log
	w := start(t, &log, func(c *setup) {
		c.WatchClosely(nil)
		c.Runtime.CompileTimeout = 3 * time.Second // what the first version takes until it fails
	})
	announced := w.events(t)
	testenv.AddPlugin(t, w.folder, "agent", agentManifest(), guests.Stuck().Bytes())
	eventually(t, "it is being initialised", func() bool { return strings.Contains(log.String(), "hm?") })
	write(t, filepath.Join(w.folder, "agent", "plugin.wasm"), echo)
	eventually(t, "the second version serves", func() bool {
		plugins := w.Status().Plugins
		return len(plugins) == 1 && plugins[0].State == subjects.StateReady && w.Settled()
	})
	if got, want := announced.of(t, "agent"), map[string]int{"loaded": 1}; !maps.Equal(got, want) {
		t.Errorf("announced %v, want %v", got, want)
	}
}

func TestUnchangedPluginIsNotLoadedAnew(t *testing.T) {
	t.Parallel()
	w := startWatched(t, nil)
	announced := w.events(t)
	testenv.AddPlugin(t, w.folder, "agent", agentManifest(), echo) // the same once more
	eventually(t, "it has been looked at", w.Settled)
	if got := announced.of(t, "agent"); len(got) > 0 {
		t.Errorf("announced %v", got)
	}
	if err := w.Refresh(w.context(t), "agent"); err != nil {
		t.Fatal(err)
	}
	if got, want := announced.of(t, "agent"), map[string]int{"loaded": 1}; !maps.Equal(got, want) {
		t.Errorf("after a refresh announced %v, want %v", got, want)
	}
}

func TestFailureEndsWhenTheFormerFilesAreBack(t *testing.T) {
	t.Parallel()
	w := startWatched(t, nil)
	announced := w.events(t)
	generation := w.plugin(t, "agent").Generation
	write(t, filepath.Join(w.folder, "agent", "plugin.wasm"), []byte("none"))
	eventually(t, "the failure is told", func() bool { return w.plugin(t, "agent").Error != "" })
	write(t, filepath.Join(w.folder, "agent", "plugin.wasm"), echo)
	eventually(t, "it is not any more", func() bool { return w.plugin(t, "agent").Error == "" && w.Settled() })
	if status := w.plugin(t, "agent"); status.Generation != generation {
		t.Errorf("generation %s, was %s", status.Generation, generation)
	}
	if got, want := announced.of(t, "agent"), map[string]int{"failed": 1, "loaded": 1}; !maps.Equal(got, want) {
		t.Errorf("announced %v, want %v", got, want)
	}
}

func TestPluginsFolderThatIsAwayCostsNoPlugin(t *testing.T) {
	t.Parallel()
	var looks atomic.Int64
	w := startWatched(t, func() { looks.Add(1) })
	announced := w.events(t)
	rename(t, w.folder, w.folder+".away")
	t.Cleanup(func() { _ = os.RemoveAll(w.folder + ".away") })
	for range 5 {
		before := looks.Load()
		w.LookAgain()
		eventually(t, "the watch has looked", func() bool { return looks.Load() > before })
	}
	w.good(t, "agent")
	rename(t, w.folder+".away", w.folder)
	testenv.AddPlugin(t, w.folder, "agent", agentManifest(), silent)
	if err := w.Rescan(w.context(t)); err != nil {
		t.Fatal(err)
	}
	if got, want := announced.of(t, "agent"), map[string]int{"loaded": 1}; !maps.Equal(got, want) {
		t.Errorf("announced %v, want %v", got, want)
	}
}

func TestRescanLoadsWhatHasChanged(t *testing.T) {
	t.Parallel()
	w := start(t, nil, func(c *setup) { // nothing is watched
		for _, id := range []string{"same", "changed", "removed"} {
			testenv.AddPlugin(t, c.Plugins.Folder, id, agentManifest(), echo)
		}
	})
	announced := w.events(t)
	testenv.AddPlugin(t, w.folder, "changed", nil, silent)
	testenv.AddPlugin(t, w.folder, "new", agentManifest(), echo)
	testenv.AddPlugin(t, w.folder, "bad", agentManifest(), []byte("none"))
	if err := os.RemoveAll(filepath.Join(w.folder, "removed")); err != nil {
		t.Fatal(err)
	}
	if err := w.Rescan(w.context(t)); err == nil || !strings.Contains(err.Error(), "bad: not a WebAssembly module") {
		t.Errorf("Rescan: %v", err)
	}
	for id, want := range map[string]map[string]int{
		"same": {}, "changed": {"loaded": 1}, "removed": {"unloaded": 1}, "new": {"loaded": 1}, "bad": {"failed": 1},
	} {
		if got := announced.of(t, id); !maps.Equal(got, want) {
			t.Errorf("%s: announced %v, want %v", id, got, want)
		}
	}
}

func TestFolderReplacedUnderLoadFailsNoCall(t *testing.T) {
	t.Parallel()
	w := startWatched(t, nil)
	ctx := w.context(t)
	caller := client.New(w.caller.Conn, client.WithResends(0)) // which would hide a refusal
	load, stop := context.WithCancel(ctx)
	var workers sync.WaitGroup
	var echoed, silenced atomic.Int64
	for range 8 {
		workers.Go(func() {
			for load.Err() == nil {
				response, err := caller.Call(ctx, "agent", biography, []byte("\x0a\x01x"))
				switch {
				case err != nil:
					t.Errorf("a call while the folder is replaced: %v", err)
					return
				case len(response) > 0:
					echoed.Add(1)
				default:
					silenced.Add(1)
				}
			}
		})
	}
	elsewhere := t.TempDir()
	for i, wasm := range [][]byte{silent, echo, silent, echo} {
		answered := []*atomic.Int64{&silenced, &echoed}[i%2]
		before := answered.Load()
		testenv.AddPlugin(t, elsewhere, "agent", agentManifest(), wasm)
		rename(t, filepath.Join(w.folder, "agent"), filepath.Join(elsewhere, "old"))
		rename(t, filepath.Join(elsewhere, "agent"), filepath.Join(w.folder, "agent"))
		if err := os.RemoveAll(filepath.Join(elsewhere, "old")); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the new version answers", func() bool { return t.Failed() || answered.Load() > before+100 })
	}
	stop()
	workers.Wait()
	w.good(t, "agent")
}
