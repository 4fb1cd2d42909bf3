package call

import (
	"context"
	"time"

	"github.com/pluginhost/pluginhost/subjects"
)

// Replier brings a caller what its call has ended with, over whatever the call came.
type Replier interface {
	// Fits says whether a response can be sent. Its error is the reply otherwise.
	Fits(response []byte) error
	// Reply sends the response or, unless it is nil, the failure. It is called once for each
	// call. The response is valid until Reply returns.
	Reply(response []byte, failure *subjects.Error)
}

// Admission is a call that a Server has admitted.
type Admission struct {
	server  *Server
	request Request
	arrived time.Time
	bytes   int    // of the body as it came
	left    func() // ends what a body of JSON took when it arrived; nil is none
	method  Method
	ctx     *deadline
	to      Replier
	known   bool // the method is
	replied bool
}

// IsJSON says whether the request is JSON, and so the response.
func (a *Admission) IsJSON() bool { return a.request.JSON }

// Leave gives up a call that is not to be served.
func (a *Admission) Leave() {
	a.forget()
	a.server.inFlight.Add(-1)
}

// Serve runs a call and has to reply to it. It returns once the call is over and no more in
// the way of others; ctx bounds the call, with the Timeout of the Request. It is called once.
func (a *Admission) Serve(ctx context.Context, to Replier) {
	a.to = to
	defer a.Leave()
	defer a.failed()
	defer a.forget()
	method, err := a.server.config.Resolve(a.request.Method, a.request.Callback)
	if err != nil {
		a.reply(Answer{Err: err})
		return
	}
	a.known, a.method = true, method
	a.run(ctx)
}

// name is that of the method, if there is one.
func (a *Admission) name() string {
	if !a.known {
		return ""
	}
	return a.request.Method
}

// failed replies to a call in which the host has a bug: the bug costs this call only.
func (a *Admission) failed() {
	failed := a.server.config.Failed
	if failed == nil {
		return
	}
	if panicked := recover(); panicked != nil || !a.replied {
		a.reply(Answer{Err: failed(a.name(), panicked)})
	}
}

// run runs a method that exists.
func (a *Admission) run(ctx context.Context) {
	s := a.server
	if err := a.request.readHeader(); err != nil {
		a.reply(Answer{Err: err})
		return
	}
	if err := checkVia(s.config.ID, a.request.Via); err != nil {
		a.reply(Answer{Err: err})
		return
	}
	if a.request.Fault != nil {
		a.reply(Answer{Err: a.request.Fault})
		return
	}
	a.ctx = newDeadline(ctx, s.limits.Load().bound(a.request.Timeout), a.request.Via)
	defer a.ctx.end()
	body := a.request.Body
	if a.request.JSON {
		var err error
		body, err = s.converting.convert(a.ctx, a.method.RequestFromJSON, body)
		a.forget()
		if err != nil {
			a.reply(Answer{Err: notConverted(err, subjects.ErrBadRequest, "the JSON body does not decode")})
			return
		}
	}
	a.method.Call(a.ctx, body, a.reply)
}

// forget lets go of the body of a request in JSON, which is converted or never will be.
func (a *Admission) forget() {
	if a.left != nil {
		a.left()
		a.left, a.request.Body = nil, nil
	}
}

// reply sends what the call ends with. It works once.
func (a *Admission) reply(answer Answer) {
	if a.replied {
		return
	}
	response, err := answer.Response, answer.Err
	if err == nil {
		response, err = a.fit(response)
	}
	a.replied = true // not before: a bug in fit is answered, too
	var failure *subjects.Error
	if err != nil {
		response, failure = nil, FailureOf(err)
	}
	a.server.observe(Observation{
		Method: a.name(), Callback: a.request.Callback, Trace: a.request.Trace, Err: err,
		Took: time.Since(a.arrived), Waited: answer.Waited, Ran: answer.Ran, In: a.bytes, Out: len(response),
	})
	a.to.Reply(response, failure)
}

// fit makes a response one that can be sent.
func (a *Admission) fit(response []byte) (_ []byte, err error) {
	if a.request.JSON {
		if response, err = a.server.converting.convert(a.ctx, a.method.ResponseToJSON, response); err != nil {
			return nil, notConverted(err, subjects.ErrCrashed, "the plugin's response is broken")
		}
	}
	return response, a.to.Fits(response)
}
