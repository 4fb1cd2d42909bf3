package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/api/host/config"
	"github.com/pluginhost/pluginhost/sdk/api/host/http"
)

// What the gateway calls things. Package subjects has them too, but would bring net/http into the module; a test compares.
const (
	pathPlugins   = "/v1/plugins"
	pathAgents    = "/v1/agents"
	headerTimeout = "Pluginhost-Timeout"
	contentType   = "application/x-protobuf"

	userAgent = "pluginhost-bridge-058/1.0 (+https://github.com/pluginhost/pluginhost)"
)

// margin is how much longer than the plugin the gateway may take: its own answer, that the plugin was too slow, says more than
// none.
const margin = 2 * time.Second

// message is a message of package api.
type message interface {
	MarshalVT() ([]byte, error)
	UnmarshalVT([]byte) error
}

// ask passes a request on and returns what came back. The error is api.ErrNotFound, api.ErrNotImplemented, or says what to do.
// Navidrome drops it, so it goes to its log from here.
func ask[Resp any, PResp interface {
	*Resp
	message
}](ctx context.Context, b bridge, method string, request message) (PResp, error) {
	response := PResp(new(Resp))
	err := b.exchange(ctx, method, request, response)
	if err == nil {
		return response, nil
	}
	if !errors.Is(err, api.ErrNotFound) && !errors.Is(err, api.ErrNotImplemented) {
		fmt.Fprintf(os.Stderr, "bridge to pluginhost: %s: %v\n", method, err)
	}
	return nil, err
}

// exchange posts a request and decodes what comes back into response.
func (b bridge) exchange(ctx context.Context, method string, request, response message) error {
	found, err := b.config.GetPluginConfig(ctx, &config.GetPluginConfigRequest{})
	if err != nil {
		return fmt.Errorf("read the settings: %w", err)
	}
	s, err := read(found.GetConfig())
	if err != nil {
		return err
	}
	body, err := request.MarshalVT()
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	got, err := b.http.Post(ctx, &http.HttpRequest{
		Url: s.address(method),
		Headers: map[string]string{
			"Authorization": "Bearer " + s.token,
			"Content-Type":  contentType,
			"User-Agent":    userAgent,
			headerTimeout:   s.timeout.String(),
		},
		TimeoutMs: int32((s.timeout + margin).Milliseconds()),
		Body:      body,
	})
	if err != nil {
		return s.failed("no answer: %s", s.shown(err.Error()))
	}
	if body, err = s.answer(got); err != nil {
		return err
	}
	if err := response.UnmarshalVT(body); err != nil {
		return s.foreign(got, "its body is no answer to "+method+": "+err.Error())
	}
	return nil
}
