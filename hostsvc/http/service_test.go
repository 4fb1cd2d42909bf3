package http_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	nethttp "net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/hostsvc/http"
	"github.com/pluginhost/pluginhost/hostsvc/netguard"
	api "github.com/pluginhost/pluginhost/sdk/api/host/http"
)

// names is a resolver with a fixed list of names.
type names map[string]string

func (n names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if addr, ok := n[host]; ok {
		return []netip.Addr{netip.MustParseAddr(addr)}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

func newService(t *testing.T, config http.Config) *http.Service {
	t.Helper()
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	service, err := http.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = service.Close() })
	return service
}

// anywhere is the configuration of a plugin that may do all.
func anywhere() http.Config {
	return http.Config{PluginID: "test", AllowedURLs: map[string][]string{"*": {"*"}}, AllowLocalNetwork: true}
}

func serve(t *testing.T, handler nethttp.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

// request sends a request by the name of its method.
func request(ctx context.Context, t *testing.T, service *http.Service, method string, message *api.HttpRequest) *api.HttpResponse {
	t.Helper()
	send := map[string]func(context.Context, *api.HttpRequest) (*api.HttpResponse, error){
		"GET": service.Get, "POST": service.Post, "PUT": service.Put, "DELETE": service.Delete,
		"PATCH": service.Patch, "HEAD": service.Head, "OPTIONS": service.Options,
	}[method]
	response, err := send(ctx, message)
	if err != nil {
		t.Fatalf("%s returned a Go error, which would trap the guest: %v", method, err)
	}
	return response
}

func get(t *testing.T, service *http.Service, rawURL string) *api.HttpResponse {
	t.Helper()
	return request(t.Context(), t, service, "GET", &api.HttpRequest{Url: rawURL})
}

func TestEachMethodReachesTheServer(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Method", r.Method)
		w.Header().Set("X-Body", string(body))
		w.Header().Set("X-Length", strconv.FormatInt(r.ContentLength, 10))
		if r.Method == nethttp.MethodDelete {
			w.WriteHeader(nethttp.StatusNoContent)
			return
		}
		w.WriteHeader(nethttp.StatusTeapot)
		_, _ = io.WriteString(w, "hello")
	})
	service := newService(t, anywhere())
	for _, test := range []struct {
		method, sent, got string
		status            int32
		body              string
	}{
		{"GET", "ignored", "", 418, "hello"},
		{"HEAD", "ignored", "", 418, ""},
		{"OPTIONS", "ignored", "", 418, "hello"},
		{"DELETE", "ignored", "", 204, ""},
		{"POST", "post body", "post body", 418, "hello"},
		{"PUT", "put body", "put body", 418, "hello"},
		{"PATCH", "patch body", "patch body", 418, "hello"},
		{"POST", "", "", 418, "hello"},
	} {
		got := request(t.Context(), t, service, test.method, &api.HttpRequest{Url: server.URL, Body: []byte(test.sent)})
		if got.Error != "" || got.Status != test.status || string(got.Body) != test.body {
			t.Errorf("%s: got %d %q, error %q", test.method, got.Status, got.Body, got.Error)
		}
		if got.Headers["X-Method"] != test.method || got.Headers["X-Body"] != test.got || got.Headers["X-Length"] != strconv.Itoa(len(test.got)) {
			t.Errorf("%s: the server saw %v, want body %q", test.method, got.Headers, test.got)
		}
	}
}

func TestTheFirstValueOfEachHeaderComesBackUnderItsCanonicalName(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		w.Header()["x-lower"] = []string{"first", "second"}
		w.Header().Add("Set-Cookie", "a=1")
		w.Header().Add("Set-Cookie", "b=2")
	})
	got := get(t, newService(t, anywhere()), server.URL)
	if got.Headers["X-Lower"] != "first" || got.Headers["Set-Cookie"] != "a=1" {
		t.Fatalf("got %v", got.Headers)
	}
}

