// Package host binds the host services to bytes: what a service in Go offers,
// as the functions that a guest imports.
package host

import (
	"context"

	"github.com/pluginhost/pluginhost/sdk/hold"
)

// Function is one function of a host service as a guest sees it.
type Function struct {
	// Name is the name of the import, such as get_artist_url.
	Name string
	// Call takes the bytes of a request message and returns those of the
	// response. It keeps no reference to request. An error ends the guest's
	// call: the binary interface has no place for it.
	Call func(ctx context.Context, request []byte) ([]byte, error)
	// MaxRequest is the longest request that Call gets, in bytes; 0 is no bound.
	MaxRequest int
	// Refuse answers, in the words of the service, a request that Call does not get: one
	// that is too long, where err is nil, or one for which the host has no memory, as err
	// says. Nil is for a function without words for it: its guest's call ends.
	Refuse func(ctx context.Context, size int, err error) ([]byte, error)
}

// freeBytes is how long a response may be that is not charged.
const freeBytes = 16 << 10

type message interface {
	SizeVT() int
	MarshalVT() ([]byte, error)
	UnmarshalVT([]byte) error
}

// Bind makes a Function of a method of a service.
func Bind[Req, Resp any, PReq interface {
	*Req
	message
}, PResp interface {
	*Resp
	message
}](name string, method func(context.Context, PReq) (PResp, error)) Function {
	return Function{Name: name, Call: func(ctx context.Context, b []byte) ([]byte, error) {
		request := PReq(new(Req))
		if err := request.UnmarshalVT(b); err != nil {
			return nil, err
		}
		response, err := method(ctx, request)
		if err != nil || response == nil {
			return nil, err
		}
		if size := response.SizeVT(); size > freeBytes {
			if err := hold.Bytes(ctx, size); err != nil {
				return nil, err
			}
		}
		return response.MarshalVT()
	}}
}
