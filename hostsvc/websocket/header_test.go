package websocket_test

import (
	"net/http"
	"strings"
	"testing"

	gorilla "github.com/gorilla/websocket"

	api "github.com/pluginhost/pluginhost/sdk/api/host/websocket"
)

func TestHeadersAreSentExceptForTheOnesTheHostOwns(t *testing.T) {
	t.Parallel()
	seen := make(chan *http.Request, 1)
	address := serve(t, func(_ *gorilla.Conn, r *http.Request) { seen <- r })
	host := strings.TrimPrefix(address, "ws://")
	for _, test := range []struct {
		userHeader string
		sent       map[string]string
		want       map[string]string // "" is absent
	}{
		{"", map[string]string{"x-api-key": "k", "Cookie": "a=1; b=2", "Origin": "https://x.example"}, map[string]string{"X-Api-Key": "k", "Cookie": "a=1; b=2", "Origin": "https://x.example"}},
		{"", map[string]string{"sec-websocket-protocol": "graphql-ws, other"}, map[string]string{"Sec-Websocket-Protocol": "graphql-ws, other"}},
		{"", map[string]string{"user-agent": "plugin/1"}, map[string]string{"User-Agent": "plugin/1"}},
		{"", map[string]string{"Host": "other.example", "hOST": "other.example"}, nil},
		{"", map[string]string{"content-length": "5", "transfer-encoding": "chunked"}, map[string]string{"Content-Length": "", "Transfer-Encoding": ""}},
		{"", map[string]string{"Remote_user": "admin"}, map[string]string{"Remote-User": "", "Remote_user": ""}},
		{"x-forwarded-user", map[string]string{"X-Forwarded-User": "admin", "Remote-User": "x"}, map[string]string{"X-Forwarded-User": "", "Remote-User": "x"}},
	} {
		config := anywhere()
		config.UserHeader = test.userHeader
		service, _ := newService(t, config)
		if got := connect(t, service, &api.ConnectRequest{Url: address, Headers: test.sent}); got.Error != "" {
			t.Errorf("%v: %s", test.sent, got.Error)
			continue
		}
		r := await(t, "request", seen)
		if r.Host != host {
			t.Errorf("%v: the server saw host %q, want %q", test.sent, r.Host, host)
		}
		for name, want := range test.want {
			if got := strings.Join(r.Header[name], ","); got != want {
				t.Errorf("%v: the server saw %s %q, want %q", test.sent, name, got, want)
			}
		}
		if got := r.Header.Get("Sec-Websocket-Extensions"); got != "" {
			t.Errorf("extensions %q were asked for", got)
		}
	}
}

func TestHeadersThatCannotBeSentAreReported(t *testing.T) {
	t.Parallel()
	port, hits := counting(t)
	service, _ := newService(t, anywhere())
	for header, want := range map[[2]string]string{
		{"upgrade", "x"}:                    `header "Upgrade" belongs to the WebSocket handshake: leave it out`,
		{"Connection", "x"}:                 `header "Connection" belongs to the WebSocket handshake: leave it out`,
		{"Sec-WebSocket-Key", "x"}:          `header "Sec-Websocket-Key" belongs to the WebSocket handshake: leave it out`,
		{"SEC-WEBSOCKET-VERSION", "x"}:      `header "Sec-Websocket-Version" belongs to the WebSocket handshake: leave it out`,
		{"Sec-Websocket-Extensions", "x"}:   `header "Sec-Websocket-Extensions" belongs to the WebSocket handshake: leave it out`,
		{"X-A", "v\r\nRemote-User: admin"}:  `the value of header "X-A" cannot be sent: it has a line break or another control character`,
		{"X-A: v\r\nRemote-User", "admin"}:  `header name "X-A: v\r\nRemote-User" cannot be sent: it is empty or has characters that no name has`,
		{"X-A", strings.Repeat("x", 1<<20)}: "request headers of 1048579 bytes, but at most 262144 are allowed",
	} {
		got := connect(t, service, &api.ConnectRequest{Url: "ws://127.0.0.1:" + port, Headers: map[string]string{header[0]: header[1]}})
		if got.Error != failed+want {
			t.Errorf("%.40q: got %q, want %q", header, got.Error, want)
		}
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("%d connections reached the server", n)
	}
}
