package wasmrt_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pluginhost/pluginhost/sdk/hold"
	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/wasmrt"
)

const megabyte = 1 << 20

// hog grows its memory page by page for as long as it may, and then waits for the host.
var hog = guests.Handmade{Imports: []string{"full"}, Body: []byte{
	0x03, 0x40, 0x41, 0x01, 0x40, 0x00, 0x41, 0x7f, 0x47, 0x0d, 0x00, 0x0b, // loop, memory.grow 1, i32.const -1, i32.ne, br_if 0, end
	0x41, 0x00, 0x41, 0x00, 0x10, 0x00, // i32.const 0, i32.const 0, call 0
}}

// fullHogs are plugins that have all the memory they can get, until release is called.
func fullHogs(t *testing.T, r *wasmrt.Runtime, names ...string) (release func()) {
	t.Helper()
	const calls = 4 // of each
	full, over := make(chan struct{}), make(chan struct{})
	options := wasmrt.Options{Functions: []wasmrt.HostFunction{{Name: "full", Call: func(context.Context, []byte) ([]byte, error) {
		full <- struct{}{}
		<-over
		return nil, nil
	}}}}
	var running sync.WaitGroup
	release = sync.OnceFunc(func() {
		close(over)
		running.Wait()
	})
	defer func() {
		if t.Failed() {
			release()
		}
	}()
	for _, name := range names {
		options.Plugin = name
		m := loadInto(t, r, hog.Bytes(), options)
		for range calls {
			running.Go(func() {
				_, err := m.Call(context.Background(), biography, nil)
				if errors.Is(err, wasmrt.ErrHostMemory) {
					full <- struct{}{} // not even a first page for it
				} else if err != nil {
					t.Errorf("a hog that was refused memory ended with %v", err)
				}
			})
		}
		for range calls {
			<-full
		}
	}
	return release
}

func TestOnePluginHasAtMostHalfOfTheMemory(t *testing.T) {
	r := small(t, 64*megabyte)
	before := runtimeMemory(r)
	release := fullHogs(t, r, "hog")
	defer release()
	if used := runtimeMemory(r) - before; used > 32*megabyte || used < 31*megabyte {
		t.Errorf("a plugin that takes all it can get has %d bytes of %d", used, 64*megabyte)
	}
	// What a second version of it is loaded into is the same half.
	_, err := r.Load(t.Context(), hog.Bytes(), wasmrt.Options{
		Plugin: "hog", ABI: abi("MetadataAgent"),
		Functions: []wasmrt.HostFunction{{Name: "full", Call: func(context.Context, []byte) ([]byte, error) { return nil, nil }}},
	})
	if !errors.Is(err, wasmrt.ErrPluginMemory) || !errors.Is(err, wasmrt.ErrHostMemory) {
		t.Errorf("another version of it got %v, want ErrPluginMemory", err)
	}
}

func runtimeMemory(r *wasmrt.Runtime) int64 {
	used, _ := r.Memory()
	return used
}

func TestPluginOf16MBAnswersEveryCallBesideThreeHogs(t *testing.T) {
	r := small(t, 1000*megabyte)
	modest := loadInto(t, r, guests.Handmade{Body: guests.Obey, Globals: 2, Pages: 256}.Bytes(), wasmrt.Options{Plugin: "modest"})
	release := fullHogs(t, r, "one", "two", "three")
	defer release()
	grow := []byte{1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0} // by a page
	for n := range 200 {
		if _, err := modest.Call(t.Context(), biography, grow); err != nil {
			t.Fatalf("call %d of the modest plugin: %v", n, err)
		}
	}
	// One that comes now finds room, too.
	late := loadInto(t, r, guests.Handmade{Body: guests.Echo, Pages: 64}.Bytes(), wasmrt.Options{Plugin: "late"})
	if _, err := late.Call(t.Context(), biography, []byte("x")); err != nil {
		t.Errorf("a plugin that came late: %v", err)
	}
}

func TestPluginAtItsShareClosesIdleInstancesOfItsOwnOnly(t *testing.T) {
	r := small(t, 64*megabyte)
	limits := wasmrt.Limits{Isolation: wasmrt.IsolationReuse}
	bystander := loadInto(t, r, guests.Handmade{Body: guests.Echo, Pages: 64}.Bytes(), wasmrt.Options{Plugin: "bystander", Limits: limits})
	wide := wasmrt.Options{Plugin: "wide", Limits: limits}
	first := loadInto(t, r, guests.Handmade{Body: guests.Echo, Pages: 320}.Bytes(), wide)
	second := loadInto(t, r, guests.Handmade{Body: guests.Echo, Pages: 256}.Bytes(), wide) // with the first more than half
	if idle := [3]int{bystander.Stats().Idle, first.Stats().Idle, second.Stats().Idle}; idle != [3]int{1, 0, 1} {
		t.Errorf("%v are idle of the bystander and two versions of a wide plugin, want 1, 0 and 1", idle)
	}
}

func TestWhatHangsOnAPluginIsCharged(t *testing.T) {
	for name, test := range map[string]struct {
		guest guests.Handmade
		least int64
	}{
		"globals":           {guests.Handmade{Globals: 50_000}, 2 * 50_000 * 64}, // an idle instance, and names in the code
		"pages of an image": {guests.Handmade{Pages: 100}, 100 * page},
		"native stacks":     {guests.Handmade{}, 100_000},
	} {
		t.Run(name, func(t *testing.T) {
			r := small(t, 512*megabyte)
			loadInto(t, r, test.guest.Bytes(), wasmrt.Options{})
			if used := runtimeMemory(r); used < test.least {
				t.Errorf("%d bytes are charged, want %d at least", used, test.least)
			}
		})
	}
	t.Run("machine code", func(t *testing.T) {
		r := small(t, 2048*megabyte)
		wasm := guests.Wasm(t, guests.Probe)
		loadInto(t, r, wasm, wasmrt.Options{Limits: wasmrt.Limits{Isolation: wasmrt.IsolationFresh}}) // keeps no instance
		if used := runtimeMemory(r); used < 2*int64(len(wasm)) {
			t.Errorf("%d bytes are charged for a module of %d and its code", used, len(wasm))
		}
	})
}

