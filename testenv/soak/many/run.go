package many

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	installed "github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/replica"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/testenv/soak/report"
	"github.com/pluginhost/pluginhost/testenv/soak/usage"
)

// Sizes say how much there is to do.
type Sizes struct {
	// Plugins is how many are written by hand, each another module, and Compiled
	// how many are compiled from Go, all of the same module.
	Plugins, Compiled int
	// Spare is what may be used more of at the end.
	Spare usage.Usage
	// Seed decides in which order they are called and removed.
	Seed uint64
	// Progress, if it is not nil, is told how many plugins are loaded.
	Progress func(done, all int)
}

const (
	// workers is how many plugins are loaded or removed at once.
	workers = 4
	// patience is a time that nothing here needs.
	patience = 2 * time.Minute
	// biography is the method that is called.
	biography = "get_artist_biography"
)

// Result is what came of it.
type Result struct {
	// Plugins is how many were loaded.
	Plugins int
	// Loading, Calling and Removing are how long it took for all.
	Loading, Calling, Removing time.Duration
	// Before and After are without the plugins, Full is with them.
	Before, Full, After usage.Usage
	Faults              []string
}

// soak is plugins that come and go.
type soak struct {
	sizes  Sizes
	host   *replica.Replica
	client *client.Client
	probe  []byte
	random *rand.Rand
	faults report.Faults
}

// Run does it on a replica, twice with plugins of other ids, of which the second
// time counts, until it is done or ctx is over. t writes the files.
func Run(ctx context.Context, t testing.TB, host *replica.Replica, sizes Sizes) (Result, error) {
	t.Helper()
	conn, err := nats.Connect(host.URL())
	if err != nil {
		return Result{}, err
	}
	defer conn.Close()
	s := &soak{sizes: sizes, host: host, client: client.New(conn), random: rand.New(rand.NewPCG(sizes.Seed, 0))}
	if sizes.Compiled > 0 {
		s.probe = guests.Wasm(t, guests.Probe)
	}
	var result Result
	// The first time, what is kept for later becomes large: heaps, the buffers of
	// the server's store, the tables of the system.
	s.round(ctx, t, s.plugins("first"), &result)
	result = Result{Before: usage.Measure()}
	s.round(ctx, t, s.plugins("second"), &result)
	settling, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience/4)
	defer cancel()
	var grown []string
	result.After, grown = usage.Settle(settling, result.Before, sizes.Spare)
	s.faults.Add(grown...)
	if left := host.Status().Plugins; len(left) > 0 {
		s.faults.Addf("%d plugins are left, the first is %+v", len(left), left[0])
	}
	result.Faults = s.faults.List()
	return result, nil
}

// plugin is one that comes and goes.
type plugin struct {
	id             string
	manifest, wasm []byte
	// request is answered with want.
	request, want string
}

// plugins are those of one round, which nobody has seen before.
func (s *soak) plugins(round string) []plugin {
	var plugins []plugin
	for i := range s.sizes.Plugins {
		plugins = append(plugins, plugin{
			id: fmt.Sprintf("%s-handmade-%d", round, i), manifest: testenv.Manifest(nil, "MetadataAgent"),
			wasm: numbered(i), want: string(binary.LittleEndian.AppendUint32(nil, uint32(i))),
		})
	}
	for i := range s.sizes.Compiled {
		plugins = append(plugins, plugin{
			id: fmt.Sprintf("%s-compiled-%d", round, i), manifest: testenv.Manifest(nil, "MetadataAgent", "Scrobbler"),
			wasm: s.probe, request: "\x12\x04good", want: "\x0a\x11biography of good",
		})
	}
	return plugins
}

