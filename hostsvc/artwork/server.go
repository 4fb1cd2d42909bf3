package artwork

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

// Limits of the listener, which anybody may reach.
const (
	maxConnections = 512
	maxHeaderBytes = 96 << 10 // a long token shall reach the Proxy, which says what is wrong
	headerTimeout  = 5 * time.Second
	readTimeout    = 10 * time.Second
	writeTimeout   = time.Minute // waiting, fetching and sending
	idleTimeout    = 30 * time.Second
)

// Server is the listener of a Proxy.
type Server struct {
	listener net.Listener
	server   *http.Server
	done     sync.WaitGroup
}

// Listen listens on a host:port, of which port 0 picks a free one, and has handler
// answer. Whatever fails later goes to log. The caller stops it.
func Listen(address string, handler http.Handler, log *slog.Logger) (*Server, error) {
	return listen(address, handler, log, maxConnections)
}

func listen(address string, handler http.Handler, log *slog.Logger, connections int) (*Server, error) {
	resolved, err := net.ResolveTCPAddr("tcp", address)
	var listener *net.TCPListener
	if err == nil {
		listener, err = net.ListenTCP("tcp", resolved)
	}
	if err != nil {
		return nil, fmt.Errorf("[Navidrome] ArtworkListen: %w: choose another address, or \"\" to leave artwork to other replicas", err)
	}
	s := &Server{listener: newBounded(listener, connections)}
	s.server = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	s.done.Go(func() {
		if err := s.server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("artwork listener failed", "error", err)
		}
	})
	return s, nil
}

// Address is the host:port that the server listens on.
func (s *Server) Address() string { return s.listener.Addr().String() }

// Stop takes no more connections and waits for the requests in flight. Those that
// are not over when ctx is, and connections without a request, are broken off.
func (s *Server) Stop(ctx context.Context) {
	if s.server.Shutdown(ctx) != nil {
		_ = s.server.Close()
	}
	s.done.Wait()
}
