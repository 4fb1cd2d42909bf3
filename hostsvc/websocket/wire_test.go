package websocket_test

import (
	"context"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/hostsvc/websocket"
	api "github.com/pluginhost/pluginhost/sdk/api/host/websocket"
)

func TestADialTakesThePlaceOfTheNetwork(t *testing.T) {
	t.Parallel()
	server, err := url.Parse(serve(t, echo))
	if err != nil {
		t.Fatal(err)
	}
	var dialled []string
	service, _ := newService(t, websocket.Config{
		AllowedURLs: []string{"wss://service.invalid/feed", "ws://service.invalid/feed"},
		Dial: func(ctx context.Context, target *url.URL) (net.Conn, error) {
			dialled = append(dialled, target.String())
			return new(net.Dialer).DialContext(ctx, "tcp", server.Host)
		},
	})
	for address, want := range map[string]string{
		"wss://service.invalid/feed?x=1": "",
		"ws://service.invalid/feed":      "",
		"wss://service.invalid/other":    "Connection blocked by plugin permissions: ",
		"wss://elsewhere.invalid/feed":   "Connection blocked by plugin permissions: ",
		"wss://127.0.0.1/feed":           "Connection blocked by plugin permissions: ",
	} {
		got := connect(t, service, &api.ConnectRequest{Url: address, ConnectionId: address})
		if want == "" && got.Error != "" || !strings.HasPrefix(got.Error, want) {
			t.Errorf("%s: got %v, want %q", address, got, want)
		}
	}
	if all := strings.Join(dialled, " "); len(dialled) != 2 || !strings.Contains(all, "wss://service.invalid/feed?x=1") || !strings.Contains(all, "ws://service.invalid/feed") {
		t.Errorf("dialled was %q", dialled)
	}
}
