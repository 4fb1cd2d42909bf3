package wasmrt

import (
	"cmp"
	"context"
	"time"
)

// HostFunction is a function that a guest may call.
type HostFunction struct {
	// Name is the name of the import.
	Name string
	// Call takes the bytes of the request, which are valid until it returns,
	// and returns those of the response. Its context is that of the guest's
	// call, and over a little before the call's deadline: what is waited for in
	// vain is an error of the function, and the guest has time to answer with it.
	// An error ends the guest's call with a HostError.
	Call func(ctx context.Context, request []byte) ([]byte, error)
	// MaxRequest is the longest request that Call gets, in bytes; 0 is no bound.
	MaxRequest int
	// Refuse answers in the place of Call a request that is longer, of which nothing was
	// looked at but its size, and one for which there is no memory, as err says; err is
	// nil for one that is too long. Without it, either ends the guest's call with a
	// HostError.
	Refuse func(ctx context.Context, size int, err error) ([]byte, error)
}

// freeBytes is how long a request may be that is not charged: room for it is part of what
// every instance is charged.
const freeBytes = instanceBytes / 2

// maxNotice is the longest Notice.
const maxNotice = 500 * time.Millisecond

// Notice is how long before the deadline of a guest's call, of which so much is left, the
// context of a host function is over.
func Notice(left time.Duration) time.Duration { return min(left/10, maxNotice) }

// answer has the host answer a request, or refuse it.
func (f HostFunction) answer(inst *instance, request []byte) (response []byte, err error) {
	size := len(request)
	refused := f.MaxRequest > 0 && size > f.MaxRequest
	if !refused && size > freeBytes {
		// The service makes a copy of what is in it.
		if err = inst.Hold(size); err != nil {
			refused = true
		}
	}
	if !refused {
		inst.away(func(ctx context.Context) {
			ctx, cancel := inst.early(ctx)
			defer cancel()
			response, err = f.Call(ctx, request)
		})
		return response, err
	}
	if f.Refuse == nil {
		return nil, cmp.Or(err, error(&RequestSizeError{size, f.MaxRequest}))
	}
	inst.away(func(ctx context.Context) { response, err = f.Refuse(ctx, size, err) })
	return response, err
}

// early ends a context a little before the call's deadline.
func (i *instance) early(ctx context.Context) (context.Context, context.CancelFunc) {
	if i.deadline.IsZero() {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, i.deadline.Add(-Notice(time.Until(i.deadline))))
}

// Hold implements hold.Holder, for the functions of the host that the instance calls.
func (i *instance) Hold(bytes int) error {
	if err := i.linear.hold(int64(bytes)); err != nil {
		return refusedMemory(err)
	}
	return nil
}
