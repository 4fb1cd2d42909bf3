package bus

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/sdk/call"
	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

// exchange is a call that has come over NATS, and its reply.
type exchange struct {
	call.Admission
	endpoint *Endpoint
	inbox    string // where the reply goes
}

var _ call.Replier = (*exchange)(nil)

// serve runs the call.
func (x *exchange) serve() {
	defer x.endpoint.calls.Done()
	x.Serve(context.Background(), x)
}

// refuse answers a call that nothing is run for.
func (x *exchange) refuse(request call.Request, err error) {
	x.Reply(nil, x.endpoint.config.Calls.Refuse(request, err))
}

// Fits implements call.Replier.
func (x *exchange) Fits(response []byte) error {
	if size, limit := len(response)+jet.HeaderRoom, x.endpoint.bus.maxPayload(); size > limit {
		return subjects.Errorf(subjects.ErrTooLarge, "the response has %d bytes, the server's max_payload is %d", len(response), limit)
	}
	return nil
}

// Reply implements call.Replier.
func (x *exchange) Reply(response []byte, failure *subjects.Error) {
	e := x.endpoint
	reply := &nats.Msg{Subject: x.inbox, Header: e.header, Data: response}
	switch {
	case failure != nil:
		reply.Header = nats.Header{subjects.HeaderReplica: {e.config.Replica}}
		call.WriteFailure(reply.Header, failure, min(call.MaxErrorText, e.bus.MaxResponse()))
		if errors.Is(failure, subjects.ErrOverloaded) {
			reply.Header.Set(subjects.HeaderRetryAfter, retryAfter.String())
		}
	case x.IsJSON():
		reply.Header = e.headerJSON
	}
	e.send(reply)
}
