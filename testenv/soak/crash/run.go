package crash

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/replica"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/testenv/soak/report"
	"github.com/pluginhost/pluginhost/testenv/soak/usage"
)

// The plugins that Install adds.
const (
	trapping  = "trapping"  // traps, written by hand
	panicking = "panicking" // guests.Probe, which panics when asked to
	bystander = "bystander" // returns every request
)

// Install adds the plugins to the folder of a replica that is yet to start.
func Install(t testing.TB, config *config.Config) {
	t.Helper()
	manifest := testenv.Manifest(nil, "MetadataAgent")
	testenv.AddPlugin(t, config.Plugins.Folder, trapping, manifest, guests.Handmade{Body: guests.Trap}.Bytes())
	testenv.AddPlugin(t, config.Plugins.Folder, panicking, testenv.Manifest(nil, "MetadataAgent", "Scrobbler"), guests.Wasm(t, guests.Probe))
	testenv.AddPlugin(t, config.Plugins.Folder, bystander, manifest, guests.Handmade{Body: guests.Echo}.Bytes())
}

// Sizes say how much there is to do.
type Sizes struct {
	// Calls is how often each plugin is called that crashes, by so many Callers at
	// once.
	Calls, Callers int
	// Idle is how long the process is watched before the calls and after.
	Idle time.Duration
	// Busy is how many processors more it may use after than before.
	Busy float64
	// Spare is what may be used more of at the end.
	Spare usage.Usage
	// Progress, if it is not nil, is told how many calls are done.
	Progress func(done, all int)
}

const (
	// warmUp is how many calls are made before what is used is measured.
	warmUp = 100
	// pace is how often the other plugin is called.
	pace = 5 * time.Millisecond
	// patience is a time that nothing here needs.
	patience = 30 * time.Second
	// biography is the method that is called.
	biography = "get_artist_biography"
)

// Result is what came of it.
type Result struct {
	// IdleBefore and IdleAfter are how many processors the process used while
	// nobody called.
	IdleBefore, IdleAfter float64
	// Alone is how long the calls of another plugin took while nothing crashed.
	Alone   report.Latency
	Plugins []PluginResult
	Before  usage.Usage
	After   usage.Usage
	Faults  []string
}

// PluginResult is what calls of one plugin cost.
type PluginResult struct {
	Plugin string
	// Calls is how many were made, Crashed how many were told so.
	Calls, Crashed int
	Took           time.Duration
	// CPU is what the process used for all: callers, server and replica.
	CPU time.Duration
	// Beside is how long the calls of another plugin took meanwhile.
	Beside report.Latency
}

// soak is calls that crash.
type soak struct {
	sizes  Sizes
	client *client.Client
	faults report.Faults
}

// Run makes the calls to a replica that has what Install adds, until they are
// done or ctx is over.
func Run(ctx context.Context, host *replica.Replica, sizes Sizes) (Result, error) {
	conn, err := nats.Connect(host.URL())
	if err != nil {
		return Result{}, err
	}
	defer conn.Close()
	s := &soak{sizes: sizes, client: client.New(conn, client.WithResends(0))}
	result := Result{IdleBefore: s.idle(ctx)} // before anything has crashed
	requests := map[string]string{trapping: "{}", panicking: `{"name":"panic"}`}
	for id, request := range requests {
		s.crash(ctx, id, request, warmUp)
	}
	s.calm(ctx, host)
	result.Before = usage.Measure()
	watched, cancel := context.WithTimeout(ctx, sizes.Idle)
	defer cancel()
	result.Alone = s.callBystander(watched)
	for _, id := range []string{trapping, panicking} {
		result.Plugins = append(result.Plugins, s.crash(ctx, id, requests[id], sizes.Calls))
	}
	result.IdleAfter = s.idle(ctx)
	if result.IdleAfter > result.IdleBefore+sizes.Busy && ctx.Err() == nil {
		s.faults.Addf("nobody calls, but %.3f processors are used, %.3f before anything crashed", result.IdleAfter, result.IdleBefore)
	}
	s.calm(ctx, host)
	settling, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	var grown []string
	result.After, grown = usage.Settle(settling, result.Before, sizes.Spare)
	s.faults.Add(grown...)
	result.Faults = s.faults.List()
	return result, nil
}

