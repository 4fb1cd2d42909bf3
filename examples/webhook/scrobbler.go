package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/api/host/config"
	"github.com/pluginhost/pluginhost/sdk/api/host/http"
)

// errRetryLater tells the host to send the scrobble again later. Its text is all
// that reaches the host, so it is returned as it is and the details are logged.
var errRetryLater = errors.New("retry later")

const (
	// requestTimeoutMs leaves room in the 10 seconds that a call has when its
	// caller does not say otherwise.
	requestTimeoutMs = 8000
	// blockedPrefix begins the error of a request that the host does not allow.
	blockedPrefix = "Request blocked by plugin permissions: "
)

// scrobbler keeps nothing between calls.
type scrobbler struct {
	http   poster
	config config.ConfigService
	log    io.Writer
}

// poster is the part of http.HttpService that the scrobbler uses.
type poster interface {
	Post(ctx context.Context, request *http.HttpRequest) (*http.HttpResponse, error)
}

// IsAuthorized says whether the user is one of those in the configuration.
func (s scrobbler) IsAuthorized(ctx context.Context, request *api.ScrobblerIsAuthorizedRequest) (*api.ScrobblerIsAuthorizedResponse, error) {
	settings, err := s.settings(ctx)
	if err != nil {
		return nil, err
	}
	return &api.ScrobblerIsAuthorizedResponse{Authorized: settings.reports(request.Username)}, nil
}

// NowPlaying posts an event now_playing.
func (s scrobbler) NowPlaying(ctx context.Context, request *api.ScrobblerNowPlayingRequest) (*api.ScrobblerNowPlayingResponse, error) {
	who := user{ID: request.UserId, Name: request.Username}
	if err := s.post(ctx, newEvent("now_playing", who, request.Track, request.Timestamp)); err != nil {
		return nil, err
	}
	return &api.ScrobblerNowPlayingResponse{}, nil
}

// Scrobble posts an event scrobble. It does not look at the users again: the
// host has asked IsAuthorized, and may not know the name any more.
func (s scrobbler) Scrobble(ctx context.Context, request *api.ScrobblerScrobbleRequest) (*api.ScrobblerScrobbleResponse, error) {
	who := user{ID: request.UserId, Name: request.Username}
	if err := s.post(ctx, newEvent("scrobble", who, request.Track, request.Timestamp)); err != nil {
		return nil, err
	}
	return &api.ScrobblerScrobbleResponse{}, nil
}

// post sends an event. The error is errRetryLater where another attempt may
// succeed.
func (s scrobbler) post(ctx context.Context, e event) error {
	settings, err := s.settings(ctx)
	if err != nil {
		return err
	}
	body, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encode the event: %w", err)
	}
	headers := map[string]string{"Content-Type": "application/json", "User-Agent": "pluginhost-webhook/1.0"}
	if settings.token != "" {
		headers["Authorization"] = "Bearer " + settings.token
	}
	response, err := s.http.Post(ctx, &http.HttpRequest{Url: settings.url, Headers: headers, TimeoutMs: requestTimeoutMs, Body: body})
	if err != nil {
		return fmt.Errorf("post the event: %w", err)
	}
	return s.judge(e, response)
}

// judge turns a response into the error for the host, nil if the receiver has
// the event.
func (s scrobbler) judge(e event, response *http.HttpResponse) error {
	status := response.Status
	switch {
	case status == 0 && strings.HasPrefix(response.Error, blockedPrefix):
		return errors.New(response.Error) // tomorrow as well
	case status == 0:
		s.logf("%s not sent: %s", e.Event, response.Error)
		return errRetryLater
	case status == 429, status >= 500:
		s.logf("%s not accepted: status %d", e.Event, status)
		return errRetryLater
	case status >= 200 && status < 300:
		return nil
	case response.Error != "":
		return fmt.Errorf("the receiver answered with status %d: %s", status, response.Error)
	default:
		return fmt.Errorf("the receiver answered with status %d: %.200q", status, response.Body)
	}
}

// logf writes a line to the host's log. A log that cannot be written is no
// reason to fail a scrobble.
func (s scrobbler) logf(format string, args ...any) {
	_, _ = fmt.Fprintf(s.log, format+"\n", args...)
}
