package call

import (
	"context"
	"time"
)

// Method is what answers one method.
type Method struct {
	// Call takes the bytes of the request message and hands what it ends with to reply,
	// exactly once and before it returns. An error that is no *subjects.Error is passed on as
	// ErrPlugin. See Returning.
	Call func(ctx context.Context, request []byte, reply func(Answer))
	// RequestFromJSON and ResponseToJSON convert the two messages. What they take is in
	// proportion to them. An error that is no *subjects.Error is passed on as ErrBadRequest
	// and ErrCrashed.
	RequestFromJSON, ResponseToJSON func([]byte) ([]byte, error)
}

// Answer is what a call ends with.
type Answer struct {
	// Response is the response message, which need be valid until reply returns only.
	Response []byte
	// Err is why there is none; nil is that there is.
	Err error
	// Waited is how long the call waited for its turn, Ran how long it then ran.
	Waited, Ran time.Duration
}

// Returning is the Call of a method that is a function.
func Returning(answer func(ctx context.Context, request []byte) ([]byte, error)) func(context.Context, []byte, func(Answer)) {
	return func(ctx context.Context, request []byte, reply func(Answer)) {
		response, err := answer(ctx, request)
		reply(Answer{Response: response, Err: err})
	}
}
