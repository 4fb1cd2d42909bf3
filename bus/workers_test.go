package bus

import (
	"sync"
	"testing"
	"testing/synctest"
)

// startHeld starts n tasks that all run until release is called, which returns
// once their goroutines wait or have ended.
func startHeld(w *workers, n int) (release func()) {
	hold := make(chan struct{})
	var running sync.WaitGroup
	running.Add(n)
	for range n {
		w.start(func() {
			running.Done()
			<-hold
		})
	}
	running.Wait() // for ever, if one task waited for another
	return func() {
		close(hold)
		synctest.Wait()
	}
}

func TestWaitingWorkerTakesTheNextTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkers()
		defer w.stop()
		startHeld(w, 1)()
		if len(w.idle) != 1 {
			t.Fatalf("%d workers wait after one task, want 1", len(w.idle))
		}
		release := startHeld(w, 1)
		if len(w.idle) != 0 {
			t.Error("the task has a new goroutine, though one was waiting")
		}
		release()
	})
}

func TestWaitingWorkersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkers()
		defer w.stop()
		startHeld(w, 2*maxIdleWorkers)()
		if len(w.idle) != maxIdleWorkers {
			t.Errorf("%d workers wait, want %d", len(w.idle), maxIdleWorkers)
		}
	})
}

func TestStopWaitsForTasksAndLeavesNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkers()
		startHeld(w, 3)()
		release := startHeld(w, 2)
		stopped := make(chan struct{})
		go func() {
			w.stop()
			close(stopped)
		}()
		synctest.Wait()
		select {
		case <-stopped:
			t.Error("stopped while tasks were running")
		default:
		}
		release()
		<-stopped // the bubble fails the test where a goroutine is left
	})
}