func TestDeepCallsAreChargedForTheirNativeStack(t *testing.T) {
	r := small(t, 16*megabyte)
	// local.get 0, local.get 1, call 1: itself
	deep := loadInto(t, r, guests.Handmade{Body: []byte{0x20, 0x00, 0x20, 0x01, 0x10, 0x01}}.Bytes(), wasmrt.Options{})
	_, err := deep.Call(t.Context(), biography, nil)
	var crash *wasmrt.CrashError
	if !errors.As(err, &crash) || !errors.Is(err, wasmrt.ErrRefusedMemory) || !strings.Contains(err.Error(), "stack overflow") {
		t.Errorf("got %T %.200v, want a stack overflow for lack of memory", err, err)
	}
}

// asking is a guest that hands its request to the host function ask, and its answer back.
func asking(t *testing.T, r *wasmrt.Runtime, pages uint32, ask wasmrt.HostFunction) *wasmrt.Module {
	t.Helper()
	ask.Name = "ask"
	return loadInto(t, r, guests.Handmade{Imports: []string{"ask"}, Body: guests.CallImport, Pages: pages}.Bytes(), wasmrt.Options{Functions: []wasmrt.HostFunction{ask}})
}

func TestRequestOverItsLimitIsAnsweredUnseen(t *testing.T) {
	const limit = 100_000
	var seen []int
	function := wasmrt.HostFunction{
		MaxRequest: limit,
		Call: func(_ context.Context, request []byte) ([]byte, error) {
			seen = append(seen, len(request))
			return []byte("taken"), nil
		},
		Refuse: func(_ context.Context, size int, err error) ([]byte, error) {
			if err != nil {
				t.Errorf("a request of %d bytes is refused because of %v", size, err)
			}
			return []byte("too large"), nil
		},
	}
	m := asking(t, small(t, 64*megabyte), 4, function)
	for size, want := range map[int]string{0: "taken", limit: "taken", limit + 1: "too large"} {
		if got, err := m.Call(t.Context(), biography, make([]byte, size)); err != nil || string(got) != want {
			t.Errorf("a request of %d bytes got %q, %v, want %q", size, got, err, want)
		}
	}
	if slices.Sort(seen); !slices.Equal(seen, []int{0, limit}) {
		t.Errorf("the host looked at requests of %v bytes", seen)
	}
	function.Refuse = nil
	_, err := asking(t, small(t, 64*megabyte), 4, function).Call(t.Context(), biography, make([]byte, limit+1))
	var host *wasmrt.HostError
	var size *wasmrt.RequestSizeError
	if !errors.As(err, &host) || !errors.As(err, &size) || size.Size != limit+1 || size.Limit != limit {
		t.Errorf("a function without words of its own ended with %v", err)
	}
}

func TestWhatTheHostHoldsForACallIsChargedUntilTheFunctionReturns(t *testing.T) {
	r := small(t, 64*megabyte)
	var during, after int64
	m := asking(t, r, 64, wasmrt.HostFunction{
		Call: func(ctx context.Context, request []byte) ([]byte, error) {
			if err := hold.Bytes(ctx, 5*megabyte); err != nil {
				return nil, err
			}
			during = runtimeMemory(r)
			if err := hold.Bytes(ctx, 64*megabyte); !errors.Is(err, wasmrt.ErrRefusedMemory) || errors.Is(err, wasmrt.ErrHostMemory) {
				t.Errorf("more than there is: got %v", err)
			}
			return bytes.Clone(request[:1]), nil
		},
	})
	before := runtimeMemory(r)
	request := make([]byte, megabyte)
	m.Answer(t.Context(), biography, request, func(a wasmrt.Answer) {
		if a.Err != nil {
			t.Error(a.Err)
		}
		after = runtimeMemory(r)
	})
	// The caller's request, the copy of it that the function has, and what it holds; the
	// guest's own pages are charged as long as it runs.
	if held := during - after; held < 6*megabyte || held > 7*megabyte {
		t.Errorf("%d bytes more are charged while the function runs, want 6 MiB", held)
	}
	if used := runtimeMemory(r); used > before+2*megabyte { // the pages that it wrote stay its own
		t.Errorf("%d bytes are charged when the call is over, before it were %d", used, before)
	}
}

func TestRequestForWhichThereIsNoMemoryIsRefusedInTheWordsOfTheFunction(t *testing.T) {
	r := small(t, 64*megabyte)
	m := asking(t, r, 200, wasmrt.HostFunction{
		Call: func(context.Context, []byte) ([]byte, error) { return nil, errors.New("there is memory") },
		Refuse: func(_ context.Context, _ int, err error) ([]byte, error) {
			if !errors.Is(err, wasmrt.ErrRefusedMemory) {
				t.Errorf("refused because of %v", err)
			}
			return []byte("no memory"), nil
		},
	})
	// The image, the guest and the caller's request leave less than another 6 MiB.
	if got, err := m.Call(t.Context(), biography, make([]byte, 6*megabyte)); err != nil || string(got) != "no memory" {
		t.Errorf("got %q, %v", got, err)
	}
}
