package host

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Limit bounds the requests of one function.
type Limit struct {
	// MaxRequest is the longest request, in bytes: all fields as long as they may be, and
	// Framing.
	MaxRequest int
	// Refuse is Function.Refuse with a reason for every request: a *RequestError for one
	// that is too long, or has too many fields. Answer makes one of a method.
	Refuse func(ctx context.Context, err error) ([]byte, error)
}

// Framing is room in a request for what stands between its fields, in bytes.
const Framing = 1 << 10

// MaxFields is how many fields a request may have, each entry of a map counted as one.
const MaxFields = 1000

// RequestError says that a request is over the limit of its function.
type RequestError struct {
	// Size and Limit are in bytes.
	Size, Limit int
	// Fields tells a request that is not too long but has more fields than MaxFields.
	Fields bool
}

func (e *RequestError) Error() string {
	if e.Fields {
		return fmt.Sprintf("request has more than %d fields", MaxFields)
	}
	return fmt.Sprintf("request of %d bytes is over the limit of %d bytes", e.Size, e.Limit)
}

// Answer makes a Limit.Refuse of what a service says of a refusal.
func Answer[Resp any, PResp interface {
	*Resp
	message
}](method func(ctx context.Context, err error) (PResp, error)) func(context.Context, error) ([]byte, error) {
	return func(ctx context.Context, err error) ([]byte, error) {
		response, err := method(ctx, err)
		if err != nil || response == nil {
			return nil, err
		}
		return response.MarshalVT()
	}
}

// Limited bounds functions, each by the limit of its name. It panics if one has none.
func Limited(functions []Function, limits map[string]Limit) []Function {
	limited := make([]Function, len(functions))
	for i, function := range functions {
		limit, found := limits[function.Name]
		if !found {
			panic("the requests of " + function.Name + " have no limit")
		}
		limited[i] = function.limited(limit)
	}
	return limited
}

func (f Function) limited(limit Limit) Function {
	call := f.Call
	return Function{
		Name:       f.Name,
		MaxRequest: limit.MaxRequest,
		Call: func(ctx context.Context, request []byte) ([]byte, error) {
			// Many small fields take many times their bytes once they are decoded.
			if len(request) > MaxFields && !fewFields(request) {
				return limit.Refuse(ctx, &RequestError{Size: len(request), Limit: limit.MaxRequest, Fields: true})
			}
			return call(ctx, request)
		},
		Refuse: func(ctx context.Context, size int, err error) ([]byte, error) {
			if err == nil {
				err = &RequestError{Size: size, Limit: limit.MaxRequest}
			}
			return limit.Refuse(ctx, err)
		},
	}
}

// fewFields says whether a request has at most MaxFields fields. One that is broken has few.
func fewFields(request []byte) bool {
	for n := 0; len(request) > 0; n++ {
		if n == MaxFields {
			return false
		}
		_, _, size := protowire.ConsumeField(request)
		if size < 0 {
			return true
		}
		request = request[size:]
	}
	return true
}