// numbered is a plugin that answers with its number, in four bytes.
func numbered(i int) []byte {
	return guests.Handmade{Body: []byte{
		0x41, 0x10, 0x41, byte(i)&0x7f | 0x80, byte(i>>7)&0x7f | 0x80, byte(i>>14) & 0x3f, // i32.const 16, i32.const i
		0x36, 0x02, 0x00, // i32.store
		0x42, 0x84, 0x80, 0x80, 0x80, 0x80, 0x02, // i64.const 16<<32 | 4
	}}.Bytes()
}

// round loads plugins, calls each and removes them.
func (s *soak) round(ctx context.Context, t testing.TB, plugins []plugin, result *Result) {
	folder := s.host.Config().Plugins.Folder
	for _, p := range plugins {
		testenv.AddPlugin(t, folder, p.id, p.manifest, p.wasm)
	}
	var done atomic.Int64
	result.Loading = s.each(ctx, plugins, func(ctx context.Context, p plugin) error {
		if s.sizes.Progress != nil {
			s.sizes.Progress(int(done.Add(1)), len(plugins))
		}
		return s.host.Refresh(ctx, p.id)
	})
	s.random.Shuffle(len(plugins), func(i, j int) { plugins[i], plugins[j] = plugins[j], plugins[i] })
	result.Calling = s.each(ctx, plugins, func(ctx context.Context, p plugin) error {
		got, err := s.client.Call(ctx, p.id, biography, []byte(p.request))
		if err == nil && string(got) != p.want {
			err = fmt.Errorf("got %.80q, want %q", got, p.want)
		}
		return err
	})
	result.Plugins = len(s.host.Status().Plugins)
	if result.Plugins != len(plugins) && ctx.Err() == nil {
		s.faults.Addf("status lists %d plugins of %d", result.Plugins, len(plugins))
	}
	result.Full = usage.Measure()
	// What came must go, also where it was interrupted.
	result.Removing = s.each(context.WithoutCancel(ctx), plugins, func(ctx context.Context, p plugin) error {
		// As the command does: the last of a folder that is missing alone is not removed.
		if _, err := installed.Remove(ctx, folder, p.id); err != nil {
			return err
		}
		if err := s.host.Refresh(ctx, p.id); err != nil {
			return err
		}
		if _, err := s.client.Call(ctx, p.id, biography, nil); !errors.Is(err, subjects.ErrUnavailable) {
			return fmt.Errorf("it was removed, but a call got %w", err)
		}
		return nil
	})
}

// each does something with all plugins, several at once, and returns how long
// that took. What has begun is finished if ctx is over.
func (s *soak) each(ctx context.Context, plugins []plugin, do func(context.Context, plugin) error) time.Duration {
	start := time.Now()
	next := make(chan plugin)
	var working sync.WaitGroup
	for range workers {
		working.Go(func() {
			for p := range next {
				ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
				if err := do(ctx, p); err != nil {
					s.faults.Addf("%s: %v", p.id, err)
				}
				cancel()
			}
		})
	}
	for _, p := range plugins {
		if ctx.Err() != nil {
			break
		}
		next <- p
	}
	close(next)
	working.Wait()
	return time.Since(start)
}

// Bad lists what is not good.
func (r Result) Bad() []string { return r.Faults }

// Text is the report.
func (r Result) Text() string {
	var t report.Table
	t.Row("", "all", "each")
	for _, step := range []struct {
		name string
		took time.Duration
	}{{"loading", r.Loading}, {"calling", r.Calling}, {"removing", r.Removing}} {
		t.Row(step.name, step.took.Round(time.Millisecond), (step.took / time.Duration(max(r.Plugins, 1))).Round(time.Microsecond))
	}
	var use report.Table
	use.Row("in use", "before", "with all", "after")
	for _, q := range usage.Quantities() {
		use.Row(q.Name, q.Format(float64(q.Of(r.Before))), q.Format(float64(q.Of(r.Full))), q.Format(float64(q.Of(r.After))))
	}
	return fmt.Sprintf("%d plugins\n", r.Plugins) + t.String() + "\n" + use.String()
}
