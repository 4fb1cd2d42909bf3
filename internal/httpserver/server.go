// Package httpserver serves HTTP to anybody who can reach a port: how many connections
// there are, how long a client may take and how much it may send are bounded, and
// clients that say nothing keep no others out.
package httpserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Config is the configuration of a Server.
type Config struct {
	// Name says in the log which server it is.
	Name string
	// Address is the host:port to listen on; port 0 picks a free one.
	Address string
	// Handler answers the requests.
	Handler http.Handler
	// MaxConnections is how many connections there may be. Once there are as many, a
	// new one takes the place of another; see Patience. Defaults to 512.
	MaxConnections int
	// Patience is how long a request may run before its connection gives way to a new
	// one. Connections without a request give way first, and at any time; those that
	// have waited the longest are the first to go. Defaults to 0.
	Patience time.Duration
	// MaxHeaderBytes is how large the header of a request may be. Defaults to 16 KiB.
	MaxHeaderBytes int
	// HeaderTimeout is how long the header of a request may take. Defaults to 5 seconds.
	HeaderTimeout time.Duration
	// ReadTimeout is how long a request may take, body included. Defaults to 10 seconds.
	ReadTimeout time.Duration
	// WriteTimeout is how long the answer may take, from the end of the header on.
	// Defaults to 10 seconds.
	WriteTimeout time.Duration
	// IdleTimeout is how long a connection is kept for the next request. Defaults to 30
	// seconds.
	IdleTimeout time.Duration
	// StallTimeout is how long a client of HTTP/2 may take nothing of what there is to send. It needs one of its own: what ends at
	// WriteTimeout is told on the connection, so that a client that does not read keeps it all. Defaults to 10 seconds.
	StallTimeout time.Duration
	// HTTP2 has clients that begin with it speak HTTP/2 without TLS, too, with at most MaxStreams requests at once on a
	// connection.
	HTTP2 bool
	// Logger gets what fails after the start. Defaults to slog.Default().
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	setDefault(&c.MaxConnections, 512)
	setDefault(&c.MaxHeaderBytes, 16<<10)
	setDefault(&c.HeaderTimeout, 5*time.Second)
	setDefault(&c.ReadTimeout, 10*time.Second)
	setDefault(&c.WriteTimeout, 10*time.Second)
	setDefault(&c.IdleTimeout, 30*time.Second)
	setDefault(&c.StallTimeout, 10*time.Second)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

func setDefault[T ~int | ~int64](value *T, standard T) {
	if *value <= 0 {
		*value = standard
	}
}

// MaxStreams is how many requests there may be at once on a connection of HTTP/2.
const MaxStreams = 100

// What a connection, and a request, of HTTP/2 may have sent that was not read yet, in bytes: the least that HTTP/2 allows, so that
// connections of strangers are cheap.
const (
	connectionBuffer = 64 << 10
	streamBuffer     = 64<<10 - 1
)

// Server is an HTTP server that listens.
type Server struct {
	connections *connections
	server      *http.Server
	serving     sync.WaitGroup // the goroutine that accepts, and one for each connection
}

// Start listens and serves. It fails if the address cannot be listened on. The caller
// stops the Server.
func Start(config Config) (*Server, error) {
	config = config.withDefaults()
	address, err := net.ResolveTCPAddr("tcp", config.Address)
	if err != nil {
		return nil, err
	}
	listener, err := net.ListenTCP("tcp", address)
	if err != nil {
		return nil, err
	}
	log := config.Logger.With("server", config.Name)
	s := &Server{connections: newConnections(listener, config.MaxConnections, config.Patience, log)}
	s.server = &http.Server{
		Handler:           s.handler(config.Handler),
		ReadHeaderTimeout: config.HeaderTimeout,
		ReadTimeout:       config.ReadTimeout,
		WriteTimeout:      config.WriteTimeout,
		IdleTimeout:       config.IdleTimeout,
		MaxHeaderBytes:    config.MaxHeaderBytes,
		ConnState:         s.note,
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return context.WithValue(ctx, ofConnection{}, conn)
		},
		// Whoever asks for OPTIONS * gets what the handler says, too.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	if config.HTTP2 {
		s.server.Protocols = new(http.Protocols)
		s.server.Protocols.SetHTTP1(true)
		s.server.Protocols.SetUnencryptedHTTP2(true)
		s.server.HTTP2 = &http.HTTP2Config{
			MaxConcurrentStreams:          MaxStreams,
			MaxReceiveBufferPerConnection: connectionBuffer,
			MaxReceiveBufferPerStream:     streamBuffer,
			WriteByteTimeout:              config.StallTimeout,
		}
	}
	s.serving.Go(func() {
		err := s.server.Serve(s.connections)
		if !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) { // Stop does either
			log.Error("HTTP server failed", "error", err)
		}
	})
	return s, nil
}

// ofConnection is the key of a request's connection in its context.
type ofConnection struct{}

// handler counts the requests that run.
func (s *Server) handler(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.connections.serve(r.Context().Value(ofConnection{}).(*connection), handler, w, r)
	})
}

// note is told by http.Server what becomes of a connection: StateNew before the
// goroutine of the connection starts, StateClosed as the last thing that it does.
func (s *Server) note(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.serving.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.serving.Done()
	case http.StateActive, http.StateIdle:
		s.connections.note(conn, state == http.StateActive)
	}
}

// Address is the host:port that the server listens on.
func (s *Server) Address() string { return s.connections.Addr().String() }

// Stop takes no more connections, closes those without a request at once, and waits
// for the requests that run. Those that are not over when ctx is are broken off, which
// is the error. It can be called more than once.
func (s *Server) Stop(ctx context.Context) error {
	defer s.serving.Wait()
	_ = s.connections.Close()
	s.connections.closeSilent()
	if err := s.server.Shutdown(ctx); err != nil {
		_ = s.server.Close()
		return fmt.Errorf("requests were broken off: %w", err)
	}
	return nil
}