func TestHeadersAreSentExceptForTheOnesTheHostOwns(t *testing.T) {
	t.Parallel()
	seen := make(chan *nethttp.Request, 1)
	server := serve(t, func(_ nethttp.ResponseWriter, r *nethttp.Request) { seen <- r })
	host := strings.TrimPrefix(server.URL, "http://")
	for _, test := range []struct {
		userHeader string
		sent       map[string]string
		want       map[string]string // "" is absent
	}{
		{"", map[string]string{"x-api-key": "k", "Accept": "text/plain"}, map[string]string{"X-Api-Key": "k", "Accept": "text/plain", "User-Agent": "Go-http-client/1.1"}},
		{"", map[string]string{"user-agent": "plugin/1"}, map[string]string{"User-Agent": "plugin/1"}},
		{"", map[string]string{"Host": "other.example", "hOST": "other.example"}, nil},
		{"", map[string]string{"Remote-User": "admin"}, map[string]string{"Remote-User": ""}},
		{"", map[string]string{"remote-USER": "admin"}, map[string]string{"Remote-User": ""}},
		{"", map[string]string{"Remote_User": "admin"}, map[string]string{"Remote-User": "", "Remote_user": ""}},
		{"x-forwarded-user", map[string]string{"X-Forwarded-User": "admin", "Remote-User": "x"}, map[string]string{"X-Forwarded-User": "", "Remote-User": "x"}},
		{"", map[string]string{"X-A": "first", "x-a": "last"}, map[string]string{"X-A": "last"}},
	} {
		config := anywhere()
		config.UserHeader = test.userHeader
		got := request(t.Context(), t, newService(t, config), "GET", &api.HttpRequest{Url: server.URL, Headers: test.sent})
		if got.Error != "" {
			t.Errorf("%v: %s", test.sent, got.Error)
			continue
		}
		r := <-seen
		if r.Host != host {
			t.Errorf("%v: the server saw host %q, want %q", test.sent, r.Host, host)
		}
		for name, want := range test.want {
			if got := strings.Join(r.Header[name], ","); got != want {
				t.Errorf("%v: the server saw %s %q, want %q", test.sent, name, got, want)
			}
		}
	}
}

func TestHeadersThatCannotBeSentAreReported(t *testing.T) {
	t.Parallel()
	server := serve(t, func(nethttp.ResponseWriter, *nethttp.Request) { t.Error("the request was sent") })
	service := newService(t, anywhere())
	many := map[string]string{}
	for i := range 300 {
		many[fmt.Sprint("X-", i)] = "v"
	}
	for name, header := range map[string]map[string]string{
		"a newline in a value":    {"X-A": "v\r\nRemote-User: admin"},
		"a newline in a name":     {"X-A: v\r\nRemote-User": "admin"},
		"a space in a name":       {"Remote-User ": "admin"},
		"an empty name":           {"": "v"},
		"a zero byte":             {"X-A": "\x00"},
		"too many":                many,
		"one that is very large":  {"X-A": strings.Repeat("x", 1<<20)},
		"a name that is very big": {strings.Repeat("x", 1<<20): "v"},
	} {
		got := request(t.Context(), t, service, "GET", &api.HttpRequest{Url: server.URL, Headers: header})
		if got.Error == "" || got.Status != 0 {
			t.Errorf("%s: got status %d and no error", name, got.Status)
		}
	}
}

func TestAMissingRequestIsAnErrorNotAPanic(t *testing.T) {
	t.Parallel()
	got := request(t.Context(), t, newService(t, anywhere()), "GET", nil)
	if got.Error == "" {
		t.Fatal("no error")
	}
}

func TestASlowServerMeetsTheDeadline(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	slowHeaders := serve(t, func(nethttp.ResponseWriter, *nethttp.Request) { <-release })
	slowBody := serve(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		w.(nethttp.Flusher).Flush()
		<-release
	})
	t.Cleanup(func() { close(release) })

	for _, test := range []struct {
		name      string
		defaults  time.Duration
		max       time.Duration
		timeoutMs int32
	}{
		{"the plugin's timeout", 0, 0, 1},
		{"the default for 0", 10 * time.Millisecond, 0, 0},
		{"the default for a negative number", 10 * time.Millisecond, 0, -1},
		{"the maximum for a longer one", 0, 10 * time.Millisecond, 1 << 30},
		{"the maximum for the default", time.Hour, 10 * time.Millisecond, 0},
	} {
		for part, server := range map[string]*httptest.Server{"headers": slowHeaders, "body": slowBody} {
			t.Run(test.name+", slow "+part, func(t *testing.T) {
				config := anywhere()
				config.DefaultTimeout, config.MaxTimeout = test.defaults, test.max
				got := request(t.Context(), t, newService(t, config), "GET", &api.HttpRequest{Url: server.URL, TimeoutMs: test.timeoutMs})
				if !strings.Contains(got.Error, "context deadline exceeded") || got.Status != 0 {
					t.Errorf("got status %d, error %q, want a deadline", got.Status, got.Error)
				}
			})
		}
	}
}

func TestANegativeTimeoutIsTheDefault(t *testing.T) {
	t.Parallel()
	server := serve(t, func(nethttp.ResponseWriter, *nethttp.Request) {})
	got := request(t.Context(), t, newService(t, anywhere()), "GET", &api.HttpRequest{Url: server.URL, TimeoutMs: -1})
	if got.Status != 200 {
		t.Fatalf("got %d, error %q", got.Status, got.Error)
	}
}

