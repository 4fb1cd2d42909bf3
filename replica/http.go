package replica

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/gateway"
	"github.com/pluginhost/pluginhost/internal/httpserver"
	"github.com/pluginhost/pluginhost/sdk/jet"
)

// httpConnections is how many connections the HTTP server may have: twice as many as the gateway has requests at once, so that there is always one
// without a request to give way to who asks for health.
const httpConnections = 512

// httpIdleTimeout is longer than clients written in Go keep a connection: they would send into one that is closed.
const httpIdleTimeout = 2 * time.Minute

// listener is the replica's HTTP server: health from the start, and the gateway once the bus is there.
type listener struct {
	server  *httpserver.Server // nil where it is off
	gateway atomic.Pointer[gateway.Gateway]
}

// startHTTP listens as [HTTP] Listen says; empty is off. The caller stops it.
func startHTTP(r *Replica, settings *config.Config) (*listener, error) {
	l := &listener{}
	if settings.HTTP.Listen == "" {
		return l, nil
	}
	var err error
	l.server, err = httpserver.Start(httpserver.Config{
		Name:           "http",
		Address:        settings.HTTP.Listen,
		Handler:        l.handler(r),
		HTTP2:          true,
		MaxConnections: httpConnections,
		Patience:       gateway.Longest(settings.Runtime.LongestTimeout()),
		WriteTimeout:   gateway.Longest(settings.Runtime.LongestTimeout()),
		IdleTimeout:    httpIdleTimeout,
		Logger:         r.log,
	})
	if err != nil {
		return nil, fmt.Errorf("[HTTP] Listen: %w: choose another address with --http, or turn it off with --http \"\"", err)
	}
	return l, nil
}

// handler answers health by itself, and leaves all the rest to the gateway.
func (l *listener) handler(r *Replica) http.HandlerFunc {
	return func(w http.ResponseWriter, request *http.Request) {
		switch request.URL.Path {
		case "/livez":
			answerHealth(w, request, "")
		case "/readyz":
			answerHealth(w, request, r.notReady())
		default:
			if g := l.gateway.Load(); g != nil {
				g.ServeHTTP(w, request)
				return
			}
			gateway.NotYet(w, request)
		}
	}
}

// answerHealth says ok, or the reason why not.
func answerHealth(w http.ResponseWriter, request *http.Request, reason string) {
	switch {
	case request.Method != http.MethodGet && request.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "it takes GET only", http.StatusMethodNotAllowed)
	case reason != "":
		http.Error(w, reason, http.StatusServiceUnavailable)
	default:
		_, _ = fmt.Fprintln(w, "ok")
	}
}

// open has the gateway answer from now on.
func (l *listener) open(g *gateway.Gateway) { l.gateway.Store(g) }

// notReady says why the replica should get no work, or nothing.
func (r *Replica) notReady() string {
	switch {
	case r.draining.Load():
		return "draining"
	case !r.ready.Load():
		return "plugins are loading"
	}
	// While the others are up, what they are for goes on; but somebody should know.
	if away := r.bus.Away(); len(away) > 0 {
		return "no connection to NATS for " + strings.Join(away, ", ")
	}
	if fault := r.bus.WriteFault(); fault != nil {
		return faultText(fault)
	}
	return ""
}

// faultText says since when JetStream takes no writes, why, and what to do.
func faultText(fault *jet.WriteFault) string {
	return fmt.Sprintf("JetStream takes no writes to %s since %s: %s", fault.Stream, fault.Since.UTC().Format(time.RFC3339), cut(fault.Cause, maxErrorText))
}

func (l *listener) address() string {
	if l == nil || l.server == nil {
		return ""
	}
	return l.server.Address()
}

func (l *listener) stop(ctx context.Context) {
	if l == nil || l.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, healthPatience)
	defer cancel()
	_ = l.server.Stop(ctx) // a client that does not read its answer is no fault of ours
}

// healthPatience is how long a client that does not read its answer keeps a replica
// from leaving.
const healthPatience = time.Second
