package compiler_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/pluginhost/pluginhost/testenv/guests"
)

func TestProcessEndsWithTheOneThatStartedIt(t *testing.T) {
	t.Parallel()
	parent := exec.Command("/proc/self/exe")
	parent.Env = append(os.Environ(), parentOf+"="+t.TempDir())
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || !isAlive(pid) {
		t.Fatalf("process %q is not there: %v", line, err)
	}
	eventually(t, "it compiles", func() bool { return ticks(t, pid) >= 20 })
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // it was killed
	eventually(t, "the process has ended", func() bool { return !runs(pid) })
}

// ticks is how much time of a processor a process has taken, in hundredths of a second.
func ticks(t *testing.T, pid int) (n int) {
	t.Helper()
	_, rest, _ := strings.Cut(content(t, pid, "stat"), ") ")
	for _, field := range strings.Fields(rest)[11:13] { // user and system
		some, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		n += some
	}
	return n
}

// runs is isAlive without processes that have ended, as a container may lack who waits for
// those whose parent is gone.
func runs(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z") && !strings.HasPrefix(state, "X")
}

func TestProcessHasNothingThatItNeedsNot(t *testing.T) {
	t.Setenv("PLUGINHOST_TEST_SECRET", "hush")
	seen := errors.New("seen")
	ctx, cancel := context.WithCancelCause(t.Context())
	var looked atomic.Bool
	process, _ := started(t, func(pid int) {
		defer cancel(seen)
		// It has begun its program, and its work, by then.
		eventually(t, "it stands behind others", func() bool { return content(t, pid, "oom_score_adj") == "1000" })
		if environment := content(t, pid, "environ"); environment != "" {
			t.Errorf("its environment is %q, want none", environment)
		}
		if dir, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid)); err != nil || dir != "/" {
			t.Errorf("it works in %q (%v), want /", dir, err)
		}
		eventually(t, "its memory is bounded", func() bool {
			for line := range strings.Lines(content(t, pid, "limits")) {
				if rest, found := strings.CutPrefix(line, "Max data size"); found {
					return !strings.Contains(rest, "unlimited")
				}
			}
			return false
		})
		if group, err := syscall.Getpgid(pid); err != nil || group != pid {
			t.Errorf("it is in the process group %d (%v), want one of its own", group, err)
		}
		looked.Store(true)
	})
	if err := process.Compile(ctx, job(t, guests.Bomb(0))); !errors.Is(err, seen) {
		t.Fatal(err)
	}
	if !looked.Load() {
		t.Error("nobody has looked")
	}
}

// content is what a file of a process below /proc holds, without white space around.
func content(t *testing.T, pid int, name string) string {
	t.Helper()
	all, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(all))
}
