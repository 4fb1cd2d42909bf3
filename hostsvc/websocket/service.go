// Package websocket is the host service that opens WebSocket connections for a plugin,
// within the limits of the plugin's manifest and of the host.
//
// A [Service] checks and dials for one generation of a plugin. What it dials is a
// [Connection], and who keeps connections, runs them and calls the plugin is behind
// the interface [Sockets].
package websocket

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pluginhost/pluginhost/hostsvc/internal/egress"
	"github.com/pluginhost/pluginhost/hostsvc/internal/nanoid"
	"github.com/pluginhost/pluginhost/hostsvc/netguard"
	api "github.com/pluginhost/pluginhost/sdk/api/host/websocket"
	"github.com/pluginhost/pluginhost/sdk/hold"
)

// Config is the configuration of a Service.
type Config struct {
	// PluginID is the plugin that the service is for; it is in every log line.
	PluginID string
	// AllowedURLs are the URL patterns of the plugin's websocket permission; package
	// netguard describes them. There is at least one.
	AllowedURLs []string
	// AllowLocalNetwork allows addresses that are not on the public internet.
	AllowLocalNetwork bool
	// Navidrome is the address of Navidrome, where the service never connects. Nil is
	// none.
	Navidrome *url.URL
	// Own returns the endpoints of the host itself at this moment, where the service never connects
	// either; netguard.GuardConfig says more. Nil is none.
	Own func() []netguard.Endpoint
	// UserHeader is the header by which Navidrome's reverse proxy says who is logged
	// in. It is dropped from every handshake. Defaults to "Remote-User".
	UserHeader string
	// MaxMessage is the largest message in either direction, in bytes. Defaults to
	// 1,000,000: it fits into a NATS message of the default size.
	MaxMessage int64
	// Hold charges the plugin for the bytes of a message that is received, until release is
	// called. Nil charges nobody.
	Hold func(bytes int64) (release func(), err error)
	// DialTimeout bounds a dial, from the look-up of the name to the end of the
	// handshake. Defaults to 10 seconds.
	DialTimeout time.Duration
	// WriteTimeout bounds the sending of a message. Defaults to 10 seconds.
	WriteTimeout time.Duration
	// PingInterval is how often a connection is pinged. A server of which nothing came
	// for three intervals is gone. Defaults to 20 seconds.
	PingInterval time.Duration
	// Sockets keeps the connections; it is required.
	Sockets Sockets
	// Logger gets a warning for each refused connection. Defaults to slog.Default().
	Logger *slog.Logger
	// Resolver looks up host names. Defaults to net.DefaultResolver.
	Resolver netguard.Resolver
	// Dial makes the connection to a server in the place of the network, for tests of
	// plugins; over it goes what would go over TLS where there is any. URLs are checked
	// all the same; nothing is looked up. Defaults to the network.
	Dial func(ctx context.Context, target *url.URL) (net.Conn, error)
}

// Service opens and uses the WebSocket connections of one plugin. Its methods report
// every failure in the error field of the response, for the guest would not see
// anything else; their Go error is always nil. It has nothing to close, for the
// connections belong to Sockets, and is safe for concurrent use.
type Service struct {
	config Config
	gate   *egress.Gate
	dialer websocket.Dialer
}

var _ api.WebSocketService = (*Service)(nil)

// New makes a service. It fails for URL patterns that cannot be used
// (netguard.ErrPattern) or are missing, a Navidrome address without a host, negative
// limits and missing Sockets, and names all of these faults at once.
func New(config Config) (*Service, error) {
	allowed := make(map[string][]string, len(config.AllowedURLs))
	for _, pattern := range config.AllowedURLs {
		allowed[pattern] = []string{"*"}
	}
	gate, fault := egress.New(egress.Config{
		PluginID:          config.PluginID,
		Allowed:           allowed,
		AllowLocalNetwork: config.AllowLocalNetwork,
		Navidrome:         config.Navidrome,
		Own:               config.Own,
		UserHeader:        config.UserHeader,
		Logger:            config.Logger,
		Resolver:          config.Resolver,
	})
	config, err := withDefaults(config)
	if err := errors.Join(err, fault); err != nil {
		return nil, fmt.Errorf("websocket service of plugin %q: %w", config.PluginID, err)
	}
	return &Service{config: config, gate: gate, dialer: newDialer()}, nil
}

