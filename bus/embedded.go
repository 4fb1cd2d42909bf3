package bus

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	serverStartTimeout = 10 * time.Second
	serverPoll         = 100 * time.Millisecond
	// serverStopTimeout is how long the server or its JetStream may take to stop.
	serverStopTimeout = 10 * time.Second
)

// ErrServerHangs is that the embedded server waits for itself, which nats-server does at times after a write
// has failed, as with a full disk. Only another process can go on with what it has stored.
var ErrServerHangs = errors.New("the embedded NATS server hangs since a write to its disk failed: start pluginhost again, nothing that was stored is lost")

// Embedded configures the embedded NATS server.
type Embedded struct {
	// Listen is host:port; port 0 picks a free one.
	Listen string
	// Token is what clients must present; empty lets everyone in.
	Token string
	// StoreDir is the folder of JetStream's data.
	StoreDir string
}

type embeddedServer struct {
	server   *server.Server
	storeDir string
	logger   *serverLogger
	hangs    atomic.Bool // it waits for itself, and never stops
}

// startServer starts a server with JetStream. The caller stops it.
func startServer(config Embedded, log *slog.Logger) (*embeddedServer, error) {
	host, portText, err := net.SplitHostPort(config.Listen)
	if err != nil {
		return nil, fmt.Errorf("embedded NATS server: %w", err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil, fmt.Errorf("embedded NATS server: port %q: %w", portText, err)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	s, err := server.NewServer(&server.Options{
		Host:          host,
		Port:          port,
		Authorization: config.Token,
		JetStream:     true,
		StoreDir:      config.StoreDir,
		NoSigs:        true,
	})
	if err != nil {
		return nil, fmt.Errorf("embedded NATS server: %w", err)
	}
	logger := &serverLogger{log: log.With("part", "nats-server"), fatal: make(chan error, 1)}
	s.SetLoggerV2(logger, false, false, false)
	s.Start()
	if err := awaitServer(s, logger.fatal); err != nil {
		s.Shutdown()
		s.WaitForShutdown()
		return nil, fmt.Errorf("embedded NATS server on %s: %w", config.Listen, err)
	}
	return &embeddedServer{server: s, storeDir: config.StoreDir, logger: logger}, nil
}

// awaitServer waits until the server takes connections or has given up.
func awaitServer(s *server.Server, fatal <-chan error) error {
	for deadline := time.Now().Add(serverStartTimeout); time.Now().Before(deadline); {
		if s.ReadyForConnections(serverPoll) {
			return nil
		}
		select {
		case err := <-fatal:
			return fmt.Errorf("%w: use the server that is there with --nats, or choose another --listen", err)
		default:
		}
	}
	return fmt.Errorf("not ready after %v", serverStartTimeout)
}

// stop stops the server, unless it hangs, which the log tells.
func (e *embeddedServer) stop() {
	if e.hangs.Load() {
		return
	}
	stopped := within(serverStopTimeout, func() {
		e.server.Shutdown()
		e.server.WaitForShutdown()
	})
	if !stopped {
		e.logger.log.Error("the embedded NATS server does not stop, and is left behind", "after", serverStopTimeout)
	}
}

// within runs do and says whether it has ended within timeout. It goes on otherwise: only the end of the
// process ends a server that waits for itself, or what a plugin does not give back.
func within(timeout time.Duration, do func()) bool {
	done := make(chan struct{})
	go func() {
		do()
		close(done)
	}()
	select {
	case <-done:
		return true
	case <-time.After(timeout):
		return false
	}
}

// serverLogger passes the server's log on, and why it gave up.
type serverLogger struct {
	log   *slog.Logger
	fatal chan error
	last  atomic.Pointer[string] // the last error; nil is none
}

func (l *serverLogger) Noticef(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l *serverLogger) Debugf(string, ...any)           {}
func (l *serverLogger) Tracef(string, ...any)           {}

func (l *serverLogger) Warnf(format string, v ...any) {
	l.log.Warn(strings.TrimSpace(fmt.Sprintf(format, v...)))
}

func (l *serverLogger) Errorf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	l.last.Store(&text)
	l.log.Error(text)
}

func (l *serverLogger) Fatalf(format string, v ...any) {
	select {
	case l.fatal <- fmt.Errorf(format, v...):
	default: // the first reason is the one that counts
	}
}

// limit is how many bytes the embedded server stores; 0 is that it does not say.
func (e *embeddedServer) limit(inMemory bool) int64 {
	config := e.server.JetStreamConfig()
	switch {
	case config == nil: // JetStream is being started again
		return 0
	case inMemory:
		return max(config.MaxMemory, 0)
	default:
		return max(config.MaxStore, 0)
	}
}
