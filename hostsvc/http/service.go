// Package http is the host service that makes HTTP requests for a plugin,
// within the limits of the plugin's manifest and of the host.
package http

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	nethttp "net/http"
	"net/url"
	"time"

	"github.com/pluginhost/pluginhost/hostsvc/internal/egress"
	"github.com/pluginhost/pluginhost/hostsvc/netguard"
	api "github.com/pluginhost/pluginhost/sdk/api/host/http"
)

// maxRedirects is how many redirects are followed; the next one is returned. It is not
// configurable.
const maxRedirects = 5

// Config is the configuration of a Service.
type Config struct {
	// PluginID is the plugin that the service is for; it is in every log line.
	PluginID string
	// AllowedURLs are the URL patterns of the plugin's http permission with the
	// methods each allows; package netguard describes them. There is at least one.
	AllowedURLs map[string][]string
	// AllowLocalNetwork allows addresses that are not on the public internet.
	AllowLocalNetwork bool
	// Navidrome is the address of Navidrome, which the service never calls. Nil is
	// none.
	Navidrome *url.URL
	// Own returns the endpoints of the host itself at this moment, which the service never calls
	// either; netguard.GuardConfig says more. Nil is none.
	Own func() []netguard.Endpoint
	// UserHeader is the header by which Navidrome's reverse proxy says who is logged
	// in. It is dropped from every request. Defaults to "Remote-User".
	UserHeader string
	// MaxBody is the largest request body, and the largest response body after
	// decompression, in bytes. Defaults to 10 MiB.
	MaxBody int64
	// DefaultTimeout is for requests that ask for none. Defaults to 10 seconds, or
	// MaxTimeout where that is less.
	DefaultTimeout time.Duration
	// MaxTimeout is the longest time a request may take. Defaults to 60 seconds.
	MaxTimeout time.Duration
	// Failing is told of a request that got no answer, or one that says to try again: 408, 425, 429 or 5xx. unanswered is that
	// it may have been carried out, and its answer was lost. It must not block. Optional.
	Failing func(ctx context.Context, unanswered bool)
	// Logger gets a warning for each refused request. Defaults to slog.Default().
	Logger *slog.Logger
	// Resolver looks up host names. Defaults to net.DefaultResolver.
	Resolver netguard.Resolver
	// Transport makes the exchanges in the place of the network, for tests of plugins.
	// URLs and methods are checked all the same; nothing is looked up or dialled. The
	// caller closes it. Defaults to connections of the service's own.
	Transport nethttp.RoundTripper
}

// Service makes the HTTP requests of one plugin. Its methods report every failure in
// the error field of the response, for the guest would not see anything else; their
// Go error is always nil. It is safe for concurrent use.
type Service struct {
	config    Config
	gate      *egress.Gate
	transport *nethttp.Transport
	exchanger nethttp.RoundTripper // transport, unless the configuration has another
	slots     chan struct{}        // one for each connection

	running context.Context // ends with Close
	stop    context.CancelFunc
}

var _ api.HttpService = (*Service)(nil)

// New makes a service; the caller closes it. It fails for URL patterns that cannot
// be used (netguard.ErrPattern) or are missing, a Navidrome address without a host,
// and negative limits, and names all of these faults at once.
func New(config Config) (*Service, error) {
	config, err := withDefaults(config)
	gate, fault := egress.New(egress.Config{
		PluginID:          config.PluginID,
		Allowed:           config.AllowedURLs,
		AllowLocalNetwork: config.AllowLocalNetwork,
		Navidrome:         config.Navidrome,
		Own:               config.Own,
		UserHeader:        config.UserHeader,
		Logger:            config.Logger,
		Resolver:          config.Resolver,
	})
	if err := errors.Join(err, fault); err != nil {
		return nil, fmt.Errorf("http service of plugin %q: %w", config.PluginID, err)
	}
	running, stop := context.WithCancel(context.Background())
	s := &Service{
		config:  config,
		gate:    gate,
		slots:   make(chan struct{}, maxConnections),
		running: running,
		stop:    stop,
	}
	s.transport = s.newTransport()
	s.exchanger = s.transport
	if config.Transport != nil {
		s.exchanger = config.Transport
	}
	return s, nil
}

func withDefaults(config Config) (Config, error) {
	if config.MaxBody < 0 || config.DefaultTimeout < 0 || config.MaxTimeout < 0 {
		return config, errors.New("limits must not be negative: leave them 0 for the defaults")
	}
	if config.Failing == nil {
		config.Failing = func(context.Context, bool) {}
	}
	if config.MaxBody == 0 {
		config.MaxBody = 10 << 20
	}
	config.MaxBody = min(config.MaxBody, math.MaxInt64-1) // one byte more is read to see the end
	if config.MaxTimeout == 0 {
		config.MaxTimeout = time.Minute
	}
	if config.DefaultTimeout == 0 {
		config.DefaultTimeout = 10 * time.Second
	}
	config.DefaultTimeout = min(config.DefaultTimeout, config.MaxTimeout)
	return config, nil
}

// newTransport makes a transport of the plugin's own: connections are not shared
// with other plugins, and there is no proxy.
func (s *Service) newTransport() *nethttp.Transport {
	return &nethttp.Transport{
		DialContext:            s.dial,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           16,
		MaxIdleConnsPerHost:    4,
		IdleConnTimeout:        time.Minute,
		TLSHandshakeTimeout:    10 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: egress.MaxHeaderBytes,
	}
}

// Close aborts the requests in flight and closes the connections. Requests made
// after it fail. It can be called more than once and its error is always nil.
func (s *Service) Close() error {
	s.stop()
	s.transport.CloseIdleConnections()
	return nil
}

// Get sends a GET request; a body in the request is ignored.
func (s *Service) Get(ctx context.Context, request *api.HttpRequest) (*api.HttpResponse, error) {
	return s.send(ctx, nethttp.MethodGet, request), nil
}

// Post sends a POST request with the body.
func (s *Service) Post(ctx context.Context, request *api.HttpRequest) (*api.HttpResponse, error) {
	return s.send(ctx, nethttp.MethodPost, request), nil
}

// Put sends a PUT request with the body.
func (s *Service) Put(ctx context.Context, request *api.HttpRequest) (*api.HttpResponse, error) {
	return s.send(ctx, nethttp.MethodPut, request), nil
}

// Delete sends a DELETE request; a body in the request is ignored.
func (s *Service) Delete(ctx context.Context, request *api.HttpRequest) (*api.HttpResponse, error) {
	return s.send(ctx, nethttp.MethodDelete, request), nil
}

// Patch sends a PATCH request with the body.
func (s *Service) Patch(ctx context.Context, request *api.HttpRequest) (*api.HttpResponse, error) {
	return s.send(ctx, nethttp.MethodPatch, request), nil
}

// Head sends a HEAD request; a body in the request is ignored.
func (s *Service) Head(ctx context.Context, request *api.HttpRequest) (*api.HttpResponse, error) {
	return s.send(ctx, nethttp.MethodHead, request), nil
}

// Options sends an OPTIONS request; a body in the request is ignored.
func (s *Service) Options(ctx context.Context, request *api.HttpRequest) (*api.HttpResponse, error) {
	return s.send(ctx, nethttp.MethodOptions, request), nil
}
