package wasmrt_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/wasmrt"
)

// endless are guests and requests that never come to an end by themselves.
func endless(t *testing.T) map[string]struct{ wasm, request []byte } {
	t.Helper()
	probe := guests.Wasm(t, guests.Probe)
	biographyOf := func(name string) []byte {
		request, err := (&api.ArtistBiographyRequest{Name: name}).MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		return request
	}
	return map[string]struct{ wasm, request []byte }{
		"a loop":                       {guests.Handmade{Body: guests.Loop}.Bytes(), nil},
		"recursion without a loop":     {guests.Handmade{Body: guests.Recurse}.Bytes(), nil},
		"few instructions, each long":  {guests.Handmade{Body: guests.FillForEver}.Bytes(), nil},
		"a loop in Go":                 {probe, biographyOf("loop")},
		"recursion in Go":              {probe, biographyOf("fib 100")},
		"a sleep in Go":                {probe, biographyOf("sleep 1000000000")},
		"random bytes for ever, in Go": {probe, biographyOf("secrets")},
		"output for ever, in Go":       {probe, biographyOf("flood 1000000000")},
		// loop, i32.const 3, i32.const 0, i32.const 4096, call 0, drop, br 0, end, i64.const 0
		"the longest paths": {guests.Handmade{WASI: "path_unlink_file", WASIParams: 3, Body: []byte{
			0x03, 0x40, 0x41, 0x03, 0x41, 0x00, 0x41, 0x80, 0x20, 0x10, 0x00, 0x1a, 0x0c, 0x00, 0x0b, 0x42, 0x00,
		}}.Bytes(), nil},
		// loop, four times i32.const: 0, 0, 1024, 0, call 0, drop, br 0, end, i64.const 0
		"many vectors": {guests.Handmade{WASI: "fd_read", WASIParams: 4, Body: []byte{
			0x03, 0x40, 0x41, 0x00, 0x41, 0x00, 0x41, 0x80, 0x08, 0x41, 0x00, 0x10, 0x00, 0x1a, 0x0c, 0x00, 0x0b, 0x42, 0x00,
		}}.Bytes(), nil},
	}
}

func TestEndlessGuestsEndAtTheirDeadlineAndGiveWayMeanwhile(t *testing.T) {
	bystander := load(t, guests.Handmade{Body: guests.Echo}.Bytes(), wasmrt.Options{})
	for name, guest := range endless(t) {
		t.Run(name, func(t *testing.T) {
			calls := 2 * runtime.GOMAXPROCS(0) // every core is busy
			m := load(t, guest.wasm, wasmrt.Options{Limits: wasmrt.Limits{MaxConcurrent: calls}})
			ctx, stop := context.WithCancel(t.Context())
			var running sync.WaitGroup
			for range calls {
				running.Go(func() {
					_, err := m.Call(ctx, biography, guest.request)
					if !errors.Is(err, wasmrt.ErrDeadline) && !errors.Is(err, wasmrt.ErrDeadlineInQueue) {
						t.Errorf("got %T %.200v, want it ended", err, err)
					}
				})
			}
			for m.Stats().Running < calls {
				runtime.Gosched()
			}
			for range 3 {
				runtime.GC()
				if got, err := bystander.Call(t.Context(), biography, []byte("hello")); err != nil || string(got) != "hello" {
					t.Errorf("another plugin answered %q, %v", got, err)
				}
			}
			if stats := m.Stats(); stats.Running != calls {
				t.Errorf("the collector and the other plugin had to wait until guests ended: %+v", stats)
			}
			stop()
			running.Wait()

			deadline, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			if _, err := m.Call(deadline, biography, guest.request); !errors.Is(err, wasmrt.ErrDeadline) {
				t.Errorf("got %T %.200v at the deadline, want ErrDeadline", err, err)
			}
		})
	}
}

const page = 64 << 10

