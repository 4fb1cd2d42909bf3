package http_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	nethttp "net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pluginhost/pluginhost/hostsvc/http"
	api "github.com/pluginhost/pluginhost/sdk/api/host/http"
)

const blocked = "Request blocked by plugin permissions: "

// counting is a server that counts its requests.
func counting(t *testing.T) (port string, hits *atomic.Int32) {
	t.Helper()
	hits = new(atomic.Int32)
	server := serve(t, func(nethttp.ResponseWriter, *nethttp.Request) { hits.Add(1) })
	_, port, _ = net.SplitHostPort(server.Listener.Addr().String())
	return port, hits
}

func TestWhatIsNotPermittedIsNotSent(t *testing.T) {
	t.Parallel()
	port, hits := counting(t)
	origin := "http://127.0.0.1:" + port
	local := http.Config{AllowLocalNetwork: true, AllowedURLs: map[string][]string{
		origin + "/v1/*":     {"GET"},
		origin + "/v1/users": {"POST", "PUT"},
	}}
	strict := http.Config{AllowedURLs: map[string][]string{"*": {"*"}}, Resolver: names{"inside.example": "127.0.0.1", "zero.example": "0.0.0.0"}}
	for _, test := range []struct {
		config             http.Config
		method, url, error string
	}{
		{local, "GET", origin + "/v2", "URL " + origin + "/v2 does not match any allowed URL patterns"},
		{local, "POST", origin + "/v1/x", "operation POST not allowed for URL pattern " + origin + "/v1/*"},
		{local, "GET", origin + "/v1/users", "operation GET not allowed for URL pattern " + origin + "/v1/users"},
		{local, "DELETE", origin + "/v1/users", "operation DELETE not allowed for URL pattern " + origin + "/v1/users"},
		{local, "GET", origin + "/v1/../v2", "URL " + origin + "/v1/../v2 does not match any allowed URL patterns"},
		{local, "GET", "http://user@127.0.0.1:" + port + "/v1/x", "invalid URL: user information in the URL is not allowed: use an Authorization header"},
		{local, "GET", "http://0.0.0.0:" + port + "/v1/x", "URL http://0.0.0.0:" + port + "/v1/x does not match any allowed URL patterns"},
		{strict, "GET", "http://localhost:" + port, "requests to localhost are not allowed"},
		{strict, "GET", "http://LocalHost.:" + port, "requests to localhost are not allowed"},
		{strict, "GET", origin, "requests to localhost are not allowed"},
		{strict, "GET", "http://[::ffff:127.0.0.1]:" + port, "requests to localhost are not allowed"},
		{strict, "GET", "http://0.0.0.0:" + port, "requests to unspecified, multicast or reserved IP addresses are not allowed"},
		{strict, "GET", "http://127.1:" + port, `invalid URL: "127.1" ends in a number but is not an IPv4 address: write all four parts in decimal`},
		{strict, "GET", "http://2130706433:" + port, `invalid URL: "2130706433" ends in a number but is not an IPv4 address: write all four parts in decimal`},
		{strict, "GET", "http://inside.example:" + port, "requests to localhost are not allowed"},
		{strict, "GET", "http://zero.example:" + port, "requests to unspecified, multicast or reserved IP addresses are not allowed"},
		{strict, "GET", "ftp://inside.example/", `invalid URL: scheme "ftp" is not http, https, ws or wss`},
	} {
		got := request(t.Context(), t, newService(t, test.config), test.method, &api.HttpRequest{Url: test.url})
		if got.Status != 0 || got.Error != blocked+test.error || got.Body != nil || got.Headers != nil {
			t.Errorf("%s %s: got %v", test.method, test.url, got)
		}
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("%d requests reached the server", n)
	}
}

