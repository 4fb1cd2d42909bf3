package call

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/pluginhost/pluginhost/subjects"
)

// Config describes a Server.
type Config struct {
	// ID is that of the plugin: calls that lead back into it are refused. Empty refuses none.
	ID string
	// Resolve finds a method or, with callback, a callback by its name on the
	// bus. Its error is the reply.
	Resolve func(name string, callback bool) (Method, error)
	// Hold charges the plugin for bytes of memory until release is called. Its error is
	// the reply to the call that they are for. Nil charges nobody.
	Hold func(bytes int64) (release func(), err error)
	// Turns are those of all plugins of the host. Without them JSON is converted at once, however
	// much there is of it.
	Turns *Turns
	// Full is the error with which a call is refused when there are as many as
	// Limits.MaxInFlight. Defaults to an ErrOverloaded.
	Full func(limit int) error
	// Failed tells of a panic in a method, and returns the error that the caller gets. If a
	// method ends without an answer, what it has panicked with is nil. Without Failed, panics
	// are left to go on.
	Failed func(method string, panicked any) error
	// Observer is told of every call; nil is nobody.
	Observer Observer
	// Limits are those to begin with.
	Limits Limits
}

// Server answers the calls of one plugin. Its methods may be called concurrently. There is
// nothing to close: whoever has calls come waits for them.
type Server struct {
	config     Config
	limits     atomic.Pointer[Limits]
	inFlight   atomic.Int64
	converting converting
}

// NewServer returns a Server.
func NewServer(config Config) *Server {
	s := &Server{config: config, converting: converting{turns: config.Turns, hold: config.Hold}}
	if config.Full == nil {
		s.config.Full = func(limit int) error {
			return subjects.Errorf(subjects.ErrOverloaded, "%d calls are running or waiting: try again later", limit)
		}
	}
	s.limits.Store(&config.Limits)
	return s
}

// SetLimits bounds the calls that arrive from now on.
func (s *Server) SetLimits(limits Limits) { s.limits.Store(&limits) }

// Admit takes in a call that has arrived. It does not block, runs nothing and charges the
// plugin for a long body of JSON. A call that is admitted is served once, or left. The error of
// any other is for Refuse: that of Config.Full or Hold, or ErrOverloaded.
func (s *Server) Admit(a *Admission, request Request) error {
	limit := s.limits.Load().MaxInFlight
	if n := s.inFlight.Add(1); limit > 0 && n > int64(limit) {
		s.inFlight.Add(-1)
		return s.config.Full(limit)
	}
	a.request, a.server, a.arrived, a.bytes = request, s, time.Now(), len(request.Body)
	if request.JSON && request.Fault == nil {
		var err error
		if a.left, err = s.converting.arrive(int64(len(request.Body))); err != nil {
			s.inFlight.Add(-1)
			return err
		}
	}
	return nil
}

// Refuse counts a call that nothing is run for, and returns the failure for its caller.
func (s *Server) Refuse(request Request, err error) *subjects.Error {
	s.observe(Observation{Callback: request.Callback, Trace: request.Trace, Err: err, In: len(request.Body)})
	return FailureOf(err)
}

// Do admits a call and serves it. It returns once the call is over; ctx bounds it.
func (s *Server) Do(ctx context.Context, request Request, to Replier) {
	a := new(Admission)
	if err := s.Admit(a, request); err != nil {
		to.Reply(nil, s.Refuse(request, err))
		return
	}
	a.Serve(ctx, to)
}

func (s *Server) observe(o Observation) {
	if s.config.Observer != nil {
		s.config.Observer.Observe(o)
	}
}
