package wasmrt_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pluginhost/pluginhost/internal/compiler"
	"github.com/pluginhost/pluginhost/internal/link"
	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/api/schema"
	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/wasmrt"
)

func TestMain(m *testing.M) {
	compiler.Main()
	goleak.VerifyTestMain(m)
}

const biography = "metadata_agent_get_artist_biography"

// newRuntime returns a Runtime that shares compiled code with other test runs.
func newRuntime(t testing.TB) *wasmrt.Runtime {
	t.Helper()
	r, err := wasmrt.New(wasmrt.Config{CacheDir: guests.CacheDir(t, "compiled"), CompileTimeout: 10 * time.Minute, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r
}

// abi is that of guests with these capabilities.
func abi(names ...string) wasmrt.ABI { return link.ABI(schema.Navidrome058(), names) }

func load(t testing.TB, wasm []byte, options wasmrt.Options) *wasmrt.Module {
	t.Helper()
	if options.ABI == nil {
		options.ABI = abi("MetadataAgent")
	}
	m, err := newRuntime(t).Load(t.Context(), wasm, options)
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

// ask calls GetArtistBiography of the probe guest.
func ask(ctx context.Context, m *wasmrt.Module, name string) (string, error) {
	request, err := (&api.ArtistBiographyRequest{Name: name}).MarshalVT()
	if err != nil {
		return "", err
	}
	b, err := m.Call(ctx, biography, request)
	if err != nil {
		return "", err
	}
	var response api.ArtistBiographyResponse
	if err := response.UnmarshalVT(b); err != nil {
		return "", err
	}
	return response.Biography, nil
}

func wantAnswer(t *testing.T, m *wasmrt.Module, name, want string) {
	t.Helper()
	if got, err := ask(t.Context(), m, name); err != nil || got != want {
		t.Errorf("%q answered %.60q, %v, want %q", name, got, err, want)
	}
}

func TestCallPassesMessagesThroughUntouched(t *testing.T) {
	m := load(t, guests.Wasm(t, guests.Probe), wasmrt.Options{})
	wantAnswer(t, m, "Nina Simone", "biography of Nina Simone")
	wantAnswer(t, m, "", "biography of ")
	wantAnswer(t, m, "nil", "")
	wantAnswer(t, m, "bytes", "a\xffb")
	wantAnswer(t, m, strings.Repeat("long ", 100_000), "biography of "+strings.Repeat("long ", 100_000))
}

func TestReturnedErrorsAreThePluginsOwnWords(t *testing.T) {
	m := load(t, guests.Wasm(t, guests.Probe), wasmrt.Options{})
	for _, text := range []string{"plugin:not_found", "an é and \xff", ""} {
		_, err := ask(t.Context(), m, "error "+text)
		var plugin *wasmrt.PluginError
		if !errors.As(err, &plugin) || plugin.Text != text {
			t.Errorf("got %v, want the plugin's error %q", err, text)
		}
	}
	if stats := m.Stats(); stats.Idle != 1 {
		t.Errorf("an error of the plugin cost its instance: %+v", stats)
	}
}

func TestEmptyErrorIsAnError(t *testing.T) {
	m := load(t, guests.Handmade{Body: guests.EmptyError}.Bytes(), wasmrt.Options{})
	_, err := m.Call(t.Context(), biography, nil)
	var plugin *wasmrt.PluginError
	if !errors.As(err, &plugin) || plugin.Text != "" {
		t.Errorf("got %v, want an error of the plugin without a text", err)
	}
}

func TestGuestSeesTheRealTime(t *testing.T) {
	m := load(t, guests.Wasm(t, guests.Probe), wasmrt.Options{})
	got, err := ask(t.Context(), m, "clock")
	if err != nil {
		t.Fatal(err)
	}
	guest, err := time.Parse(time.RFC3339, got)
	if err != nil {
		t.Fatal(err)
	}
	if off := time.Since(guest); off < -time.Minute || off > time.Minute {
		t.Errorf("the guest's clock is off by %v", off)
	}
}

var isolations = []wasmrt.Isolation{wasmrt.IsolationClean, wasmrt.IsolationReuse, wasmrt.IsolationFresh}

func TestResultsBeyondTheLimitCostNothingElse(t *testing.T) {
	m := load(t, guests.Wasm(t, guests.Probe), wasmrt.Options{Limits: wasmrt.Limits{MaxResult: 1000}})
	_, err := ask(t.Context(), m, "big 2000")
	var size *wasmrt.ResultSizeError
	if !errors.As(err, &size) || size.Limit != 1000 || size.Size < 2000 {
		t.Errorf("got %v, want a ResultSizeError", err)
	}
	if stats := m.Stats(); stats.Idle != 1 {
		t.Errorf("the instance is gone: %+v", stats)
	}
}

func TestLoadRefusesUnfitModules(t *testing.T) {
	good := guests.Handmade{}.Bytes()
	for name, c := range map[string]struct {
		wasm []byte
		want string
	}{
		"not wasm":           {[]byte("#!/bin/sh"), "not a WebAssembly module"},
		"empty":              {nil, "not a WebAssembly module"},
		"truncated":          {good[:len(good)/2], "not a valid WebAssembly module"},
		"no malloc":          {guests.Handmade{Omit: "malloc"}.Bytes(), "malloc is not exported"},
		"no free":            {guests.Handmade{Omit: "free"}.Bytes(), "free is not exported"},
		"no memory":          {guests.Handmade{Omit: "memory"}.Bytes(), "memory is not exported"},
		"no method":          {guests.Handmade{Omit: biography}.Bytes(), biography + " is not exported"},
		"no version":         {guests.Handmade{Omit: "metadata_agent_api_version"}.Bytes(), "metadata_agent_api_version is not exported"},
		"wrong version":      {guests.Handmade{Version: 2}.Bytes(), "API version mismatch, host: 1, plugin: 2"},
		"ungranted import":   {guests.Handmade{Imports: []string{"get"}}.Bytes(), `"get" is not exported in module "env"`},
		"traps at the start": {guests.Handmade{Initialize: guests.Trap}.Bytes(), "unreachable"},
		"exits at the start": {guests.Handmade{WASI: "proc_exit", WASIParams: 1, Initialize: []byte{0x41, 0x00, 0x10, 0x00}}.Bytes(), "exit_code: 0"},
		"a program":          {guests.Handmade{Start: true}.Bytes(), "-buildmode=c-shared"},
		"too much memory":    {guests.Handmade{Pages: 2000}.Bytes(), "MaxMemory"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := newRuntime(t).Load(t.Context(), c.wasm, wasmrt.Options{
				ABI:    abi("MetadataAgent"),
				Limits: wasmrt.Limits{MaxMemory: 64 << 20},
			})
			if err == nil {
				_ = m.Close(t.Context())
			}
			var loadErr *wasmrt.LoadError
			if !errors.As(err, &loadErr) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want a LoadError with %q", err, c.want)
			}
		})
	}
}

func TestMissingImportIsNamed(t *testing.T) {
	_, err := newRuntime(t).Load(t.Context(), guests.Handmade{Imports: []string{"get"}}.Bytes(), wasmrt.Options{ABI: abi("MetadataAgent")})
	var missing *wasmrt.MissingImportError
	if !errors.As(err, &missing) || missing.Module != "env" || missing.Name != "get" {
		t.Errorf("got %v", err)
	}
}

func TestAFunctionThatIsOfferedStandsForNoOther(t *testing.T) {
	_, err := newRuntime(t).Load(t.Context(), guests.Handmade{Imports: []string{"get"}}.Bytes(), wasmrt.Options{
		ABI:       abi("MetadataAgent"),
		Functions: []wasmrt.HostFunction{{Name: "set", Call: func(context.Context, []byte) ([]byte, error) { return nil, nil }}},
	})
	var missing *wasmrt.MissingImportError
	if !errors.As(err, &missing) || missing.Name != "get" {
		t.Errorf("got %v", err)
	}
}

func TestHostFunctionAnswersTheGuest(t *testing.T) {
	var got []byte
	m := load(t, guests.Handmade{Imports: []string{"get"}, Body: guests.CallImport}.Bytes(), wasmrt.Options{
		Functions: []wasmrt.HostFunction{{Name: "get", Call: func(_ context.Context, request []byte) ([]byte, error) {
			got = bytes.Clone(request)
			return []byte("answer"), nil
		}}},
	})
	response, err := m.Call(t.Context(), biography, []byte("question"))
	if err != nil || string(response) != "answer" || string(got) != "question" {
		t.Errorf("the function got %q, the caller %q, %v", got, response, err)
	}
}

// What the host waits for in vain, the guest hears of before it is stopped.
func TestHostFunctionsEndBeforeTheCallDoes(t *testing.T) {
	m := load(t, guests.Handmade{Imports: []string{"get"}, Body: guests.CallImport}.Bytes(), wasmrt.Options{
		Functions: []wasmrt.HostFunction{{Name: "get", Call: func(ctx context.Context, _ []byte) ([]byte, error) {
			<-ctx.Done()
			return []byte(ctx.Err().Error()), nil
		}}},
	})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	response, err := m.Call(ctx, biography, nil)
	if err != nil || string(response) != "context deadline exceeded" {
		t.Errorf("got %q, %v", response, err)
	}
}

func TestHostFunctionErrorFailsTheCallOnly(t *testing.T) {
	down := errors.New("the service is down")
	m := load(t, guests.Handmade{Imports: []string{"get"}, Body: guests.CallImport}.Bytes(), wasmrt.Options{
		Functions: []wasmrt.HostFunction{{Name: "get", Call: func(context.Context, []byte) ([]byte, error) { return nil, down }}},
	})
	_, err := m.Call(t.Context(), biography, []byte("question"))
	var host *wasmrt.HostError
	if !errors.As(err, &host) || host.Function != "get" || !errors.Is(err, down) {
		t.Errorf("got %T %v", err, err)
	}
	if stats := m.Stats(); stats.Running != 0 {
		t.Errorf("the slot is still taken: %+v", stats)
	}
}

func TestIsolation(t *testing.T) {
	for isolation, want := range map[wasmrt.Isolation]string{wasmrt.IsolationClean: "1", wasmrt.IsolationReuse: "2", wasmrt.IsolationFresh: "1"} {
		t.Run(string(isolation), func(t *testing.T) {
			m := load(t, guests.Wasm(t, guests.Probe), wasmrt.Options{Limits: wasmrt.Limits{Isolation: isolation}})
			wantAnswer(t, m, "count", "1")
			wantAnswer(t, m, "count", want)
		})
	}
}

func TestCloseWaitsForAcceptedCallsAndRefusesNewOnes(t *testing.T) {
	m, entered, release := blocking(t, wasmrt.Limits{MaxConcurrent: 1, Queue: 1})
	results := make(chan error, 1)
	go func() {
		_, err := m.Call(context.Background(), biography, nil)
		results <- err
	}()
	<-entered
	closed := make(chan error, 1)
	go func() { closed <- m.Close(context.Background()) }()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for {
		// A call whose time is over does not wait for the slot.
		if _, err := m.Call(over, biography, nil); errors.Is(err, wasmrt.ErrClosed) {
			break
		}
	}
	close(release)
	if err := <-results; err != nil {
		t.Errorf("the accepted call failed: %v", err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

func TestThousandFaultsLeaveSlotsAndInstancesWhereTheyWere(t *testing.T) {
	m := load(t, guests.Handmade{Body: guests.Trap}.Bytes(), wasmrt.Options{Limits: wasmrt.Limits{MaxConcurrent: 2}})
	var crash *wasmrt.CrashError
	for range 1000 {
		if _, err := m.Call(t.Context(), biography, nil); !errors.As(err, &crash) {
			t.Fatalf("got %v, want a CrashError", err)
		}
	}
	if stats := m.Stats(); stats.Running != 0 || stats.Waiting != 0 || stats.Idle > 1 {
		t.Errorf("%+v", stats)
	}
}

func TestHammer(t *testing.T) {
	m := load(t, guests.Handmade{Body: guests.Echo}.Bytes(), wasmrt.Options{Limits: wasmrt.Limits{MaxConcurrent: 4, PoolSize: 2, InstanceTTL: time.Millisecond}})
	var workers sync.WaitGroup
	for w := range 8 {
		workers.Go(func() {
			for n := range 500 {
				want := fmt.Sprintf("worker %d call %d", w, n)
				got, err := m.Call(context.Background(), biography, []byte(want))
				if err != nil || string(got) != want {
					t.Errorf("sent %q, got %q, %v", want, got, err)
					return
				}
			}
		})
	}
	workers.Wait()
	if stats := m.Stats(); stats.Running != 0 || stats.Waiting != 0 || stats.Idle > 2 {
		t.Errorf("%+v", stats)
	}
}

func TestGuestOutputIsOneRecordALineAndForgesNothing(t *testing.T) {
	var log bytes.Buffer
	m := load(t, guests.Wasm(t, guests.Probe), wasmrt.Options{Logger: slog.New(slog.NewTextHandler(&log, nil)).With("plugin", "probe")})
	if _, err := ask(t.Context(), m, "forge 10000"); err != nil {
		t.Fatal(err)
	}
	records := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(records) != 4 {
		t.Fatalf("%d records, want 4:\n%s", len(records), log.String())
	}
	for _, record := range records {
		if !strings.Contains(record, "level=INFO") || !strings.Contains(record, "plugin=probe") || len(record) > 5000 {
			t.Errorf("record %.200q", record)
		}
	}
	if strings.ContainsAny(log.String(), "\x1b\r\u202e") {
		t.Errorf("control characters got through: %q", log.String())
	}
}

func TestFloodOfOutputIsBounded(t *testing.T) {
	var log bytes.Buffer
	m := load(t, guests.Wasm(t, guests.Probe), wasmrt.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if _, err := ask(t.Context(), m, "flood 50000"); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "\n"); n > 10_000 {
		t.Errorf("%d records", n)
	}
}

func TestHostFunctionsCanBeCalledWhileTheModuleInitialises(t *testing.T) {
	calls := 0
	m := load(t, guests.Handmade{
		Imports:    []string{"get"},
		Initialize: []byte{0x41, 0x00, 0x41, 0x00, 0x10, 0x00, 0x1a}, // i32.const 0, i32.const 0, call 0, drop
	}.Bytes(), wasmrt.Options{
		Functions: []wasmrt.HostFunction{{Name: "get", Call: func(context.Context, []byte) ([]byte, error) {
			calls++
			return []byte("answer"), nil
		}}},
	})
	if _, err := m.Call(t.Context(), biography, nil); err != nil || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
}

func TestMallocThatCallsTheHostEndsInACrashAtWorst(t *testing.T) {
	// i32.const 0, i32.const 0, call 0, drop, i32.const 1024
	malloc := []byte{0x41, 0x00, 0x41, 0x00, 0x10, 0x00, 0x1a, 0x41, 0x80, 0x08}
	answers := 0
	m := load(t, guests.Handmade{Imports: []string{"get"}, Body: guests.Empty, Malloc: malloc}.Bytes(), wasmrt.Options{
		Functions: []wasmrt.HostFunction{{Name: "get", Call: func(context.Context, []byte) ([]byte, error) {
			if answers == 0 {
				return nil, nil
			}
			answers--
			return []byte("answer"), nil
		}}},
	})
	for range 3 {
		for _, answers = range []int{0, 1} {
			if _, err := m.Call(t.Context(), biography, []byte("x")); err != nil {
				t.Errorf("with %d answers to malloc: %v", answers, err)
			}
		}
		answers = 100 // each needs malloc, which asks again
		_, err := m.Call(t.Context(), biography, []byte("x"))
		var crash *wasmrt.CrashError
		if !errors.As(err, &crash) || answers != 98 {
			t.Errorf("malloc inside malloc inside malloc: %v, %d answers left", err, answers)
		}
		answers = 0
	}
}
