package websocket_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	gorilla "github.com/gorilla/websocket"

	"github.com/pluginhost/pluginhost/hostsvc/netguard"
	"github.com/pluginhost/pluginhost/hostsvc/websocket"
	api "github.com/pluginhost/pluginhost/sdk/api/host/websocket"
)

const blocked = "Connection blocked by plugin permissions: "

// counting is a server that counts its connections, also those it refuses.
func counting(t *testing.T) (port string, hits *atomic.Int32) {
	t.Helper()
	hits = new(atomic.Int32)
	address := serveRaw(t, func(*peer) { hits.Add(1) })
	_, port, _ = net.SplitHostPort(strings.TrimPrefix(address, "ws://"))
	return port, hits
}

func TestWhatIsNotPermittedIsNotDialled(t *testing.T) {
	t.Parallel()
	port, hits := counting(t)
	origin := "ws://127.0.0.1:" + port
	// The first rows are what Navidrome tests of its own.
	original := websocket.Config{AllowLocalNetwork: true, AllowedURLs: []string{"wss://api.example.com/*", "ws://localhost:" + port}}
	local := websocket.Config{AllowLocalNetwork: true, AllowedURLs: []string{origin + "/v1/*"}}
	everything := websocket.Config{AllowLocalNetwork: true, AllowedURLs: []string{"*"}}
	strict := websocket.Config{AllowedURLs: []string{"*"}, Resolver: names{"inside.example": "127.0.0.1", "zero.example": "0.0.0.0"}}
	for _, test := range []struct {
		config     websocket.Config
		url, error string
	}{
		{original, "wss://other.com/ws", "URL wss://other.com/ws does not match any allowed URL patterns"},
		{original, "ws://api.example.com/ws", "URL ws://api.example.com/ws does not match any allowed URL patterns"},
		{original, "https://api.example.com/ws", "URL https://api.example.com/ws does not match any allowed URL patterns"},
		{original, "ws://localhost:1/", "URL ws://localhost:1/ does not match any allowed URL patterns"},
		{local, origin + "/v2", "URL " + origin + "/v2 does not match any allowed URL patterns"},
		{local, origin + "/v1/../v2", "URL " + origin + "/v1/../v2 does not match any allowed URL patterns"},
		{local, "ws://user@127.0.0.1:" + port + "/v1/x", "invalid URL: user information in the URL is not allowed: use an Authorization header"},
		{everything, "http://127.0.0.1:" + port, `invalid URL: scheme "http" is not ws or wss`},
		{everything, "https://127.0.0.1:" + port, `invalid URL: scheme "https" is not ws or wss`},
		{everything, "ftp://127.0.0.1:" + port, `invalid URL: scheme "ftp" is not http, https, ws or wss`},
		{everything, "", `invalid URL: scheme "" is not http, https, ws or wss`},
		{everything, origin + "/" + strings.Repeat("x", netguard.MaxURLLength), "invalid URL: longer than 8192 bytes"},
		{everything, "ws://0.0.0.0:" + port, "requests to unspecified, multicast or reserved IP addresses are not allowed"},
		{strict, "ws://localhost:" + port, "requests to localhost are not allowed"},
		{strict, "ws://LocalHost.:" + port, "requests to localhost are not allowed"},
		{strict, origin, "requests to localhost are not allowed"},
		{strict, "wss://[::ffff:127.0.0.1]:" + port, "requests to localhost are not allowed"},
		{strict, "ws://10.1.2.3:" + port, "requests to private IP addresses are not allowed"},
		{strict, "ws://inside.example:" + port, "requests to localhost are not allowed"},
		{strict, "wss://inside.example:" + port, "requests to localhost are not allowed"},
		{strict, "ws://zero.example:" + port, "requests to unspecified, multicast or reserved IP addresses are not allowed"},
	} {
		service, _ := newService(t, test.config)
		got := connect(t, service, &api.ConnectRequest{Url: test.url, ConnectionId: "c"})
		if got.Error != blocked+test.error || got.ConnectionId != "" {
			t.Errorf("%.100s: got %v", test.url, got)
		}
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("%d connections reached the server", n)
	}
}

func TestWhatIsPermittedIsAskedForAsItWasChecked(t *testing.T) {
	t.Parallel()
	seen := make(chan string, 1)
	address := serve(t, func(_ *gorilla.Conn, r *http.Request) { seen <- r.Host + r.RequestURI })
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(address, "ws://"))
	for _, test := range []struct{ pattern, url, seen string }{
		{"ws://api.example:" + port, "ws://API.example.:" + port, "api.example:" + port + "/"},
		{"ws*://api.example:*/v1/*", "ws://api.example:" + port + "/v1/x/../y?z=%2e#f", "api.example:" + port + "/v1/y?z=%2e"},
		{"ws://*.example:*/v1/*", "ws://api.example:" + port + "/v1/AC%2FDC", "api.example:" + port + "/v1/AC%2FDC"},
		{"ws://127.0.*:*", "ws://127.0.0.1:" + port + "//x", "127.0.0.1:" + port + "//x"},
		{"ws://127.0.0.1:*/go/*", "ws://127.0.0.1:" + port + "//go//x", "127.0.0.1:" + port + "/go/x"},
		{"ws://localhost:" + port, "ws://localhost:" + port + "/any/path", "localhost:" + port + "/any/path"},
		{"*", "ws://[::ffff:127.0.0.1]:" + port + "/a b/ü", "127.0.0.1:" + port + "/a%20b/%C3%BC"},
	} {
		config := websocket.Config{AllowLocalNetwork: true, AllowedURLs: []string{test.pattern}, Resolver: names{"api.example": "127.0.0.1"}}
		service, _ := newService(t, config)
		if got := connect(t, service, &api.ConnectRequest{Url: test.url}); got.Error != "" {
			t.Errorf("%s: %s", test.url, got.Error)
			continue
		}
		if got := await(t, "request", seen); got != test.seen {
			t.Errorf("%s: the server saw %q, want %q", test.url, got, test.seen)
		}
	}
}

