package replica

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/pluginhost/pluginhost/internal/httpserver"
	"github.com/pluginhost/pluginhost/sdk/jet"
)

// Limits of the health listener. Its answers take no time: only clients that are slow
// do, and they give way to others at once.
const (
	healthConnections = 128
	healthTimeout     = 5 * time.Second // of a request and of its answer, each
)

// health serves /livez and /readyz.
type health struct {
	server *httpserver.Server // nil where it is off
}

// startHealth listens on address; empty is off. The caller stops it.
func startHealth(r *Replica, address string) (*health, error) {
	if address == "" {
		return &health{}, nil
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if reason := r.notReady(); reason != "" {
			http.Error(w, reason, http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "ok")
	})
	server, err := httpserver.Start(httpserver.Config{
		Name:           "health",
		Address:        address,
		Handler:        mux,
		MaxConnections: healthConnections,
		ReadTimeout:    healthTimeout,
		WriteTimeout:   healthTimeout,
		Logger:         r.log,
	})
	if err != nil {
		return nil, fmt.Errorf("[HTTP] Listen: %w: choose another address with --http, or turn it off with --http \"\"", err)
	}
	return &health{server}, nil
}

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

func (h *health) address() string {
	if h == nil || h.server == nil {
		return ""
	}
	return h.server.Address()
}

func (h *health) stop(ctx context.Context) {
	if h == nil || h.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, healthPatience)
	defer cancel()
	_ = h.server.Stop(ctx) // a client that does not read its answer is no fault of ours
}

// healthPatience is how long a client that does not read its answer keeps a replica
// from leaving.
const healthPatience = time.Second
