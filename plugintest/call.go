package plugintest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/sdk/api/schema"
	"github.com/pluginhost/pluginhost/sdk/call"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/wasmrt"
)

// Message is a message of package api, such as *api.InitRequest.
type Message interface {
	// MarshalVT encodes it.
	MarshalVT() ([]byte, error)
	// UnmarshalVT decodes it.
	UnmarshalVT([]byte) error
}

// Init has the plugin's OnInit run with the configuration, as a host does before it serves
// the plugin. Its error is as that of Call, also for a text in the response's error; as on a
// host, the connections that OnInit has opened are closed then. A plugin without
// LifecycleManagement has nothing to run. Callbacks of WebSockets wait until OnInit is over.
func (h *Host) Init(ctx context.Context) error {
	if !h.manifest.Has(plugin.LifecycleManagement) {
		return nil
	}
	h.serving.Lock()
	h.sockets.begin()
	err := h.callBack(ctx, schema.Init{Config: h.config()}, initTimeout)
	h.sockets.begun(err == nil)
	h.serving.Unlock()
	if err != nil {
		return fmt.Errorf("OnInit: %w", err)
	}
	return h.settle(ctx)
}

// Call calls any method of the plugin's capabilities, callbacks included, by its name on
// the bus, such as get_artist_biography or on_text_message. Most are easier called through
// MetadataAgent, Scrobbler, Init, Advance and Connection.
//
// A call has 10 seconds, unless the context has a deadline, which may give it a minute. The
// error wraps a *subjects.Error, as that of package client does, and matches
// api.ErrNotFound and api.ErrNotImplemented where the plugin has returned them. A text in
// the response's error is no error here.
func (h *Host) Call(ctx context.Context, method string, request, response Message) error {
	if err := h.invoke(ctx, method, callTimeout, request, response); err != nil {
		return err
	}
	return h.settle(ctx)
}

// CallJSON is Call with JSON both ways, as pluginhost call has it.
func (h *Host) CallJSON(ctx context.Context, method, request string) (string, error) {
	response, err := h.run(ctx, callTimeout, call.Request{Method: method, Body: []byte(request), JSON: true})
	if err != nil {
		return "", err
	}
	return string(response), h.settle(ctx)
}

// invoke calls a method with messages.
func (h *Host) invoke(ctx context.Context, method string, timeout time.Duration, request, response Message) error {
	if _, err := h.find(method, false); err != nil {
		return err
	}
	body, err := request.MarshalVT()
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	answer, err := h.run(ctx, timeout, call.Request{Method: method, Body: body})
	if err != nil {
		return err
	}
	if err := response.UnmarshalVT(answer); err != nil {
		return notDecoded(method, err)
	}
	return nil
}

// callBack calls the plugin back for an event. A text in the response's error is an error.
func (h *Host) callBack(ctx context.Context, event schema.Event, timeout time.Duration) error {
	callback, err := h.contract.Callback(event)
	if err != nil {
		return err
	}
	if _, err := h.find(callback.Name, false); err != nil {
		return err
	}
	answer, err := h.run(ctx, timeout, call.Request{Method: callback.Name, Body: callback.Request})
	if err != nil {
		return err
	}
	text, err := callback.Failure(answer)
	switch {
	case err != nil:
		return notDecoded(callback.Name, err)
	case text != "":
		return &subjects.Error{Failure: subjects.ErrPlugin, Text: text}
	default:
		return nil
	}
}

func notDecoded(method string, err error) error {
	return subjects.Errorf(subjects.ErrCrashed, "the response of %s does not decode: %w", method, err)
}

// run calls a method of the guest. The timeout is for a context without a deadline.
func (h *Host) run(ctx context.Context, timeout time.Duration, request call.Request) ([]byte, error) {
	if _, bounded := ctx.Deadline(); bounded {
		timeout = max(timeout, maxCallTimeout)
	}
	request.Timeout = call.Within(timeout)
	var result result
	h.calls.Do(ctx, request, &result)
	return result.response, result.err
}

// result is what a call has ended with.
type result struct {
	response []byte
	err      error
}

var _ call.Replier = (*result)(nil)

// Fits implements call.Replier.
func (r *result) Fits([]byte) error { return nil }

// Reply implements call.Replier.
func (r *result) Reply(response []byte, failure *subjects.Error) {
	r.response = bytes.Clone(response)
	if failure != nil {
		r.err = call.MatchAPI(failure)
	}
}

// find finds a method that the plugin has, which may be a callback.
func (h *Host) find(name string, _ bool) (call.Method, error) {
	if m, ok := h.methods[name]; ok {
		return h.method(m), nil
	}
	if method, known := h.contract.Method(name); known {
		text := fmt.Sprintf("%s is a method of %s, which is not in the manifest", name, method.Capability)
		return call.Method{}, call.MatchAPI(&subjects.Error{Failure: subjects.ErrNotImplemented, Text: text})
	}
	known := slices.Sorted(maps.Keys(h.methods))
	return call.Method{}, subjects.Errorf(subjects.ErrBadRequest, "unknown method %.80q: the plugin has %s", name, strings.Join(known, ", "))
}

// method has the guest answer a method.
func (h *Host) method(m *schema.Method) call.Method {
	return call.Method{
		Call: func(ctx context.Context, request []byte, reply func(call.Answer)) {
			h.module.Answer(ctx, m.Export, request, func(a wasmrt.Answer) {
				answer := call.Answer(a)
				if answer.Err != nil {
					answer.Err = h.failure(m, answer.Err)
				}
				reply(answer)
			})
		},
		RequestFromJSON: func(body []byte) ([]byte, error) {
			request, err := m.RequestFromJSON(body)
			return request, failed(subjects.ErrBadRequest, err)
		},
		ResponseToJSON: func(response []byte) ([]byte, error) {
			body, err := m.ResponseToJSON(response)
			return body, failed(subjects.ErrCrashed, err)
		},
	}
}

// failed makes a failure of an error.
func failed(failure, err error) error {
	if err == nil {
		return nil
	}
	return subjects.Errorf(failure, "%w", err)
}

// failure turns what a call of the guest ended with into what a caller on the bus gets.
func (h *Host) failure(m *schema.Method, err error) *subjects.Error {
	failure := call.GuestFailure(err)
	switch {
	case errors.Is(failure, subjects.ErrUnavailable):
		failure.Text = "the test is over"
	case errors.Is(failure, subjects.ErrCrashed):
		h.log.printf("plugintest: %s crashed: %v", m.RPC, err)
	}
	return failure
}