func TestTheContextOfTheCallCounts(t *testing.T) {
	t.Parallel()
	release, reached := make(chan struct{}), make(chan struct{})
	server := serve(t, func(nethttp.ResponseWriter, *nethttp.Request) {
		reached <- struct{}{}
		<-release
	})
	t.Cleanup(func() { close(release) })
	service := newService(t, anywhere())

	t.Run("its deadline", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		go func() {
			select {
			case <-reached:
			case <-t.Context().Done():
			}
		}()
		if got := request(ctx, t, service, "GET", &api.HttpRequest{Url: server.URL}); !strings.Contains(got.Error, "context deadline exceeded") {
			t.Fatalf("got %q", got.Error)
		}
	})
	t.Run("its cancellation", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-reached; cancel() }()
		if got := request(ctx, t, service, "GET", &api.HttpRequest{Url: server.URL}); !strings.Contains(got.Error, "context canceled") {
			t.Fatalf("got %q", got.Error)
		}
	})
	t.Run("the end of the service", func(t *testing.T) {
		closing := newService(t, anywhere())
		go func() { <-reached; _ = closing.Close() }()
		if got := get(t, closing, server.URL); !strings.Contains(got.Error, "closed") {
			t.Fatalf("got %q", got.Error)
		}
		if got := get(t, closing, server.URL); !strings.Contains(got.Error, "closed") {
			t.Fatalf("after Close: got %q", got.Error)
		}
	})
}

func TestBodiesAreBounded(t *testing.T) {
	t.Parallel()
	const limit = 1000
	const bomb = 16 << 20
	gzipped := map[int][]byte{limit: nil, bomb: nil}
	for size := range gzipped {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write(make([]byte, size))
		_ = w.Close()
		gzipped[size] = b.Bytes()
	}
	server := serve(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		w.Header().Set("X-Kept", "yes")
		var size int
		_, _ = fmt.Sscanf(r.URL.Query().Get("size"), "%d", &size)
		switch r.URL.Path {
		case "/plain":
			w.Header().Set("Content-Length", strconv.Itoa(size))
			_, _ = w.Write(make([]byte, size))
		case "/chunked":
			w.(nethttp.Flusher).Flush()
			_, _ = w.Write(make([]byte, size))
		case "/gzip":
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(gzipped[size])
		case "/endless":
			for r.Context().Err() == nil {
				_, _ = w.Write(make([]byte, 4096))
			}
		}
	})
	config := anywhere()
	config.MaxBody = limit
	service := newService(t, config)
	for _, test := range []struct {
		method, path string
		size         int
		tooLarge     bool
	}{
		{"GET", "/plain", limit, false},
		{"GET", "/plain", limit + 1, true},
		{"HEAD", "/plain", limit + 1, false},
		{"GET", "/chunked", limit, false},
		{"GET", "/chunked", limit + 1, true},
		{"GET", "/gzip", limit, false},
		{"GET", "/gzip", bomb, true},
		{"GET", "/endless", 0, true},
	} {
		got := request(t.Context(), t, service, test.method, &api.HttpRequest{Url: fmt.Sprintf("%s%s?size=%d", server.URL, test.path, test.size)})
		if got.Status != 200 || got.Headers["X-Kept"] != "yes" {
			t.Errorf("%s %s of %d bytes: got status %d, headers %v", test.method, test.path, test.size, got.Status, got.Headers)
		}
		wantError, wantBody := "", test.size
		if test.tooLarge {
			wantError = "response body is over the limit of 1000 bytes"
		}
		if test.tooLarge || test.method == "HEAD" {
			wantBody = 0
		}
		if got.Error != wantError || len(got.Body) != wantBody {
			t.Errorf("%s %s of %d bytes: got %d bytes, error %q", test.method, test.path, test.size, len(got.Body), got.Error)
		}
	}
	got := request(t.Context(), t, service, "POST", &api.HttpRequest{Url: server.URL, Body: make([]byte, limit+1)})
	if got.Status != 0 || got.Error != "request body of 1001 bytes is over the limit of 1000 bytes" {
		t.Errorf("request body: got status %d, error %q", got.Status, got.Error)
	}
}

