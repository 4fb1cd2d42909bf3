package replica_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/replica"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/testenv/journal"
)

// forgetful has what removed plugins leave behind removed at once.
func forgetful(c *setup) { c.ForgetRemovedAfter(time.Millisecond) }

// watched has the plugins folder watched.
func watched(c *setup) { c.WatchClosely(nil) }

// removeAll deletes a folder of plugins, or one of them, as rm -rf does.
func removeAll(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

// owns says whether plugin p has what it owns: a schedule and what OnInit has made.
func (s *stateful) owns() bool {
	s.t.Helper()
	return len(s.keysOfBucket(subjects.ScheduleBucket, ">")) == 1 && len(s.keysOfBucket(subjects.StateBucket, "init.p.*")) == 1
}

// A volume that is not mounted, and a folder that is empty for whatever reason, remove no
// plugin: on each replica it goes on with all it owns, until the files are back.
func TestPluginsThatAreAwayAllAtOnceGoOnAndLoseNothing(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		away func(t *testing.T, folder string) (back func())
		says string
	}{
		"the folder is empty": {func(t *testing.T, folder string) func() {
			rename(t, filepath.Join(folder, "p"), folder+".p")
			return func() { rename(t, folder+".p", filepath.Join(folder, "p")) }
		}, "is empty"},
		"there is an empty folder in its place": {func(t *testing.T, folder string) func() {
			rename(t, folder, folder+".away")
			if err := os.Mkdir(folder, 0o700); err != nil {
				t.Fatal(err)
			}
			return func() {
				removeAll(t, folder)
				rename(t, folder+".away", folder)
			}
		}, "is empty"},
		"there is a folder without plugins in its place": {func(t *testing.T, folder string) func() {
			rename(t, folder, folder+".away")
			if err := os.MkdirAll(filepath.Join(folder, "lost+found"), 0o700); err != nil {
				t.Fatal(err)
			}
			return func() {
				removeAll(t, folder)
				rename(t, folder+".away", folder)
			}
		}, "is empty"},
		"the folder is not there": {func(t *testing.T, folder string) func() {
			rename(t, folder, folder+".away")
			return func() { rename(t, folder+".away", folder) }
		}, "no such file or directory"},
		"the folder is on another file system, with another plugin": {func(t *testing.T, folder string) func() {
			if os.Geteuid() != 0 {
				t.Skip("only root can mount a file system")
			}
			if err := syscall.Mount("none", folder, "tmpfs", 0, ""); err != nil {
				t.Skip("no file system can be mounted: ", err)
			}
			unmount := func() {
				if err := syscall.Unmount(folder, syscall.MNT_DETACH); err != nil {
					t.Error(err)
				}
			}
			t.Cleanup(func() { _ = syscall.Unmount(folder, syscall.MNT_DETACH) })
			testenv.AddPlugin(t, folder, "other", agentManifest(), echo)
			return unmount
		}, "is on another file system"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStateful(t, nil)
			seen := s.start(forgetful, watched)
			asked := s.start(forgetful)
			s.do(every("often", "@yearly"))
			generation := status(seen, "p").Generation

			back := test.away(t, s.folder)
			seen.LookAgain()
			eventually(t, "the replica that watches the folder says so", func() bool { return strings.Contains(seen.Status().FolderFault, test.says) })
			if err := asked.Refresh(t.Context(), "p"); err == nil || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), "plugin remove p --purge") {
				t.Errorf("a refresh is answered with %v", err)
			}
			_ = seen.Rescan(t.Context()) // which tells of lost+found as well, or that there is no folder
			s.awaitBeats(8)              // the leader looks for removed plugins as often
			for _, r := range []*replica.Replica{seen, asked} {
				is := status(r, "p")
				if is.State != subjects.StateReady || is.Generation != generation || len(is.Warnings) == 0 || !strings.Contains(is.Warnings[0], test.says) {
					t.Errorf("%s has it as %+v", r.ID(), is)
				}
			}
			if !s.owns() || len(s.keysOfBucket(subjects.StateBucket, "removed.*")) > 0 {
				t.Error("it does not have what it owns any more, or counts as removed")
			}
			s.do(every("often", "@monthly"))

			back()
			for _, r := range []*replica.Replica{seen, asked} {
				if err := r.Rescan(t.Context()); err != nil {
					t.Error(err)
				}
				// What was found meanwhile is kept in its turn: nobody knows which file system is the right one.
				if err := r.Forget(t.Context(), "other"); err != nil {
					t.Error(err)
				}
				// A look at the folder may have met the moment in which it was replaced.
				eventually(t, "it is as before on "+r.ID(), func() bool {
					_ = r.Rescan(t.Context())
					is, fault := status(r, "p"), r.Status().FolderFault
					return is.Generation == generation && len(is.Warnings) == 0 && fault == ""
				})
			}
			if !s.owns() || len(s.journal.Of("init")) != 1 {
				t.Errorf("it does not have what it owns any more, or was initialised %d times", len(s.journal.Of("init")))
			}
		})
	}
}