func withDefaults(config Config) (Config, error) {
	var faults []error
	if config.MaxMessage < 0 || config.DialTimeout < 0 || config.WriteTimeout < 0 || config.PingInterval < 0 {
		faults = append(faults, errors.New("limits must not be negative: leave them 0 for the defaults"))
	}
	if config.Sockets == nil {
		faults = append(faults, errors.New("the sockets that keep its connections are missing"))
	}
	if config.MaxMessage == 0 {
		config.MaxMessage = 1_000_000
	}
	if config.DialTimeout == 0 {
		config.DialTimeout = 10 * time.Second
	}
	if config.WriteTimeout == 0 {
		config.WriteTimeout = 10 * time.Second
	}
	if config.PingInterval == 0 {
		config.PingInterval = 20 * time.Second
	}
	return config, errors.Join(faults...)
}

// Connect opens a connection. An id that the plugin has in use already goes over to
// the new connection, and the old one is closed; a connection that may not be made
// leaves the old one alone.
func (s *Service) Connect(ctx context.Context, request *api.ConnectRequest) (*api.ConnectResponse, error) {
	return s.connect(ctx, request), nil
}

func (s *Service) connect(ctx context.Context, request *api.ConnectRequest) *api.ConnectResponse {
	opening := Opening{ID: request.GetConnectionId()}
	if len(opening.ID) > nanoid.MaxGiven {
		return failedConnect(fmt.Errorf("connection id of %d bytes is over the limit of %d bytes", len(opening.ID), nanoid.MaxGiven))
	}
	target, err := s.check(request.GetUrl())
	if err != nil {
		return s.blocked(ctx, request.GetUrl(), err)
	}
	header, err := s.header(request.GetHeaders())
	if err != nil {
		return failedConnect(err)
	}
	if opening.ID == "" {
		opening.ID, opening.IsMade = nanoid.New(), true
	}
	opening.Dial = func(ctx context.Context) (*Connection, error) { return s.dial(ctx, target, header) }
	err = s.config.Sockets.Connect(ctx, opening)
	switch {
	case egress.Refusal(err) != nil:
		return s.blocked(ctx, request.GetUrl(), err)
	case err != nil:
		s.gate.Failed(ctx, "connection of plugin failed", request.GetUrl(), err)
		return failedConnect(err)
	}
	return &api.ConnectResponse{ConnectionId: opening.ID}
}

// SendText sends a text message. That it is UTF-8 is the plugin's affair.
func (s *Service) SendText(ctx context.Context, request *api.SendTextRequest) (*api.SendTextResponse, error) {
	if err := checkSize(int64(len(request.GetMessage())), s.config.MaxMessage); err != nil && isID(request.GetConnectionId()) {
		return &api.SendTextResponse{Error: failedSend + errorText(err)}, nil // before a copy is made
	}
	message := Message{Data: []byte(request.GetMessage())}
	return &api.SendTextResponse{Error: s.send(ctx, request.GetConnectionId(), message)}, nil
}

// SendBinary sends a binary message.
func (s *Service) SendBinary(ctx context.Context, request *api.SendBinaryRequest) (*api.SendBinaryResponse, error) {
	message := Message{Binary: true, Data: request.GetData()}
	return &api.SendBinaryResponse{Error: s.send(ctx, request.GetConnectionId(), message)}, nil
}

// send returns the error for the plugin, "" for none.
func (s *Service) send(ctx context.Context, id string, message Message) string {
	if !isID(id) {
		return ErrNotFound.Error()
	}
	err := checkSize(int64(len(message.Data)), s.config.MaxMessage)
	if err == nil {
		err = hold.Bytes(ctx, len(message.Data)) // for what is written, here or to another replica
	}
	if err == nil {
		err = s.config.Sockets.Send(ctx, id, message)
	}
	switch {
	case errors.Is(err, ErrNotFound):
		return ErrNotFound.Error()
	case err != nil:
		return failedSend + errorText(err)
	}
	return ""
}

// Close closes a connection; what a code and a reason may be is in CheckClose. The
// plugin's OnClose follows.
func (s *Service) Close(ctx context.Context, request *api.CloseRequest) (*api.CloseResponse, error) {
	if !isID(request.GetConnectionId()) {
		return &api.CloseResponse{Error: ErrNotFound.Error()}, nil
	}
	code, err := CheckClose(int(request.GetCode()), request.GetReason())
	if err == nil {
		err = s.config.Sockets.Close(ctx, request.GetConnectionId(), code, request.GetReason())
	}
	switch {
	case errors.Is(err, ErrNotFound):
		return &api.CloseResponse{Error: ErrNotFound.Error()}, nil
	case err != nil:
		return &api.CloseResponse{Error: failedClose + errorText(err)}, nil
	}
	return &api.CloseResponse{}, nil
}