// calm leaves one instance of each plugin: how many there are after a load is
// chance.
func (s *soak) calm(ctx context.Context, host *replica.Replica) {
	for _, id := range []string{trapping, panicking, bystander} {
		if err := host.Refresh(context.WithoutCancel(ctx), id); err != nil {
			s.faults.Addf("%s: %v", id, err)
		}
	}
}

// idle is how many processors the process uses while nothing is done.
func (s *soak) idle(ctx context.Context) float64 {
	before, start := usage.CPU(), time.Now()
	timer := time.NewTimer(s.sizes.Idle)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return (usage.CPU() - before).Seconds() / max(time.Since(start).Seconds(), 1e-9)
}

// crash has a plugin called that crashes, and another beside it.
func (s *soak) crash(ctx context.Context, id, request string, calls int) PluginResult {
	beside, stop := context.WithCancel(ctx)
	defer stop()
	measured := make(chan report.Latency)
	go func() { measured <- s.callBystander(beside) }()
	var taken, made, crashed atomic.Int64
	before, start := usage.CPU(), time.Now()
	var callers sync.WaitGroup
	for range s.sizes.Callers {
		callers.Go(func() {
			for ctx.Err() == nil && taken.Add(1) <= int64(calls) {
				err := s.call(ctx, id, request)
				if n := made.Add(1); s.sizes.Progress != nil && calls == s.sizes.Calls {
					s.sizes.Progress(int(n), calls)
				}
				if errors.Is(err, subjects.ErrCrashed) {
					crashed.Add(1)
				} else {
					s.faults.Addf("a call of %s got %v, want %v", id, err, subjects.ErrCrashed)
				}
			}
		})
	}
	callers.Wait()
	result := PluginResult{Plugin: id, Calls: int(made.Load()), Crashed: int(crashed.Load()), Took: time.Since(start), CPU: usage.CPU() - before}
	stop()
	result.Beside = <-measured
	return result
}

func (s *soak) call(ctx context.Context, id, request string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	_, err := s.client.CallJSON(ctx, id, biography, []byte(request), 0)
	return err
}

// callBystander calls the other plugin every now and then until ctx is over.
func (s *soak) callBystander(ctx context.Context) report.Latency {
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	var took []time.Duration
	for n := 0; ; n++ {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return report.LatencyOf(took)
		}
		start := time.Now()
		if err := s.callEcho(ctx, fmt.Sprintf("call %d", n)); err != nil {
			s.faults.Addf("the other plugin: %v", err)
		}
		took = append(took, time.Since(start))
	}
}

func (s *soak) callEcho(ctx context.Context, want string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	got, err := s.client.Call(ctx, bystander, biography, []byte(want))
	if err == nil && string(got) != want {
		err = fmt.Errorf("got %.80q, want %q", got, want)
	}
	return err
}

// Bad lists what is not good.
func (r Result) Bad() []string { return r.Faults }

// Text is the report.
func (r Result) Text() string {
	var t report.Table
	t.Row("plugin", "calls", "crashed", "calls/s", "CPU a call", "another plugin meanwhile")
	t.Row("none", "", "", "", "", r.Alone)
	for _, p := range r.Plugins {
		calls := max(p.Calls, 1)
		t.Row(p.Plugin, p.Calls, p.Crashed, fmt.Sprintf("%.0f", float64(p.Calls)/max(p.Took.Seconds(), 1e-9)),
			(p.CPU / time.Duration(calls)).Round(time.Microsecond), p.Beside)
	}
	return t.String() + fmt.Sprintf("\nprocessors in use while nobody calls: %.3f before, %.3f after\n\n", r.IdleBefore, r.IdleAfter) +
		report.BeforeAfter(r.Before, r.After)
}
