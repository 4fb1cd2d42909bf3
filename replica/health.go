package replica

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// health serves /livez and /readyz.
type health struct {
	server   *http.Server
	listener net.Listener
	done     sync.WaitGroup
}

// startHealth listens on address; empty is off. The caller stops it.
func startHealth(r *Replica, address string) (*health, error) {
	h := &health{}
	if address == "" {
		return h, nil
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("[HTTP] Listen: %w: choose another address with --http, or turn it off with --http \"\"", err)
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
	h.listener = listener
	h.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	h.done.Go(func() {
		if err := h.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			r.log.Error("HTTP listener failed", "error", err)
		}
	})
	return h, nil
}

// notReady says why the replica should get no work, or nothing.
func (r *Replica) notReady() string {
	switch {
	case r.draining.Load():
		return "draining"
	case !r.ready.Load():
		return "plugins are loading"
	case !r.bus.Connected():
		return "no connection to NATS"
	default:
		return ""
	}
}

func (h *health) address() string {
	if h.listener == nil {
		return ""
	}
	return h.listener.Addr().String()
}

func (h *health) stop(ctx context.Context) error {
	if h.server == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, healthPatience)
	defer cancel()
	err := h.server.Shutdown(ctx)
	if err != nil {
		err = h.server.Close()
	}
	h.done.Wait()
	return err
}

// healthPatience is how long a connection on which nothing is asked keeps a replica from
// leaving.
const healthPatience = time.Second