// small returns a Runtime whose guests may have few bytes together.
func small(t *testing.T, hostMemory int64) *wasmrt.Runtime {
	t.Helper()
	r, err := wasmrt.New(wasmrt.Config{CacheDir: guests.CacheDir(t, "compiled"), CompileTimeout: 10 * time.Minute, HostMemory: hostMemory, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if used, _ := r.Memory(); used != 0 {
			t.Errorf("%d bytes are still counted", used)
		}
		if err := r.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r
}

func loadInto(t *testing.T, r *wasmrt.Runtime, wasm []byte, options wasmrt.Options) *wasmrt.Module {
	t.Helper()
	options.ABI = abi("MetadataAgent")
	m, err := r.Load(t.Context(), wasm, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return m
}

func TestCallsBeyondTheMemoryOfTheHostAreRefusedAtOnce(t *testing.T) {
	r := small(t, 420*page) // room for two images and three guests of 64 pages, and what hangs on them
	entered, release := make(chan struct{}), make(chan struct{})
	options := wasmrt.Options{
		Limits: wasmrt.Limits{MaxConcurrent: 2},
		Functions: []wasmrt.HostFunction{{Name: "get", Call: func(context.Context, []byte) ([]byte, error) {
			entered <- struct{}{}
			<-release
			return nil, nil
		}}},
	}
	wasm := guests.Handmade{Imports: []string{"get"}, Body: guests.CallImport, Pages: 64}.Bytes()
	two, other := loadInto(t, r, wasm, options), loadInto(t, r, wasm, options)
	var running sync.WaitGroup
	for _, m := range []*wasmrt.Module{two, two, other} {
		running.Go(func() {
			if _, err := m.Call(context.Background(), biography, nil); err != nil {
				t.Error(err)
			}
		})
		<-entered
	}
	for name, m := range map[string]*wasmrt.Module{"needs an instance": other, "has to wait": two} {
		if _, err := m.Call(t.Context(), biography, make([]byte, 20*page)); !errors.Is(err, wasmrt.ErrHostMemory) {
			t.Errorf("a call that %s got %v, want ErrHostMemory", name, err)
		}
	}
	close(release)
	running.Wait()
	go func() { <-entered }()
	if _, err := other.Call(t.Context(), biography, nil); err != nil {
		t.Errorf("after the memory was free again: %v", err)
	}
}

func TestIdleInstancesMakeRoomForCalls(t *testing.T) {
	r := small(t, 240*page) // three guests and what hangs on them
	limits := wasmrt.Limits{Isolation: wasmrt.IsolationReuse}
	var modules []*wasmrt.Module
	for range 5 {
		modules = append(modules, loadInto(t, r, guests.Handmade{Body: guests.Echo, Pages: 64}.Bytes(), wasmrt.Options{Limits: limits}))
	}
	for range 3 {
		for n, m := range modules {
			if _, err := m.Call(t.Context(), biography, []byte("x")); err != nil {
				t.Fatalf("module %d: %v", n, err)
			}
		}
	}
	if used, limit := r.Memory(); used > limit {
		t.Errorf("%d bytes are used of %d", used, limit)
	}
}

func TestGuestThatGrowsPastTheMemoryOfTheHostCrashesAndSaysWhy(t *testing.T) {
	r := small(t, 160<<20)
	m := loadInto(t, r, guests.Wasm(t, guests.Probe), wasmrt.Options{})
	_, err := ask(t.Context(), m, "allocate")
	var crash *wasmrt.CrashError
	if !errors.As(err, &crash) || !errors.Is(err, wasmrt.ErrRefusedMemory) || !strings.Contains(err.Error(), "HostMemory") {
		t.Errorf("got %T %.300v", err, err)
	}
	if errors.Is(err, wasmrt.ErrHostMemory) {
		t.Error("a call that ran is told from one that did not by nothing")
	}
	wantAnswer(t, m, "next", "biography of next")
}

func TestCallThatWouldWaitPastItsDeadlineIsRefusedAtOnce(t *testing.T) {
	m, entered, release := blocking(t, wasmrt.Limits{MaxConcurrent: 1, Queue: 10})
	slow := func() { // how long a call takes is known from those before
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		defer cancel()
		_, _ = m.Call(ctx, biography, nil)
		<-entered
	}
	for range 10 {
		slow()
	}
	var running sync.WaitGroup
	running.Go(func() { _, _ = m.Call(context.Background(), biography, nil) })
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := m.Call(ctx, biography, nil); !errors.Is(err, wasmrt.ErrOverloaded) {
		t.Errorf("a call without hope got %v, want ErrOverloaded", err)
	}
	if err := ctx.Err(); err != nil {
		t.Error("it was refused only at its deadline")
	}
	running.Go(func() { _, _ = m.Call(context.Background(), biography, nil) })
	close(release)
	<-entered
	running.Wait()
}

func TestCloseThatMayNotWaitStopsTheGuests(t *testing.T) {
	guestsOf := endless(t)
	entered := make(chan struct{}, 100)
	for name, guest := range map[string]struct {
		wasm, request []byte
		functions     []wasmrt.HostFunction
	}{
		"a guest that computes": {wasm: guestsOf["a loop in Go"].wasm, request: guestsOf["a loop in Go"].request},
		"a guest that sleeps":   {wasm: guestsOf["a sleep in Go"].wasm, request: guestsOf["a sleep in Go"].request},
		"a guest that waits for the host": {
			wasm: guests.Handmade{Imports: []string{"get"}, Body: guests.CallImport}.Bytes(),
			functions: []wasmrt.HostFunction{{Name: "get", Call: func(ctx context.Context, _ []byte) ([]byte, error) {
				entered <- struct{}{}
				<-ctx.Done()
				return nil, context.Cause(ctx)
			}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := small(t, 2<<30)
			m := loadInto(t, r, guest.wasm, wasmrt.Options{Limits: wasmrt.Limits{MaxConcurrent: 3}, Functions: guest.functions})
			ended := make(chan error, 6)
			for range 6 { // three run, three wait
				go func() {
					_, err := m.Call(context.Background(), biography, guest.request)
					ended <- err
				}()
			}
			for m.Stats().Running < 3 || m.Stats().Waiting < 3 {
				runtime.Gosched()
			}
			over, cancel := context.WithCancel(t.Context())
			cancel()
			if err := m.Close(over); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want why it did not wait", err)
			}
			for range 6 {
				err := <-ended
				var crash *wasmrt.CrashError
				if !errors.As(err, &crash) && !errors.Is(err, wasmrt.ErrClosed) {
					t.Errorf("a call ended with %T %v", err, err)
				}
			}
		})
	}
}

func TestSystemCallsThatAskForTooMuchAreRefused(t *testing.T) {
	for name, guest := range map[string]struct {
		module guests.Handmade
		errno  byte
	}{
		// i32.const 3, i32.const 0, i32.const 65536, call 0
		"a path":        {guests.Handmade{WASI: "path_unlink_file", WASIParams: 3, Body: []byte{0x41, 0x03, 0x41, 0x00, 0x41, 0x80, 0x80, 0x04, 0x10, 0x00}}, 8},
		"vectors":       {guests.Handmade{WASI: "fd_write", WASIParams: 4, Body: []byte{0x41, 0x01, 0x41, 0x00, 0x41, 0x80, 0x80, 0x04, 0x41, 0x00, 0x10, 0x00}}, 28},
		"subscriptions": {guests.Handmade{WASI: "poll_oneoff", WASIParams: 4, Body: []byte{0x41, 0x00, 0x41, 0x00, 0x41, 0x80, 0x80, 0x04, 0x41, 0x00, 0x10, 0x00}}, 28},
	} {
		t.Run(name, func(t *testing.T) {
			// i64.extend_i32_u: the error is the size of a result at address 0
			guest.module.Body = append(guest.module.Body, 0xad)
			m := load(t, guest.module.Bytes(), wasmrt.Options{})
			if response, err := m.Call(t.Context(), biography, nil); err != nil || len(response) != int(guest.errno) {
				t.Errorf("error %d, %v, want %d", len(response), err, guest.errno)
			}
		})
	}
}

func TestGuestThatWantsAllMemoryLeavesOthersTheirInstances(t *testing.T) {
	r := small(t, 100*page)
	bystander := loadInto(t, r, guests.Handmade{Body: guests.Echo}.Bytes(), wasmrt.Options{})
	greedy := loadInto(t, r, guests.Handmade{Body: guests.Obey, Globals: 2}.Bytes(), wasmrt.Options{})
	for range 20 {
		if _, err := greedy.Call(t.Context(), biography, []byte{1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}); err != nil { // grow by 512 pages
			t.Fatal(err)
		}
	}
	if stats := bystander.Stats(); stats.Idle != 1 {
		t.Errorf("the other plugin has %d idle instances, want its one", stats.Idle)
	}
}