func TestGzipIsTransparentUnlessThePluginAsksForIt(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		zip := gzip.NewWriter(w)
		_, _ = io.WriteString(zip, "hello")
		_ = zip.Close()
	})
	service := newService(t, anywhere())
	got := get(t, service, server.URL)
	if string(got.Body) != "hello" || got.Headers["Content-Encoding"] != "" {
		t.Errorf("got %q, headers %v", got.Body, got.Headers)
	}
	got = request(t.Context(), t, service, "GET", &api.HttpRequest{Url: server.URL, Headers: map[string]string{"Accept-Encoding": "gzip"}})
	if !bytes.HasPrefix(got.Body, []byte{0x1f, 0x8b}) || got.Headers["Content-Encoding"] != "gzip" {
		t.Errorf("asked for: got %q, headers %v", got.Body, got.Headers)
	}
}

func TestResponseHeadersAreBounded(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]nethttp.HandlerFunc{
		"in size": func(w nethttp.ResponseWriter, _ *nethttp.Request) {
			w.Header().Set("X-Large", strings.Repeat("x", 1<<20))
		},
		"in number": func(w nethttp.ResponseWriter, _ *nethttp.Request) {
			for i := range 300 {
				w.Header().Set(fmt.Sprint("X-", i), "v")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := get(t, newService(t, anywhere()), serve(t, handler).URL)
			if got.Error == "" || len(got.Headers) != 0 {
				t.Fatalf("got %d headers, error %q", len(got.Headers), got.Error)
			}
		})
	}
}

func TestAResponseThatBreaksOffIsAnError(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "half")
		w.(nethttp.Flusher).Flush()
		panic(nethttp.ErrAbortHandler)
	})
	if got := get(t, newService(t, anywhere()), server.URL); got.Status != 0 || !strings.Contains(got.Error, "unexpected EOF") {
		t.Fatalf("got %d, error %q", got.Status, got.Error)
	}
}

func TestASwitchOfProtocolsIsAnError(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "anything")
		w.WriteHeader(nethttp.StatusSwitchingProtocols)
	})
	got := request(t.Context(), t, newService(t, anywhere()), "GET", &api.HttpRequest{
		Url: server.URL, Headers: map[string]string{"Connection": "Upgrade", "Upgrade": "anything"},
	})
	if got.Status != 101 || !strings.Contains(got.Error, "switched protocols") {
		t.Fatalf("got %d, error %q", got.Status, got.Error)
	}
}

func TestAServerThatIsNotThereIsAnError(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(nil)
	server.Close()
	if got := get(t, newService(t, anywhere()), server.URL); got.Status != 0 || !strings.Contains(got.Error, "connection refused") {
		t.Fatalf("got %d, error %q", got.Status, got.Error)
	}
}

func TestHTTPSAndHTTP2(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		_, _ = io.WriteString(w, r.Proto)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	config := anywhere()
	config.Resolver = names{"example.com": "127.0.0.1"} // a name in the server's certificate
	config.AllowedURLs = map[string][]string{"https://example.com:*": {"GET"}}
	service := newService(t, config)

	rawURL := "https://EXAMPLE.com:" + port
	if got := get(t, service, rawURL); !strings.Contains(got.Error, "certificate") {
		t.Fatalf("an unknown authority: got %d, error %q", got.Status, got.Error)
	}
	trusting := newService(t, config)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	trusting.Trust(roots)
	if got := get(t, trusting, rawURL); string(got.Body) != "HTTP/2.0" {
		t.Fatalf("got %q, error %q", got.Body, got.Error)
	}
}

func TestABadConfigurationIsRefused(t *testing.T) {
	t.Parallel()
	everything := map[string][]string{"*": {"*"}}
	for _, test := range []struct {
		name   string
		config http.Config
		want   string
	}{
		{"no patterns", http.Config{}, "allowedUrls must contain at least one URL pattern"},
		{"a bad pattern", http.Config{AllowedURLs: map[string][]string{"example.com": nil}}, "begin it with https://"},
		{"a Navidrome without a host", http.Config{AllowedURLs: everything, Navidrome: &url.URL{Scheme: "http", Path: "/x"}}, "address of Navidrome"},
		{"a negative size", http.Config{AllowedURLs: everything, MaxBody: -1}, "must not be negative"},
		{"a negative timeout", http.Config{AllowedURLs: everything, MaxTimeout: -1}, "must not be negative"},
		{"two faults", http.Config{MaxBody: -1}, "must not be negative"},
		{"two faults, the other", http.Config{MaxBody: -1}, "at least one URL pattern"},
	} {
		service, err := http.New(test.config)
		if err == nil {
			_ = service.Close()
		}
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q in it", test.name, err, test.want)
		}
	}
	if _, err := http.New(http.Config{AllowedURLs: map[string][]string{"x": nil}}); !errors.Is(err, netguard.ErrPattern) {
		t.Errorf("got %v, want ErrPattern", err)
	}
}
