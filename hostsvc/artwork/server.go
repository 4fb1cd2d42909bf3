package artwork

import (
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/pluginhost/pluginhost/internal/httpserver"
)

// Limits of the listener, which anybody may reach.
const (
	maxHeaderBytes = 96 << 10         // a long token shall reach the Proxy, which says what is wrong
	writeTimeout   = time.Minute      // waiting, fetching and sending
	patience       = 10 * time.Second // for a slow reader, while others have to wait
)

// Listen listens on a host:port, of which port 0 picks a free one, and has handler
// answer. Whatever fails later goes to log. The caller stops the server.
func Listen(address string, handler http.Handler, log *slog.Logger) (*httpserver.Server, error) {
	server, err := httpserver.Start(httpserver.Config{
		Name:           "artwork",
		Address:        address,
		Handler:        handler,
		Patience:       patience,
		MaxHeaderBytes: maxHeaderBytes,
		WriteTimeout:   writeTimeout,
		Logger:         log,
	})
	if err != nil {
		return nil, fmt.Errorf("[Navidrome] ArtworkListen: %w: choose another address, or \"\" to leave artwork to other replicas", err)
	}
	return server, nil
}