// A change of the configuration cannot be applied to a plugin whose files are away, and is
// once they are back.
func TestAnotherConfigurationWaitsForFilesThatAreAway(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	r := s.start(forgetful)
	generation := status(r, "p").Generation
	rename(t, s.folder, s.folder+".away")
	config := r.Config()
	config.PluginConfig = map[string]map[string]string{"p": {"journal": s.journal.URL(), "more": "1"}}
	if done, err := r.Reconfigure(t.Context(), config); err != nil || len(done.Failed) != 1 {
		t.Errorf("got %+v, %v", done, err)
	}
	if is := status(r, "p"); is.State != subjects.StateReady || is.Generation != generation {
		t.Errorf("it is %+v", is)
	}
	rename(t, s.folder+".away", s.folder)
	if err := r.Rescan(t.Context()); err != nil {
		t.Error(err)
	}
	if is := status(r, "p"); is.State != subjects.StateReady || is.Generation == generation {
		t.Errorf("with its files back it is %+v", is)
	}
}

// What comes first into a folder that was empty does not say that the rest is gone: as a
// backup that is restored.
func TestAPluginInAnEmptyFolderRemovesNoOther(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	r := s.start(forgetful)
	s.do(every("often", "@yearly"))
	removeAll(t, filepath.Join(s.folder, "p"))
	if err := r.Rescan(t.Context()); err != nil {
		t.Fatal(err)
	}
	testenv.AddPlugin(t, s.folder, "other", agentManifest(), echo)
	if err := r.Rescan(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.awaitBeats(8)
	if is := status(r, "p"); is.State != subjects.StateReady || status(r, "other").State != subjects.StateReady || !s.owns() {
		t.Errorf("it is %+v", is)
	}
	// From here on the folder is one like any other.
	removeAll(t, filepath.Join(s.folder, "other"))
	testenv.AddPlugin(t, s.folder, "p", journal.Manifest(), guests.Wasm(t, guests.Stateful))
	if err := r.Rescan(t.Context()); err != nil || status(r, "other").ID != "" || r.Status().FolderFault != "" {
		t.Errorf("status %+v, %v", r.Status(), err)
	}
}

// Each replica finds the mark that the command has left, though the folder is empty.
func TestTheLastPluginThatIsRemovedByCommandTakesWhatItOwnsWithIt(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	first := s.start(forgetful, watched)
	second := s.start(forgetful, watched)
	s.do(every("often", "@yearly"))
	testenv.RemovePlugin(t, s.folder, "p")
	for _, r := range []*replica.Replica{first, second} {
		r.LookAgain()
		eventually(t, "it is unloaded", func() bool { return status(r, "p").ID == "" })
	}
	eventually(t, "what it owned is gone", func() bool {
		return len(s.keysOfBucket(subjects.ScheduleBucket, ">")) == 0 && len(s.keysOfBucket(subjects.StateBucket, "init.p.*")) == 0
	})
	if fault := first.Status().FolderFault; fault != "" {
		t.Errorf("folder fault %q", fault)
	}
}

// The mark waits for who was not there.
func TestAPluginThatIsRemovedByCommandWhileNoReplicaRunsTakesWhatItOwnsWithIt(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	with := s.setup(forgetful)
	first := testenv.Start(t, with.Config, s.log, with.options...)
	s.do(every("often", "@yearly"))
	if err := first.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	testenv.RemovePlugin(t, s.folder, "p")
	second := testenv.Start(t, with.Config, s.log, with.options...)
	nothing := func() bool {
		return len(s.keysOfBucket(subjects.ScheduleBucket, ">")) == 0 && len(s.keysOfBucket(subjects.StateBucket, "init.p.*")) == 0 &&
			len(s.keysOfBucket(subjects.StateBucket, "removed.*")) == 0
	}
	eventually(t, "what it owned is gone", nothing)
	if err := second.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}

	// It is somewhere else now: the mark has had its effect.
	own := t.TempDir()
	testenv.AddPlugin(t, own, "p", journal.Manifest(), guests.Wasm(t, guests.Stateful))
	elsewhere := s.start(forgetful, func(c *setup) { c.Plugins.Folder = own })
	s.do(every("often", "@yearly"))
	if err := elsewhere.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	third := testenv.Start(t, with.Config, s.log, with.options...)
	eventually(t, "it leads", func() bool { return third.Status().Leader == third.ID() })
	s.awaitBeats(8)
	if !s.owns() {
		t.Error("what it owned is gone once more")
	}
}

