package wasmrt_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/wasmrt"
)

// blocking is a module whose calls wait in a host function until release is
// closed; entered receives a value for each that runs.
func blocking(t *testing.T, limits wasmrt.Limits) (m *wasmrt.Module, entered chan struct{}, release chan struct{}) {
	t.Helper()
	entered, release = make(chan struct{}, 100), make(chan struct{})
	m = load(t, guests.Handmade{Imports: []string{"get"}, Body: guests.CallImport}.Bytes(), wasmrt.Options{
		Limits: limits,
		Functions: []wasmrt.HostFunction{{Name: "get", Call: func(ctx context.Context, _ []byte) ([]byte, error) {
			entered <- struct{}{}
			select {
			case <-release:
			case <-ctx.Done():
			}
			return nil, nil
		}}},
	})
	return m, entered, release
}

func TestCallsBeyondTheQueueAreRefusedAtOnce(t *testing.T) {
	m, entered, release := blocking(t, wasmrt.Limits{MaxConcurrent: 2, Queue: -1})
	var calls sync.WaitGroup
	for range 2 {
		calls.Go(func() {
			if _, err := m.Call(context.Background(), biography, nil); err != nil {
				t.Error(err)
			}
		})
		<-entered
	}
	if _, err := m.Call(t.Context(), biography, nil); !errors.Is(err, wasmrt.ErrOverloaded) {
		t.Errorf("got %v, want ErrOverloaded", err)
	}
	close(release)
	calls.Wait()
}

func TestAsManyCallsWaitAsTheQueueHasPlaces(t *testing.T) {
	m, entered, release := blocking(t, wasmrt.Limits{MaxConcurrent: 1, Queue: 1})
	var calls sync.WaitGroup
	for range 2 {
		calls.Go(func() {
			if _, err := m.Call(context.Background(), biography, nil); err != nil {
				t.Error(err)
			}
		})
	}
	<-entered
	for m.Stats().Waiting == 0 {
		runtime.Gosched()
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := m.Call(ctx, biography, nil); !errors.Is(err, wasmrt.ErrOverloaded) {
		t.Errorf("got %v, want ErrOverloaded", err)
	}
	close(release)
	calls.Wait()
}

func TestCallWhoseTimeIsOverNeverRuns(t *testing.T) {
	m, entered, release := blocking(t, wasmrt.Limits{MaxConcurrent: 1, Queue: 1})
	var calls sync.WaitGroup
	calls.Go(func() { _, _ = m.Call(context.Background(), biography, nil) })
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Call(ctx, biography, nil); !errors.Is(err, wasmrt.ErrDeadlineInQueue) {
		t.Errorf("got %v, want ErrDeadlineInQueue", err)
	}
	close(release)
	calls.Wait()
	if len(entered) != 0 {
		t.Error("the call ran")
	}
}

func TestCallWhoseTimeIsOverDoesNotRunWhereAPlaceIsFree(t *testing.T) {
	m, entered, _ := blocking(t, wasmrt.Limits{MaxConcurrent: 1})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Call(ctx, biography, nil); !errors.Is(err, wasmrt.ErrDeadlineInQueue) {
		t.Errorf("got %v, want ErrDeadlineInQueue", err)
	}
	if len(entered) != 0 {
		t.Error("the call ran")
	}
}

func TestAnAnswerTellsHowLongTheCallWaitedAndRan(t *testing.T) {
	m, entered, release := blocking(t, wasmrt.Limits{MaxConcurrent: 1, Queue: 1})
	ask := func(ctx context.Context) (answer wasmrt.Answer) {
		m.Answer(ctx, biography, nil, func(a wasmrt.Answer) { answer = a })
		return answer
	}
	var calls sync.WaitGroup
	var first, second wasmrt.Answer
	calls.Go(func() { first = ask(context.Background()) })
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	if late := ask(ctx); !errors.Is(late.Err, wasmrt.ErrDeadlineInQueue) || late.Waited <= 0 || late.Ran != 0 {
		t.Errorf("a call that waits in vain: %+v", late)
	}
	calls.Go(func() { second = ask(context.Background()) })
	for m.Stats().Waiting == 0 {
		runtime.Gosched()
	}
	close(release)
	calls.Wait()
	if first.Err != nil || first.Waited != 0 || first.Ran < 5*time.Millisecond {
		t.Errorf("a call that has its place at once: %+v", first)
	}
	if second.Err != nil || second.Waited <= 0 || second.Ran <= 0 {
		t.Errorf("a call that waits: %+v", second)
	}
}
