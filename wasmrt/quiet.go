package wasmrt

import "runtime"

// quiet finds out whether a call has written to pages that were not its
// instance's own before. The first write to such a page is a page fault of the
// thread that writes, so a call that stayed on one thread without any has changed
// known pages only, and nobody need ask the kernel which. Calls that are long, or
// wait for the host, may go from thread to thread and are not looked at.
type quiet struct {
	counter faultCounter
	faults  int64
	locked  bool
	// yes is the answer for the last call.
	yes bool
}

// begin watches the thread of a call.
func (q *quiet) begin() {
	runtime.LockOSThread()
	q.locked = true
	q.faults = q.counter.count()
}

// roam stops watching: the call may change its thread from now on.
func (q *quiet) roam() {
	if q.locked {
		q.locked = false
		runtime.UnlockOSThread()
	}
}

// end answers.
func (q *quiet) end() {
	if q.locked {
		q.yes = q.faults >= 0 && q.counter.count() == q.faults
		q.roam()
	}
}
