package bus

import (
	"context"
	"runtime/debug"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

// exchange is one request and its reply.
type exchange struct {
	endpoint *Endpoint
	request  *nats.Msg
	name     string // of the method, as far as it is known
	start    time.Time
	method   Method
	ctx      context.Context
	json     bool
	fault    error  // of the header that says whether it is JSON
	left     func() // ends what a body of JSON took when it arrived; nil is none
	replied  bool
}

// answer serves one request. A bug in the host costs this call only.
func (x *exchange) answer(callback bool) {
	e := x.endpoint
	defer func() {
		if r := recover(); r != nil {
			e.bus.config.Logger.Error("host panic", "plugin", e.config.ID, "method", x.name, "panic", r, "stack", string(debug.Stack()))
			x.reply(nil, subjects.Errorf(subjects.ErrCrashed, "the host failed; see its log"))
		}
	}()
	defer x.forget()
	name := lastToken(x.request.Subject)
	method, err := e.config.Resolve(name, callback)
	if err != nil {
		x.reply(nil, err)
		return
	}
	x.name, x.method = name, method
	x.run()
}

// run runs a method that exists.
func (x *exchange) run() {
	timeout, err := x.endpoint.timeout(x.request.Header)
	if err != nil {
		x.reply(nil, err)
		return
	}
	via, err := x.endpoint.via(x.request.Header)
	if err != nil {
		x.reply(nil, err)
		return
	}
	ctx := newDeadline(timeout)
	ctx.via = via
	defer ctx.end()
	x.ctx = ctx
	body := x.request.Data
	if x.fault != nil {
		x.reply(nil, subjects.Errorf(subjects.ErrBadRequest, "%w", x.fault))
		return
	}
	if x.json {
		body, err = x.endpoint.converting.convert(ctx, x.method.RequestFromJSON, body)
		x.forget()
		if err != nil {
			x.reply(nil, notConverted(err, subjects.ErrBadRequest, "the JSON body does not decode"))
			return
		}
	}
	x.method.Call(ctx, body, x.reply)
}

// forget lets go of the body of a request in JSON, which is converted or never will be.
func (x *exchange) forget() {
	if x.left != nil {
		x.left()
		x.left, x.request.Data = nil, nil
	}
}

// reply sends the response, or the failure. It works once.
func (x *exchange) reply(response []byte, err error) {
	if x.replied {
		return
	}
	e := x.endpoint
	reply := &nats.Msg{Subject: x.request.Reply, Header: e.header}
	if err == nil {
		err = x.fill(reply, response)
	}
	x.replied = true // not before: a bug in fill is answered, too
	if err != nil {
		e.setFailure(reply, err)
	}
	e.stats.record(x.name, time.Since(x.start), err)
	e.send(reply)
}

// fill puts a response into a reply.
func (x *exchange) fill(reply *nats.Msg, response []byte) (err error) {
	e := x.endpoint
	if x.json {
		if response, err = e.converting.convert(x.ctx, x.method.ResponseToJSON, response); err != nil {
			return notConverted(err, subjects.ErrCrashed, "the plugin's response is broken")
		}
		reply.Header = e.headerJSON
	}
	if size, limit := len(response)+jet.HeaderRoom, e.bus.maxPayload(); size > limit {
		return subjects.Errorf(subjects.ErrTooLarge, "the response has %d bytes, the server's max_payload is %d", len(response), limit)
	}
	reply.Data = response
	return nil
}

func (e *Endpoint) timeout(header nats.Header) (time.Duration, error) {
	limits := e.limits.Load()
	text, err := subjects.HeaderValue(header, subjects.HeaderTimeout)
	if err != nil {
		return 0, subjects.Errorf(subjects.ErrBadRequest, "%w", err)
	}
	if text == "" {
		return limits.Timeout, nil
	}
	timeout, err := time.ParseDuration(text)
	if err != nil {
		return 0, subjects.Errorf(subjects.ErrBadRequest, "header %s is %.40q: want a Go duration such as 1.5s", subjects.HeaderTimeout, text)
	}
	return min(timeout, limits.MaxTimeout), nil
}

// isJSON tells a JSON body by its content type or its very first byte, with
// which no message of the contract begins.
func isJSON(msg *nats.Msg) (bool, error) {
	kind, err := subjects.HeaderValue(msg.Header, subjects.HeaderContentType)
	return len(msg.Data) > 0 && msg.Data[0] == '{' || kind == subjects.ContentTypeJSON, err
}
