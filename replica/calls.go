package replica

import (
	"context"
	"errors"
	"maps"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/pluginhost/pluginhost/sdk/api/schema"
	"github.com/pluginhost/pluginhost/sdk/call"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/wasmrt"
)

// newCalls answers calls of the plugin, over whatever they come.
func (h *hosted) newCalls(limits call.Limits) *call.Server {
	return call.NewServer(call.Config{
		ID:       h.id,
		Resolve:  h.resolve,
		Hold:     h.hold,
		Turns:    h.replica.turns,
		Full:     tooManyCalls,
		Failed:   h.hasBug,
		Observer: h,
		Limits:   limits,
	})
}

// tooManyCalls is what a call is refused with when there are as many as may be.
func tooManyCalls(limit int) error {
	return subjects.Errorf(subjects.ErrOverloaded, "%d calls are running or waiting: try again later, or raise [Runtime] MaxConcurrent or Queue", limit)
}

// hasBug logs a panic of the host in a call.
func (h *hosted) hasBug(method string, panicked any) error {
	h.replica.log.Error("host panic", "plugin", h.id, "method", method, "panic", panicked, "stack", string(debug.Stack()))
	return subjects.Errorf(subjects.ErrCrashed, "the host failed; see its log")
}

// hold charges the plugin for memory that is kept for its calls.
func (h *hosted) hold(bytes int64) (release func(), err error) {
	release, err = h.replica.runtime.Hold(h.id, bytes)
	if err != nil {
		return nil, noMemory(err)
	}
	return release, nil
}

// resolve finds the method of the current generation. The call moves to the
// next generation if that came while it was on its way.
func (h *hosted) resolve(name string, callback bool) (call.Method, error) {
	current := h.current.Load()
	if current == nil {
		return call.Method{}, errUnloading()
	}
	method, ok := current.table(callback)[name]
	if !ok {
		return call.Method{}, current.noSuchMethod(name, callback)
	}
	resolved := method.json
	if method.scrobbles {
		resolved.Call = h.learning(h.calling(current, name, callback))
		return resolved, nil
	}
	resolved.Call = h.calling(current, name, callback)
	return resolved, nil
}

// calling calls a method of a generation or, if that was closed before the call
// was its, of the one after.
func (h *hosted) calling(current *generation, name string, callback bool) func(context.Context, []byte, func(call.Answer)) {
	return func(ctx context.Context, request []byte, reply func(call.Answer)) {
		method, ok := current.table(callback)[name]
		if !ok {
			reply(call.Answer{Err: current.noSuchMethod(name, callback)})
			return
		}
		current.module.Answer(ctx, method.export, request, func(a wasmrt.Answer) {
			answer := call.Answer(a)
			if answer.Err == nil {
				reply(answer)
				return
			}
			if next := h.current.Load(); errors.Is(answer.Err, wasmrt.ErrClosed) && next != nil && next != current {
				h.calling(next, name, callback)(ctx, request, reply)
				return
			}
			answer.Err = current.failure(name, answer.Err)
			reply(answer)
		})
	}
}

// learning learns from the request of a call which name and id are those of one user.
func (h *hosted) learning(calling func(context.Context, []byte, func(call.Answer))) func(context.Context, []byte, func(call.Answer)) {
	return func(ctx context.Context, request []byte, reply func(call.Answer)) {
		h.replica.scrobbles.queues.Learn(userOf(request))
		calling(ctx, request, reply)
	}
}

func (g *generation) table(callback bool) map[string]method {
	if callback {
		return g.callbacks
	}
	return g.methods
}

// noSuchMethod tells a method of a capability that the plugin lacks from one
// that does not exist.
func (g *generation) noSuchMethod(name string, callback bool) error {
	kind := schema.KindCall
	if callback {
		kind = schema.KindCallback
	}
	if method, known := g.contract.Method(name); known && method.Kind == kind {
		return subjects.Errorf(subjects.ErrNotImplemented, "%s is a method of %s, which is not in the manifest of %s", name, method.Capability, g.entry.ID)
	}
	known := slices.Sorted(maps.Keys(g.table(callback)))
	return subjects.Errorf(subjects.ErrBadRequest, "unknown method %.80q: %s has %s", name, g.entry.ID, strings.Join(known, ", "))
}
