package wasmrt_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/wasmrt"
)

func TestBrokenGuestsAreClassifiedAndTheNextCallWorks(t *testing.T) {
	crash := func(err error) bool { var e *wasmrt.CrashError; return errors.As(err, &e) }
	deadline := func(err error) bool { return errors.Is(err, wasmrt.ErrDeadline) }
	for _, isolation := range isolations {
		m := load(t, guests.Wasm(t, guests.Probe), wasmrt.Options{Limits: wasmrt.Limits{Isolation: isolation, MaxMemory: 24 << 20, MaxConcurrent: 1}})
		for name, c := range map[string]struct {
			timeout time.Duration
			is      func(error) bool
		}{
			"panic":       {time.Minute, crash},
			"exit 0":      {time.Minute, crash},
			"exit 3":      {time.Minute, crash},
			"allocate":    {time.Minute, crash},
			"recurse":     {time.Minute, crash},
			"loop":        {50 * time.Millisecond, deadline},
			"fib 100":     {50 * time.Millisecond, deadline},
			"sleep 60000": {50 * time.Millisecond, deadline},
		} {
			t.Run(string(isolation)+" "+name, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), c.timeout)
				defer cancel()
				if got, err := ask(ctx, m, name); !c.is(err) {
					t.Errorf("got %.60q, %T %.200v", got, err, err)
				}
				if stats := m.Stats(); stats.Running != 0 || stats.Waiting != 0 {
					t.Errorf("the slot of the broken instance is still taken: %+v", stats)
				}
				wantAnswer(t, m, "count", "1")
			})
		}
	}
}

// What a language's runtime says of a crash is in the error of that call, and of
// no other.
func TestACrashTellsWhatTheGuestSaidOfIt(t *testing.T) {
	var crash *wasmrt.CrashError
	for _, isolation := range isolations {
		m := load(t, guests.Wasm(t, guests.Probe), wasmrt.Options{Limits: wasmrt.Limits{Isolation: isolation, MaxConcurrent: 1}})
		_, err := ask(t.Context(), m, "panic")
		if !errors.As(err, &crash) || crash.Said != "panic: asked to" || !strings.HasPrefix(err.Error(), "panic: asked to: wasm error: unreachable\n") {
			t.Errorf("%s: %+v", isolation, err)
		}
		for _, begin := range []string{"abort: ", "fatal error: "} {
			if _, err := ask(t.Context(), m, "crash "+begin+"so it is"); !errors.As(err, &crash) || crash.Said != begin+"so it is" {
				t.Errorf("%s: %+v", isolation, err)
			}
		}
		if _, err := ask(t.Context(), m, "say panic: not at all"); err != nil {
			t.Error(err)
		}
		if _, err := ask(t.Context(), m, "exit 3"); !errors.As(err, &crash) || crash.Said != "" {
			t.Errorf("%s: the call before it said %+v", isolation, err)
		}
	}
}

func TestACapabilityWithoutARegistrationSaysSo(t *testing.T) {
	m := load(t, guests.Wasm(t, guests.Probe), wasmrt.Options{ABI: abi("LifecycleManagement")})
	var crash *wasmrt.CrashError
	if _, err := m.Call(t.Context(), "lifecycle_management_on_init", nil); !errors.As(err, &crash) || !strings.Contains(crash.Said, "api.RegisterLifecycleManagement") {
		t.Errorf("got %v", err)
	}
}

func TestHandmadeFaultsAreCrashes(t *testing.T) {
	for name, body := range map[string][]byte{
		"trap":                  guests.Trap,
		"pointer out of bounds": guests.OutOfBounds,
		"size out of bounds":    guests.HugeResult,
	} {
		t.Run(name, func(t *testing.T) {
			m := load(t, guests.Handmade{Body: body}.Bytes(), wasmrt.Options{})
			_, err := m.Call(t.Context(), biography, []byte("abc"))
			var crash *wasmrt.CrashError
			if !errors.As(err, &crash) {
				t.Errorf("got %T %v, want a CrashError", err, err)
			}
		})
	}
}