// A mark tells of one removal, not of those to come.
func TestAMarkOfAnEarlierRemovalRemovesNothing(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	r := s.start(forgetful)
	testenv.RemovePlugin(t, s.folder, "p")
	if err := r.Rescan(t.Context()); err != nil || status(r, "p").ID != "" {
		t.Fatalf("%+v, %v", status(r, "p"), err)
	}
	testenv.AddPlugin(t, s.folder, "p", journal.Manifest(), guests.Wasm(t, guests.Stateful)) // by hand: the mark stays
	if plugin.RemovalMark(s.folder, "p") == "" {
		t.Fatal("there is no mark")
	}
	if err := r.Rescan(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.do(every("often", "@yearly"))
	removeAll(t, filepath.Join(s.folder, "p"))
	if err := r.Rescan(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.awaitBeats(8)
	if is := status(r, "p"); is.State != subjects.StateReady || !s.owns() {
		t.Errorf("it is %+v", is)
	}
}

// A replica that starts without its volume knows nothing of the plugins, and removes
// nothing of theirs.
func TestARestartWithoutTheVolumeLosesNothing(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	first := s.start(forgetful)
	s.do(every("often", "@yearly"))
	if err := first.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	rename(t, s.folder, s.folder+".away")
	second := s.start(forgetful) // which makes the folder
	eventually(t, "it leads", func() bool { return second.Status().Leader == second.ID() })
	if fault := second.Status().FolderFault; !strings.Contains(fault, "is empty") || !strings.Contains(fault, ": p. ") {
		t.Errorf("folder fault %q, want that it is empty and p has something", fault)
	}
	s.awaitBeats(8)
	if !s.owns() {
		t.Error("it does not have what it owns any more")
	}
	removeAll(t, s.folder)
	rename(t, s.folder+".away", s.folder)
	if err := second.Rescan(t.Context()); err != nil {
		t.Fatal(err)
	}
	if is, fault := status(second, "p"), second.Status().FolderFault; is.State != subjects.StateReady || is.Schedules != 1 || fault != "" {
		t.Errorf("back, it is %+v, folder fault %q", is, fault)
	}
}

// What was the last plugin of its folder, and is deleted without the command, goes for good
// once somebody says so: on replicas that have it in memory, and if none has.
func TestAPluginIsForgottenOnRequest(t *testing.T) {
	t.Parallel()
	for name, isRestarted := range map[string]bool{"while replicas go on with it": false, "after a restart": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStateful(t, nil)
			replicas := []*replica.Replica{s.start(forgetful), s.start(forgetful)}
			s.do(every("often", "@yearly"))
			operator := client.New(s.conn)
			if answers, err := operator.Forget(t.Context(), "p"); err != nil || len(answers) != 2 || answers[0].Outcome != subjects.OutcomeKept || answers[1].Outcome != subjects.OutcomeKept {
				t.Errorf("while it is there: %+v, %v", answers, err)
			}
			removeAll(t, filepath.Join(s.folder, "p"))
			want := subjects.OutcomeUnloaded
			if isRestarted {
				for _, r := range replicas {
					if err := r.Drain(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				replicas = []*replica.Replica{s.start(forgetful), s.start(forgetful)}
				want = subjects.OutcomeUnknown
			} else if err := replicas[0].Refresh(t.Context(), "p"); err == nil {
				t.Error("a refresh has unloaded it")
			}
			s.awaitBeats(8)
			if !s.owns() {
				t.Error("nobody has said that it is to go")
			}
			answers, err := operator.Forget(t.Context(), "p")
			if err != nil || len(answers) != 2 || answers[0].Outcome != want || answers[1].Outcome != want {
				t.Errorf("got %+v, %v", answers, err)
			}
			eventually(t, "what it owned is gone", func() bool {
				return len(s.keysOfBucket(subjects.ScheduleBucket, ">")) == 0 && len(s.keysOfBucket(subjects.StateBucket, "init.p.*")) == 0 &&
					len(s.keysOfBucket(subjects.StateBucket, "removed.*")) == 0
			})
			if fault := replicas[0].Status().FolderFault; fault != "" || status(replicas[0], "p").ID != "" {
				t.Errorf("folder fault %q", fault)
			}
		})
	}
}

// A generation is what one reading of each file gives: what is in the files a moment later
// changes neither the permissions nor what the digest is of, and cannot hold the reader up.
func TestFilesThatAreSwappedWhileTheyAreReadChangeNothing(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	testenv.AddPlugin(t, folder, "agent", agentManifest(), echo)
	manifest := filepath.Join(folder, "agent", "manifest.json")
	for name, swap := range map[string]func(){
		"by another manifest": func() { write(t, manifest, testenv.Manifest(nil, plugin.Scrobbler)) },
		"by a pipe": func() {
			removeAll(t, manifest)
			if err := syscall.Mkfifo(manifest, 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"by an endless file": func() {
			removeAll(t, manifest)
			link(t, "/dev/zero", manifest)
		},
		"by nothing": func() { removeAll(t, manifest) },
	} {
		t.Run(name, func(t *testing.T) {
			removeAll(t, manifest)
			write(t, manifest, agentManifest())
			entry := plugin.Load(folder, "agent")
			if entry.Err != nil {
				t.Fatal(entry.Err)
			}
			swap()
			digest, err := replica.DigestOfSource(entry)
			if want := plugin.FilesDigest(echo, agentManifest()); err != nil || digest != want {
				t.Errorf("digest %s, error %v, want %s of what was decided on", digest, err, want)
			}
		})
	}
}

// A plugin of the folder comes before one of the cluster, and both would have the same
// settings.
func TestAPackageThatDiffersInNothingButCaseFromAPluginOfTheFolderIsAFault(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	config := c.config()
	r := c.start(config)
	c.install(agent(t, "1.0.0", echo))
	eventually(t, "the package is served", func() bool { return serves(r, "agent", "1.0.0") })
	testenv.AddPlugin(t, config.Plugins.Folder, "Agent", agentManifest(), echo)
	if _, err := os.Lstat(filepath.Join(config.Plugins.Folder, "agent")); !os.IsNotExist(err) {
		t.Skip("this file system ignores case: ", fs.ErrExist)
	}
	if err := r.Rescan(t.Context()); err == nil || !strings.Contains(err.Error(), `agent: "agent" differs from another plugin in nothing but case: "Agent"`) {
		t.Errorf("Rescan: %v", err)
	}
	if is := status(r, "agent"); is.State != subjects.StateReady || !strings.Contains(is.Error, `"Agent"`) {
		t.Errorf("the package is %+v", is)
	}
	if is := status(r, "Agent"); is.State != subjects.StateReady {
		t.Errorf("the plugin of the folder is %+v", is)
	}
	again := c.config()
	again.Plugins.Folder = config.Plugins.Folder
	restarted := c.start(again)
	if is := status(restarted, "agent"); is.State != subjects.StateFailed {
		t.Errorf("on another replica the package is %+v", is)
	}
	testenv.AddPlugin(t, config.Plugins.Folder, "other", agentManifest(), echo)
	removeAll(t, filepath.Join(config.Plugins.Folder, "Agent"))
	for _, r := range []*replica.Replica{r, restarted} {
		if err := r.Rescan(t.Context()); err != nil {
			t.Error(err)
		}
		if is := status(r, "agent"); is.State != subjects.StateReady || is.Error != "" || status(r, "Agent").ID != "" {
			t.Errorf("alone, the package is %+v", is)
		}
	}
}