// rebinding answers with another address each time.
type rebinding struct {
	asked atomic.Int32
	addrs []string
}

func (r *rebinding) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	n := int(r.asked.Add(1)) - 1
	return []netip.Addr{netip.MustParseAddr(r.addrs[min(n, len(r.addrs)-1)])}, nil
}

func TestANameThatTurnsLocalIsRefused(t *testing.T) {
	t.Parallel()
	port, hits := counting(t)
	resolver := &rebinding{addrs: []string{"0.0.0.0", "127.0.0.1"}}
	service, _ := newService(t, websocket.Config{AllowedURLs: []string{"*"}, Resolver: resolver})
	first := connect(t, service, &api.ConnectRequest{Url: "ws://evil.example:" + port})
	second := connect(t, service, &api.ConnectRequest{Url: "ws://evil.example:" + port})
	if first.Error != blocked+"requests to unspecified, multicast or reserved IP addresses are not allowed" || second.Error != blocked+"requests to localhost are not allowed" {
		t.Errorf("got %q, then %q", first.Error, second.Error)
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("%d connections reached the server", n)
	}
}

func TestNavidromeIsNeverDialled(t *testing.T) {
	t.Parallel()
	port, hits := counting(t)
	resolver := names{"music.example": "127.0.0.1", "other.example": "127.0.0.1"}
	for _, configured := range []string{"http://127.0.0.1:" + port + "/app", "http://localhost:" + port, "http://music.example:" + port} {
		navidrome, err := url.Parse(configured)
		if err != nil {
			t.Fatal(err)
		}
		config := anywhere()
		config.Navidrome, config.Resolver = navidrome, resolver
		service, _ := newService(t, config)
		for _, target := range []string{
			"ws://127.0.0.1:" + port, "wss://127.0.0.1:" + port, "ws://127.0.0.2:" + port, "ws://[::1]:" + port,
			"ws://localhost:" + port, "ws://MUSIC.example.:" + port + "/rest/ping", "ws://other.example:" + port,
		} {
			got := connect(t, service, &api.ConnectRequest{Url: target})
			if got.Error != blocked+"requests to Navidrome are not allowed" {
				t.Errorf("Navidrome at %s, URL %s: got %q", configured, target, got.Error)
			}
		}
		if got := connect(t, service, &api.ConnectRequest{Url: serve(t, echo)}); got.Error != "" {
			t.Errorf("Navidrome at %s: another port gives %q", configured, got.Error)
		}
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("%d connections reached Navidrome", n)
	}
}

func TestARefusalIsLoggedWithoutSecrets(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	service, _ := newService(t, websocket.Config{
		PluginID:    "my-plugin",
		AllowedURLs: []string{"wss://a.example", "ws://inside.example"},
		Resolver:    names{"inside.example": "127.0.0.1"},
		Logger:      slog.New(slog.NewTextHandler(&log, nil)),
	})
	for _, test := range []struct {
		url  string
		want []string
	}{
		{"wss://b.example/path?token=s3cret", []string{"level=WARN", `msg="connection of plugin blocked"`, "plugin=my-plugin", "url=wss://b.example/path ", `reason="URL not allowed"`}},
		{"wss://user:s3cret@a.example/", []string{"url=wss://a.example/ ", `reason="URL refused"`}},
		{"wss://s3cret\n.example/", []string{`url="(not a URL)"`}},
		{"ws://inside.example/?s3cret", []string{"url=ws://inside.example/ ", `reason="address not public"`, "address=127.0.0.1"}},
	} {
		log.Reset()
		connect(t, service, &api.ConnectRequest{Url: test.url, Headers: map[string]string{"Authorization": "s3cret"}})
		for _, want := range test.want {
			if !strings.Contains(log.String(), want) {
				t.Errorf("%q: %q is missing in %s", test.url, want, log.String())
			}
		}
		if strings.Contains(log.String(), "s3cret") {
			t.Errorf("%q: the secret is in %s", test.url, log.String())
		}
	}
}

func TestAPluginCannotFloodTheLog(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	service, _ := newService(t, websocket.Config{AllowedURLs: []string{"wss://a.example"}, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for range 1000 {
		connect(t, service, &api.ConnectRequest{Url: "wss://b.example/"})
	}
	if lines := strings.Count(log.String(), "\n"); lines == 0 || lines > 100 {
		t.Fatalf("%d lines for 1000 refusals", lines)
	}
}
