package bus

import "sync"

// maxIdleWorkers bounds the goroutines that wait for a task.
const maxIdleWorkers = 64

// workers runs tasks, each on a goroutine that runs nothing else meanwhile, and
// keeps the goroutines for the next ones: a call into a guest needs a large
// stack, which a new goroutine would grow step by step at every call.
type workers struct {
	tasks   chan func()
	idle    chan struct{} // a token for each goroutine that waits
	stopped chan struct{}
	running sync.WaitGroup
}

// newWorkers has no goroutines yet. The caller stops it.
func newWorkers() *workers {
	return &workers{
		tasks:   make(chan func()),
		idle:    make(chan struct{}, maxIdleWorkers),
		stopped: make(chan struct{}),
	}
}

// start runs task without waiting for it.
func (w *workers) start(task func()) {
	select {
	case w.tasks <- task:
	default:
		w.running.Go(func() { w.work(task) })
	}
}

// stop ends the goroutines once their tasks are done. Nothing may be started
// any more.
func (w *workers) stop() {
	close(w.stopped)
	w.running.Wait()
}

func (w *workers) work(task func()) {
	for {
		task()
		select {
		case w.idle <- struct{}{}:
		default:
			return // enough are waiting
		}
		select {
		case task = <-w.tasks:
			<-w.idle
		case <-w.stopped:
			<-w.idle
			return
		}
	}
}