func TestWhatIsPermittedIsSent(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w nethttp.ResponseWriter, r *nethttp.Request) { _, _ = io.WriteString(w, r.RequestURI) })
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	for _, test := range []struct{ pattern, method, url, seen string }{
		{"http://api.example:" + port, "GET", "http://API.example.:" + port, "/"},
		{"http://api.example:*", "GET", "http://api.example:" + port + "/any?x=%2e#f", "/any?x=%2e"},
		{"http://*.example:*/v1/*", "GET", "http://api.example:" + port + "/v1/x/../y", "/v1/y"},
		{"http://*.example:*/v1/*", "GET", "http://api.example:" + port + "/v1/AC%2FDC", "/v1/AC%2FDC"},
		{"http://127.0.*:*", "OPTIONS", "http://127.0.0.1:" + port + "//x", "//x"},
		{"http://localhost:" + port, "POST", "http://localhost:" + port + "/x", "/x"},
		{"*", "PATCH", "http://[::ffff:127.0.0.1]:" + port + "/x", "/x"},
	} {
		config := http.Config{
			AllowLocalNetwork: true,
			AllowedURLs:       map[string][]string{test.pattern: {test.method}},
			Resolver:          names{"api.example": "127.0.0.1"},
		}
		got := request(t.Context(), t, newService(t, config), test.method, &api.HttpRequest{Url: test.url})
		if got.Error != "" || string(got.Body) != test.seen {
			t.Errorf("%s: the server saw %q, error %q, want %q", test.url, got.Body, got.Error, test.seen)
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

func TestANameThatTurnsLocalBetweenTwoRequestsIsRefused(t *testing.T) {
	t.Parallel()
	port, hits := counting(t)
	// The first address is refused, too, but for another reason than the second.
	resolver := &rebinding{addrs: []string{"0.0.0.0", "127.0.0.1"}}
	service := newService(t, http.Config{AllowedURLs: map[string][]string{"*": {"*"}}, Resolver: resolver})
	first := get(t, service, "http://evil.example:"+port)
	second := get(t, service, "http://evil.example:"+port)
	if first.Error != blocked+"requests to unspecified, multicast or reserved IP addresses are not allowed" || second.Error != blocked+"requests to localhost are not allowed" {
		t.Errorf("got %q, then %q", first.Error, second.Error)
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("%d requests reached the server", n)
	}
}

func TestNavidromeIsNeverCalled(t *testing.T) {
	t.Parallel()
	port, hits := counting(t)
	redirecting := serve(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		nethttp.Redirect(w, r, r.URL.Query().Get("to"), nethttp.StatusFound)
	})
	neighbour, _ := counting(t)
	resolver := names{"music.example": "127.0.0.1", "other.example": "127.0.0.1", "third.example": "127.0.0.2"}
	by := func(target string) string { return redirecting.URL + "?to=" + url.QueryEscape(target) }
	for _, configured := range []string{"http://127.0.0.1:" + port + "/app", "http://localhost:" + port, "http://music.example:" + port} {
		navidrome, err := url.Parse(configured)
		if err != nil {
			t.Fatal(err)
		}
		config := anywhere()
		config.Navidrome, config.Resolver = navidrome, resolver
		service := newService(t, config)
		for _, test := range []struct {
			url    string
			status int32
			error  string
		}{
			{"http://127.0.0.1:" + port, 0, blocked},
			{"http://127.0.0.2:" + port, 0, blocked},
			{"http://[::1]:" + port, 0, blocked},
			{"http://[::ffff:127.0.0.1]:" + port, 0, blocked},
			{"http://localhost:" + port, 0, blocked},
			{"http://music.example:" + port, 0, blocked},
			{"http://MUSIC.Example.:" + port + "/rest/ping", 0, blocked},
			{"http://other.example:" + port, 0, blocked},
			{"http://third.example:" + port, 0, blocked},
			{by("http://127.0.0.1:" + port), 302, blocked},
			{by("http://other.example:" + port), 302, blocked},
		} {
			got := get(t, service, test.url)
			if got.Status != test.status || !strings.HasPrefix(got.Error, test.error) || !strings.HasSuffix(got.Error, "requests to Navidrome are not allowed") {
				t.Errorf("Navidrome at %s, URL %s: got %d, error %q", configured, test.url, got.Status, got.Error)
			}
		}
		if got := get(t, service, "http://127.0.0.1:"+neighbour); got.Status != 200 {
			t.Errorf("Navidrome at %s: another port gives %d, error %q", configured, got.Status, got.Error)
		}
	}
	if n := hits.Load(); n != 0 {
		t.Errorf("%d requests reached Navidrome", n)
	}
}

func TestARefusalIsLoggedWithoutSecrets(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	config := http.Config{
		PluginID:    "my-plugin",
		AllowedURLs: map[string][]string{"https://a.example": {"GET"}, "http://inside.example": {"GET"}},
		Resolver:    names{"inside.example": "127.0.0.1"},
		Logger:      slog.New(slog.NewTextHandler(&log, nil)),
	}
	service := newService(t, config)
	for _, test := range []struct {
		url  string
		want []string
	}{
		{"https://b.example/path?api_key=s3cret", []string{"level=WARN", "plugin=my-plugin", "method=GET", "url=https://b.example/path ", `reason="URL not allowed"`}},
		{"https://user:s3cret@a.example/", []string{"url=https://a.example/ ", `reason="URL refused"`}},
		{"https://s3cret\n.example/", []string{`url="(not a URL)"`}},
		{"http://inside.example/?s3cret", []string{"url=http://inside.example/ ", `reason="address not public"`, "address=127.0.0.1"}},
	} {
		log.Reset()
		get(t, service, test.url)
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
	service := newService(t, http.Config{
		AllowedURLs: map[string][]string{"https://a.example": {"GET"}},
		Logger:      slog.New(slog.NewTextHandler(&log, nil)),
	})
	for range 1000 {
		get(t, service, "https://b.example/")
	}
	if lines := strings.Count(log.String(), "\n"); lines == 0 || lines > 100 {
		t.Fatalf("%d lines for 1000 refusals", lines)
	}
}

func TestAFailedRequestIsLoggedWithItsCauseAndWithoutSecrets(t *testing.T) {
	t.Parallel()
	broken := serve(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		if r.URL.Path == "/cut" {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half")
			_ = nethttp.NewResponseController(w).Flush()
		}
		panic(nethttp.ErrAbortHandler)
	})
	nobody, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it is closed at once
	if err != nil {
		t.Fatal(err)
	}
	_ = nobody.Close()
	var log bytes.Buffer
	service := newService(t, http.Config{
		PluginID: "my-plugin", AllowLocalNetwork: true, AllowedURLs: map[string][]string{"http://*": {"*"}},
		Resolver: names{}, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	for name, test := range map[string]struct{ url, cause string }{
		"nobody listens":            {"http://" + nobody.Addr().String() + "/path?api_key=s3cret", "connection refused"},
		"the connection is closed":  {broken.URL + "/path?api_key=s3cret", "EOF"},
		"the answer is cut off":     {broken.URL + "/cut?api_key=s3cret", "unexpected EOF"},
		"the name means no address": {"http://nowhere.example/path?api_key=s3cret", "nowhere.example"},
	} {
		t.Run(name, func(t *testing.T) {
			log.Reset()
			if got := get(t, service, test.url); got.Error == "" {
				t.Fatalf("the request succeeds: %v", got)
			}
			for _, want := range []string{"level=WARN", `msg="request of plugin failed"`, "plugin=my-plugin", "method=GET", test.cause} {
				if !strings.Contains(log.String(), want) {
					t.Errorf("%q is missing in %s", want, log.String())
				}
			}
			if strings.Contains(log.String(), "s3cret") {
				t.Errorf("the secret is in %s", log.String())
			}
		})
	}
	log.Reset()
	for range 200 {
		get(t, service, "http://"+nobody.Addr().String()+"/")
	}
	if lines := strings.Count(log.String(), "\n"); lines > 50 {
		t.Errorf("%d lines for 200 failures", lines)
	}
}
