package replica_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/testenv/soak/abuse"
)

func TestAbuseIsAnsweredByTheTable(t *testing.T) {
	w := start(t, nil, func(c *setup) { abuse.Install(t, &c.Config) })
	for _, kind := range abuse.Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			if _, err := kind.Check(w.context(t), w.caller); err != nil {
				t.Error(err)
			}
			// A call is over after its reply, when its instance is restored.
			for ctx := w.context(t); w.plugin(t, kind.Plugin).Calls.Running+w.plugin(t, kind.Plugin).Calls.Waiting > 0; {
				if ctx.Err() != nil {
					t.Fatalf("a call is still running or waiting: %+v", w.plugin(t, kind.Plugin).Calls)
				}
			}
			w.good(t, kind.Plugin)
			w.good(t, abuse.Bystander)
		})
	}
}

// In a process of its own, without the race detector, which keeps memory for what
// guests have touched.
func TestAThousandAbusesLeaveNothingBehind(t *testing.T) {
	rounds := "1000"
	if testing.Short() {
		rounds = "100"
	}
	if report, err := testenv.Soak(t, "-only", "abuse", "-rounds", rounds); err != nil {
		t.Errorf("%v\n%s", err, report)
	}
}

// running waits until that many calls of a plugin run.
func (w world) running(t *testing.T, id string, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d calls of %s run", n, id), func() bool { return w.plugin(t, id).Calls.Running == n })
}

func TestLoopDoesNotDelayOtherPlugins(t *testing.T) {
	w := start(t, nil, func(c *setup) { abuse.Install(t, &c.Config) })
	for _, word := range []string{"loop", "sleep 600000"} {
		t.Run(word, func(t *testing.T) {
			ctx := w.context(t)
			done := make(chan error, 1)
			go func() {
				_, err := w.caller.Client.CallJSON(ctx, abuse.Probe, biography, []byte(`{"name":"`+word+`"}`), 3*time.Second)
				done <- err
			}()
			w.running(t, abuse.Probe, 1)
			for range 100 {
				w.good(t, abuse.Bystander)
			}
			if err := abuse.Good(ctx, w.caller, abuse.Probe); err != nil {
				t.Errorf("another call of the same plugin: %v", err)
			}
			select {
			case err := <-done:
				t.Fatalf("it was over before the other calls: %v", err)
			default:
			}
			if err := <-done; !errors.Is(err, subjects.ErrDeadlineExceeded) {
				t.Errorf("it ended with %v", err)
			}
			w.running(t, abuse.Probe, 0)
		})
	}
}

func TestPluginWhoseSlotsAreTakenRefusesAndRecovers(t *testing.T) {
	w := start(t, nil, func(c *setup) {
		abuse.Install(t, &c.Config)
		c.Runtime.MaxConcurrent, c.Runtime.Queue = 2, 1
	})
	ctx := w.context(t)
	var loops sync.WaitGroup
	for range 3 {
		loops.Go(func() {
			_, err := w.caller.Client.CallJSON(ctx, abuse.Probe, biography, []byte(`{"name":"loop"}`), 2*time.Second)
			if !errors.Is(err, subjects.ErrDeadlineExceeded) {
				t.Errorf("a loop ended with %v", err)
			}
		})
	}
	eventually(t, "two loops run and one waits", func() bool {
		calls := w.plugin(t, abuse.Probe).Calls
		return calls.Running == 2 && calls.Waiting == 1
	})
	reply, err := w.caller.Conn.RequestWithContext(ctx, subjects.Call(abuse.Probe, biography), nil)
	if err != nil {
		t.Fatal(err)
	}
	if code, wait := reply.Header.Get(subjects.HeaderErrorCode), reply.Header.Get(subjects.HeaderRetryAfter); code != "429" || wait == "" || len(reply.Data) != 0 {
		t.Errorf("one more call got %v with %d bytes", reply.Header, len(reply.Data))
	}
	if text := reply.Header.Get(subjects.HeaderError); !strings.Contains(text, "try again later, or raise [Runtime] MaxConcurrent or Queue") {
		t.Errorf("it was told %q", text)
	}
	w.good(t, abuse.Bystander)
	loops.Wait()
	w.good(t, abuse.Probe)
}

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu      sync.Mutex
	content bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.content.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.content.String()
}

func TestGuestOutputForgesNothingAndIsBounded(t *testing.T) {
	var log lockedBuffer
	w := start(t, &log, func(c *setup) { abuse.Install(t, &c.Config) })
	for _, word := range []string{"forge 100000", "flood 50000", `error x\nlevel=ERROR msg=forged`, "panic"} {
		_, err := w.caller.Client.CallJSON(w.context(t), abuse.Probe, biography, []byte(`{"name":"`+word+`"}`), patience)
		if err != nil && !errors.Is(err, subjects.ErrPlugin) && !errors.Is(err, subjects.ErrCrashed) {
			t.Errorf("%s: %v", word, err)
		}
	}
	lines, innocent := 0, false
	for line := range strings.Lines(log.String()) {
		lines++
		if !strings.HasPrefix(line, "time=") || strings.ContainsAny(line, "\x1b\r\u202e") {
			t.Errorf("a line that is not the host's: %.200q", line)
		}
		if len(line) > 16<<10 {
			t.Errorf("a line of %d bytes", len(line))
		}
		if strings.Contains(line, "level=ERROR") && !strings.Contains(line, `"level=ERROR msg=forged`) {
			t.Errorf("a forged record: %.200q", line)
		}
		innocent = innocent || strings.Contains(line, "msg=innocent") && strings.Contains(line, "plugin=probe") && strings.Contains(line, "stream=stderr")
	}
	if !innocent {
		t.Error("what the guest wrote is not in the log")
	}
	if lines > 5000 {
		t.Errorf("50,000 lines of a guest made %d in the log", lines)
	}
	w.good(t, abuse.Probe)
}

func TestCrashOfOneCallLeavesTheOthersOfItsPluginAlone(t *testing.T) {
	w := start(t, nil, func(c *setup) {
		testenv.AddPlugin(t, c.Plugins.Folder, abuse.Probe, testenv.Manifest(nil, "MetadataAgent", "Scrobbler"), guests.Wasm(t, guests.Probe))
	})
	ctx := w.context(t)
	done := make(chan error, 1)
	go func() {
		_, err := w.caller.Client.CallJSON(ctx, abuse.Probe, biography, []byte(`{"name":"sleep 1000"}`), patience)
		done <- err
	}()
	w.running(t, abuse.Probe, 1)
	for _, word := range []string{"panic", "exit 0", "exit 1"} {
		_, err := w.caller.Client.CallJSON(ctx, abuse.Probe, biography, []byte(`{"name":"`+word+`"}`), patience)
		if !errors.Is(err, subjects.ErrCrashed) {
			t.Errorf("%s: %v", word, err)
		}
	}
	if err := <-done; err != nil {
		t.Errorf("the call beside them: %v", err)
	}
}
