// Package subsonicapi is the host service that calls the Subsonic API of Navidrome
// for a plugin, as the users that its manifest allows.
package subsonicapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/pluginhost/pluginhost/hostsvc/navidrome"
	api "github.com/pluginhost/pluginhost/sdk/api/host/subsonicapi"
	"github.com/pluginhost/pluginhost/sdk/hold"
)

// Limits that are not configurable.
const (
	// maxError is the longest error text, in bytes.
	maxError = 2 << 10
	// waitForTurn is how long a call waits where too many are running.
	waitForTurn = 250 * time.Millisecond
)

// Config is the configuration of a Service.
type Config struct {
	// PluginID is the plugin that the service is for: the client of every request, and
	// in every log line.
	PluginID string
	// AllowedUsernames are the users as whom the plugin may call, whatever their case.
	// Empty is all.
	AllowedUsernames []string
	// AllowAdmins allows calls as a user who is an admin.
	AllowAdmins bool
	// Navidrome answers the requests. Nil is none: every call fails.
	Navidrome navidrome.Subsonic
	// Via returns the ids of the plugins that already wait for the call with a context,
	// the outermost first, without the one of the service. Nil is none.
	Via func(ctx context.Context) []string
	// MaxResponse is the largest answer, in bytes. Defaults to 10 MiB.
	MaxResponse int64
	// Timeout is how long a call may take, the look-up of the user included. Defaults
	// to 10 seconds.
	Timeout time.Duration
	// MaxCalls is how many calls may run at once; less than 1 is 1. It must be less
	// than the number of instances that the plugin may have. A request can lead back
	// into the plugin, as a scrobble does that Navidrome hands to all scrobblers, and a
	// stock Navidrome does not pass on who waits for it: were all instances waiting for
	// such requests, none would ever end. With one to spare, the call that leads back
	// finds an instance, is refused its turn, and those who wait go on.
	MaxCalls int
	// Logger gets a warning for each call without an answer, at most one a second after
	// the first ten. Defaults to slog.Default().
	Logger *slog.Logger
}

// Service makes the Subsonic calls of one plugin. It has nothing to close and is safe
// for concurrent use.
type Service struct {
	config   Config
	allowed  map[string]bool // lower-cased; empty is all
	roles    roles
	turns    chan struct{} // a token for each call that runs
	wait     time.Duration // for a turn
	warnings *rate.Limiter
}

var _ api.SubsonicAPIService = (*Service)(nil)

// New makes the service of a plugin.
func New(config Config) *Service {
	if config.MaxResponse <= 0 {
		config.MaxResponse = 10 << 20
	}
	if config.Timeout <= 0 {
		config.Timeout = 10 * time.Second
	}
	if config.Via == nil {
		config.Via = func(context.Context) []string { return nil }
	}
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	s := &Service{
		config:   config,
		allowed:  make(map[string]bool, len(config.AllowedUsernames)),
		turns:    make(chan struct{}, max(config.MaxCalls, 1)),
		wait:     waitForTurn,
		warnings: rate.NewLimiter(warningsPerSecond, warningsAtOnce),
	}
	for _, name := range config.AllowedUsernames {
		s.allowed[foldName(name)] = true
	}
	return s
}

var errNoNavidrome = errors.New("SubsonicAPI router not available")

// Call makes one request as the user whom its parameter u names. What Navidrome
// answers comes back as it is, whatever it is. Every failure is in the error field of
// the response; the Go error is always nil.
func (s *Service) Call(ctx context.Context, request *api.CallRequest) (*api.CallResponse, error) {
	body, err := s.call(ctx, request.GetUrl())
	if err != nil {
		return s.answer(ctx, err), nil
	}
	return &api.CallResponse{Json: string(body)}, nil
}

// answer logs an error and tells the plugin.
func (s *Service) answer(ctx context.Context, err error) *api.CallResponse {
	s.report(ctx, err)
	return &api.CallResponse{Error: errorText(err)}
}

// call is Call in the order of the spec.
func (s *Service) call(ctx context.Context, rawURL string) ([]byte, error) {
	if s.config.Navidrome == nil {
		return nil, refused("", errNoNavidrome)
	}
	target, err := parseURL(rawURL)
	if err != nil {
		return nil, refused("", err)
	}
	query, err := queryIn(ctx, target)
	if err != nil {
		return nil, refused("", err)
	}
	user, err := userIn(query)
	if err != nil {
		return nil, refused("", err)
	}
	if len(s.allowed) > 0 && !s.allowed[foldName(user)] {
		return nil, refuse(user, "username %s is not allowed", user)
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	via, err := s.via(ctx, user)
	if err != nil {
		return nil, err
	}
	if err := s.begin(ctx, user); err != nil {
		return nil, err
	}
	defer s.end()
	if !s.config.AllowAdmins {
		if err := s.checkRole(ctx, via, user); err != nil {
			return nil, err
		}
	}
	endpoint, err := endpointIn(target)
	if err != nil {
		return nil, refused(user, err)
	}
	return s.ask(ctx, navidrome.SubsonicRequest{Via: via, User: user, Endpoint: endpoint, Query: query}, s.config.MaxResponse)
}

// ask makes one request to Navidrome, in the name of the plugin.
func (s *Service) ask(ctx context.Context, request navidrome.SubsonicRequest, limit int64) ([]byte, error) {
	request.Plugin = s.config.PluginID
	for _, name := range credentials {
		request.Query.Del(name)
	}
	request.Query.Set("u", request.User)
	request.Query.Set("c", s.config.PluginID)
	request.Query.Set("f", "json")
	request.Query.Set("v", apiVersion)
	body, err := s.config.Navidrome.Subsonic(ctx, request)
	switch {
	case err == nil && int64(len(body)) > limit:
		return nil, fmt.Errorf("the answer to %s has %d bytes, the limit is %d", request.Endpoint, len(body), limit)
	case err == nil:
		s.look(ctx, request.Endpoint, body)
		return body, hold.Bytes(ctx, len(body)) // for the text that is made of it
	case errors.Is(err, context.DeadlineExceeded), ctx.Err() != nil:
		return nil, &lateError{fmt.Sprintf("no answer of Navidrome to %s in time: a call may take %v, or what is left to the plugin", request.Endpoint, s.config.Timeout), err}
	default:
		return nil, err
	}
}

// bounded is a text that fits an error or a log.
func bounded(text string) string {
	if len(text) > maxError {
		text = text[:maxError] + "…"
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}
