package call_test

import (
	"context"
	"fmt"
	"time"

	"github.com/pluginhost/pluginhost/sdk/call"
	"github.com/pluginhost/pluginhost/subjects"
)

// printer is a caller at hand: calls that come over a network send what it prints.
type printer struct{}

func (printer) Fits([]byte) error { return nil }

func (printer) Reply(response []byte, failure *subjects.Error) {
	if failure != nil {
		fmt.Println(failure)
		return
	}
	fmt.Printf("%s\n", response)
}

// Whatever calls come over reads a Request and is a Replier; the Server does the rest.
func Example() {
	server := call.NewServer(call.Config{
		Resolve: func(name string, _ bool) (call.Method, error) {
			if name != "greet" {
				return call.Method{}, subjects.Errorf(subjects.ErrBadRequest, "unknown method %q", name)
			}
			return call.Method{Call: call.Returning(func(_ context.Context, request []byte) ([]byte, error) {
				return append([]byte("hello "), request...), nil
			})}, nil
		},
		Limits: call.Limits{Timeout: time.Second, MaxTimeout: time.Minute},
	})
	for _, method := range []string{"greet", "leave"} {
		server.Do(context.Background(), call.Request{Method: method, Body: []byte("Nina"), Timeout: call.Within(2 * time.Second)}, printer{})
	}
	// Output:
	// hello Nina
	// 400 bad_request: unknown method "leave"
}
