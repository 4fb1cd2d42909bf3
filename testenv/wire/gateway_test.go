package wire_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

// gateway is a WebSocket server that sends back what comes, and closes the connection at leave.
type gateway struct{ server *httptest.Server }

func newGateway(t *testing.T) *gateway {
	t.Helper()
	g := &gateway{httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		for {
			kind, data, err := conn.ReadMessage()
			if string(data) == "leave" {
				kind, data = websocket.CloseMessage, websocket.FormatCloseMessage(4000, "as you like")
			}
			if err != nil || conn.WriteMessage(kind, data) != nil {
				return
			}
		}
	}))}
	t.Cleanup(g.server.Close)
	return g
}

func (g *gateway) url() string { return "ws" + strings.TrimPrefix(g.server.URL, "http") }
