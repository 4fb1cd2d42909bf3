package call

import "time"

// Observer is told of calls when they have ended, just before the caller is. It is used from
// many goroutines and must not block.
type Observer interface {
	// Observe takes in one call.
	Observe(Observation)
}

// Origin is who made a call.
type Origin int

// The origins of a call.
const (
	// OfCaller is a caller, over whatever the call came.
	OfCaller Origin = iota
	// OfInit is the host, which makes a plugin ready.
	OfInit
	// OfSchedule is the host, for a schedule that fires.
	OfSchedule
	// OfConnection is the host, for what a WebSocket connection has brought.
	OfConnection
	// OfQueue is the host, for a play that waits in a queue.
	OfQueue
)

// Observation is a call that has ended.
type Observation struct {
	// Method is the name on the bus. It is empty if there is no such method, or the call was
	// refused before anybody looked: such names are the callers', and without end.
	Method string
	// Callback tells a callback, whoever made it.
	Callback bool
	// Origin is who made it.
	Origin Origin
	// For is the id of the schedule or connection that it was for, or the user whose queue it was for; empty if it was for
	// none.
	For string
	// Trace is that of the Request.
	Trace string
	// Err is what it failed with; nil is that it did not.
	Err error
	// Took is how long it took altogether; Waited and Ran are those of the Answer.
	Took, Waited, Ran time.Duration
	// In and Out are how many bytes the request and the response had, as they came and went.
	In, Out int
}

// Code is the code of the failure, as [FailureOf] has it; 0 is none.
func (o Observation) Code() int {
	if o.Err == nil {
		return 0
	}
	return FailureOf(o.Err).Code()
}
