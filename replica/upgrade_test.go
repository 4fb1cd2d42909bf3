package replica_test

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// unkeyed is the last version whose generations have no key.
const unkeyed = "d961d9cce9d59a8960382b80e8288d21b7b71edc"

// former starts a replica of a former version.
func (s *stateful) former(commit string) *testenv.Process {
	s.t.Helper()
	file := filepath.Join(s.t.TempDir(), "host.toml")
	content := fmt.Sprintf("%s[PluginConfig.p]\njournal = %q\n", testenv.SharedCache, s.journal.URL())
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return testenv.StartBinary(s.t, testenv.FormerBinary(s.t, commit),
		"--config", file, "--nats", s.url, "--plugins", s.folder, "--data", testenv.DataFolder(s.t), "--http", "")
}

// leave has a replica in a process leave.
func leave(t *testing.T, p *testenv.Process) {
	t.Helper()
	p.Signal(syscall.SIGTERM)
	if code := p.Wait(); code != 0 {
		t.Errorf("it ends with %d\n%s", code, p.Log())
	}
}

// serving waits until so many replicas serve the plugin, and returns how many serve which
// generation.
func (s *stateful) serving(want int) map[string]int {
	s.t.Helper()
	var generations map[string]int
	eventually(s.t, fmt.Sprintf("%d replicas serve", want), func() bool {
		generations = make(map[string]int)
		infos, err := s.client.Info(s.t.Context(), "p")
		for _, info := range infos {
			if info.Plugin != nil && info.Plugin.State == subjects.StateReady {
				generations[info.Plugin.Generation]++
			}
		}
		return err == nil && len(infos) == want
	})
	return generations
}

// Replicas of two versions have different generations of the same files and settings: OnInit
// runs once for each, however often replicas of either come and go, as long as one of their
// version is there. An upgrade one by one runs it once more, and so does going back.
func TestAnUpgradeOneByOneRunsOnInitOnceMore(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	old := []*testenv.Process{s.former(unkeyed), s.former(unkeyed), s.former(unkeyed)}
	step := func(what string, inits, replicas, generations int) {
		t.Helper()
		if got := s.serving(replicas); len(got) != generations {
			t.Errorf("%s: the generations are %v, want %d", what, got, generations)
		}
		if n := len(s.journal.Of("init")); n != inits {
			t.Errorf("%s: OnInit ran %d times, want %d", what, n, inits)
		}
	}
	step("before", 1, 3, 1)
	fresh := s.starting(1)()
	step("the first of the new version", 2, 4, 2)
	leave(t, old[0])
	old[0] = s.former(unkeyed)
	step("one of the former version again", 2, 4, 2)
	fresh = append(fresh, s.start())
	step("the second of the new version", 2, 5, 2)
	if err := fresh[0].Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	fresh[0] = s.start()
	step("one of the new version again", 2, 5, 2)
	if answers, err := s.client.Refresh(t.Context(), "p"); err != nil || len(answers) != 5 {
		t.Errorf("%+v, %v", answers, err)
	}
	step("all refreshed", 2, 5, 2)
	for _, p := range old {
		leave(t, p)
	}
	fresh = append(fresh, s.start())
	step("all of the new version", 2, 3, 1)

	back := []*testenv.Process{s.former(unkeyed)}
	step("back: the first of the former version", 3, 4, 2)
	back = append(back, s.former(unkeyed))
	for _, r := range fresh {
		if err := r.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	back = append(back, s.former(unkeyed))
	step("back: all of the former version", 3, 3, 1)
	_ = back
}

// A replica of the former version knows no key: the bucket that is lost gets it back from the
// others, whoever makes it anew.
func TestReplicasOfTheFormerVersionDoNotChangeTheKey(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	s.former(unkeyed)
	r := s.start()
	before := s.generation(r)
	s.loseState()
	awaitRecord(s.again(), subjects.StateBucket, subjects.GenerationKey, isThere[struct{}])
	s.former(unkeyed)
	other := s.start()
	if got := s.generation(other); got != before || s.generation(r) != before {
		t.Errorf("the generations are %s and %s, before it was %s", s.generation(r), got, before)
	}
	// How often OnInit ran is not told: the former version runs its own again if its record is
	// lost and it starts before it sees the heartbeat of another.
}
