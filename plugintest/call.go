package plugintest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pluginhost/pluginhost/api"
	"github.com/pluginhost/pluginhost/api/schema"
	"github.com/pluginhost/pluginhost/internal/pluginerror"
	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/subjects"
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
	var response api.InitResponse
	err := h.invoke(ctx, "on_init", initTimeout, &api.InitRequest{Config: h.config()}, &response)
	if err == nil && response.Error != "" {
		err = &subjects.Error{Failure: subjects.ErrPlugin, Text: response.Error}
	}
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
	m, err := h.find(method)
	if err != nil {
		return "", err
	}
	body, err := m.RequestFromJSON([]byte(request))
	if err != nil {
		return "", subjects.Errorf(subjects.ErrBadRequest, "%w", err)
	}
	answer, err := h.run(ctx, m, callTimeout, body)
	if err != nil {
		return "", err
	}
	response, err := m.ResponseToJSON(answer)
	if err != nil {
		return "", subjects.Errorf(subjects.ErrCrashed, "%w", err)
	}
	return string(response), h.settle(ctx)
}

// invoke calls a method with messages.
func (h *Host) invoke(ctx context.Context, method string, timeout time.Duration, request, response Message) error {
	m, err := h.find(method)
	if err != nil {
		return err
	}
	body, err := request.MarshalVT()
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	answer, err := h.run(ctx, m, timeout, body)
	if err != nil {
		return err
	}
	if err := response.UnmarshalVT(answer); err != nil {
		return subjects.Errorf(subjects.ErrCrashed, "the response of %s does not decode: %w", method, err)
	}
	return nil
}

// run calls a method of the guest. The timeout is for a context without a deadline.
func (h *Host) run(ctx context.Context, m *schema.Method, timeout time.Duration, request []byte) ([]byte, error) {
	if _, bounded := ctx.Deadline(); bounded {
		timeout = max(timeout, maxCallTimeout)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	answer, err := h.module.Call(ctx, m.Export, request)
	if err != nil {
		return nil, h.failure(m, err)
	}
	return answer, nil
}

// find returns a method that the plugin has.
func (h *Host) find(name string) (*schema.Method, error) {
	if method, ok := h.methods[name]; ok {
		return method, nil
	}
	for _, capability := range schema.Capabilities() {
		for _, method := range capability.Methods {
			if method.Name == name {
				text := fmt.Sprintf("%s is a method of %s, which is not in the manifest", name, capability.Name)
				return nil, pluginerror.Match(&subjects.Error{Failure: subjects.ErrNotImplemented, Text: text})
			}
		}
	}
	known := slices.Sorted(maps.Keys(h.methods))
	return nil, subjects.Errorf(subjects.ErrBadRequest, "unknown method %.80q: the plugin has %s", name, strings.Join(known, ", "))
}
