package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/api/host/config"
	"github.com/pluginhost/pluginhost/sdk/api/host/http"
)

// What the host shall do with a play. These texts are all that reaches it, so they are returned as they are, and the
// details are logged.
var (
	errRetryLater    = errors.New("retry later")
	errNotAuthorized = errors.New("not authorized")
	errUnrecoverable = errors.New("unrecoverable")
)

const (
	address = "https://api.listenbrainz.org/1/submit-listens"
	client  = "pluginhost"
	version = "1.0.0" // of the manifest

	// requestTimeoutMs leaves room in the 10 seconds that a call has when its caller does not say otherwise.
	requestTimeoutMs = 8000
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

// IsAuthorized says whether there is a token for the user.
func (s scrobbler) IsAuthorized(ctx context.Context, request *api.ScrobblerIsAuthorizedRequest) (*api.ScrobblerIsAuthorizedResponse, error) {
	token, err := s.token(ctx, request.UserId, request.Username)
	if err != nil {
		return nil, err
	}
	return &api.ScrobblerIsAuthorizedResponse{Authorized: token != ""}, nil
}

// NowPlaying shows on ListenBrainz what a user has started to play.
func (s scrobbler) NowPlaying(ctx context.Context, request *api.ScrobblerNowPlayingRequest) (*api.ScrobblerNowPlayingResponse, error) {
	if err := s.submit(ctx, request.UserId, request.Username, newSubmission(playingNow, request.Track, 0)); err != nil {
		return nil, err
	}
	return &api.ScrobblerNowPlayingResponse{}, nil
}

// Scrobble submits what a user has played. ListenBrainz takes a play that comes twice once.
func (s scrobbler) Scrobble(ctx context.Context, request *api.ScrobblerScrobbleRequest) (*api.ScrobblerScrobbleResponse, error) {
	if err := s.submit(ctx, request.UserId, request.Username, newSubmission(single, request.Track, request.Timestamp)); err != nil {
		return nil, err
	}
	return &api.ScrobblerScrobbleResponse{}, nil
}

func (s scrobbler) submit(ctx context.Context, userID, username string, what submission) error {
	token, err := s.token(ctx, userID, username)
	if err != nil {
		return err
	}
	if token == "" {
		return errNotAuthorized
	}
	body, err := json.Marshal(what)
	if err != nil {
		return fmt.Errorf("encode the submission: %w", err)
	}
	response, err := s.http.Post(ctx, &http.HttpRequest{
		Url: address,
		Headers: map[string]string{
			"Authorization": "Token " + token,
			"Content-Type":  "application/json",
			"User-Agent":    "pluginhost-listenbrainz/" + version + " (+https://github.com/pluginhost/pluginhost)",
		},
		TimeoutMs: requestTimeoutMs,
		Body:      body,
	})
	if err != nil {
		return fmt.Errorf("post the submission: %w", err)
	}
	return s.judge(what.Type, response)
}

// judge turns an answer into the error for the host, nil if ListenBrainz has the play. A proxy on the way may
// answer with a page and the status 200: only what ListenBrainz says itself counts.
func (s scrobbler) judge(kind string, response *http.HttpResponse) error {
	var answer struct {
		Status string `json:"status"`
	}
	verdict := errRetryLater
	switch status := response.Status; {
	case status == 200 && json.Unmarshal(response.Body, &answer) == nil && answer.Status == "ok":
		return nil
	case status == 401:
		verdict = errNotAuthorized
	case status >= 400 && status < 500 && status != 408 && status != 429:
		verdict = errUnrecoverable
	}
	_, _ = fmt.Fprintf(s.log, "%s: %s: status %d: %s%.200q\n", kind, verdict, response.Status, response.Error, response.Body)
	return verdict
}
