package http_test

import (
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pluginhost/pluginhost/hostsvc/http"
	api "github.com/pluginhost/pluginhost/sdk/api/host/http"
)

// chain redirects /n to /n-1 down to /0, which answers.
func chain(t *testing.T) (server *httptest.Server, hits *atomic.Int32) {
	t.Helper()
	hits = new(atomic.Int32)
	server = serve(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		hits.Add(1)
		var left int
		_, _ = fmt.Sscanf(r.URL.Path, "/%d", &left)
		if left == 0 {
			_, _ = io.WriteString(w, "arrived")
			return
		}
		w.Header().Set("X-Left", strconv.Itoa(left))
		nethttp.Redirect(w, r, fmt.Sprintf("/%d", left-1), nethttp.StatusFound)
	})
	return server, hits
}

func TestFiveRedirectsAreFollowed(t *testing.T) {
	t.Parallel()
	server, hits := chain(t)
	got := get(t, newService(t, anywhere()), server.URL+"/5")
	if got.Status != 200 || string(got.Body) != "arrived" || got.Error != "" || hits.Load() != 6 {
		t.Fatalf("got %d %q, error %q after %d requests", got.Status, got.Body, got.Error, hits.Load())
	}
}

// A server takes what stands behind a raw space for the version of HTTP.
func TestSpacesInAQueryArrive(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		if r.URL.Path == "/redirect" {
			w.Header().Set("Location", "/end?query=Nina Simone")
			w.WriteHeader(nethttp.StatusFound)
			return
		}
		_, _ = io.WriteString(w, r.RequestURI+" "+r.URL.Query().Get("query"))
	})
	service := newService(t, anywhere())
	for _, address := range []string{"/end?query=Nina Simone", "/end?query=Nina%20Simone", "/redirect"} {
		if got := get(t, service, server.URL+address); string(got.Body) != "/end?query=Nina%20Simone Nina Simone" {
			t.Errorf("%s: got %d %q, error %q", address, got.Status, got.Body, got.Error)
		}
	}
}

func TestTheSixthRedirectIsReturned(t *testing.T) {
	t.Parallel()
	server, hits := chain(t)
	got := get(t, newService(t, anywhere()), server.URL+"/6")
	if got.Status != 302 || got.Headers["Location"] != "/0" || got.Headers["X-Left"] != "1" || got.Error != "stopped after 5 redirects" {
		t.Errorf("got %v", got)
	}
	if hits.Load() != 6 {
		t.Errorf("%d requests, want 6", hits.Load())
	}
}

func TestTheMethodAfterARedirect(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/end" {
			w.Header().Set("X-Seen", r.Method+"|"+string(body))
			return
		}
		var status int
		_, _ = fmt.Sscanf(r.URL.Path, "/%d", &status)
		nethttp.Redirect(w, r, "/end", status)
	})
	service := newService(t, anywhere())
	for _, test := range []struct {
		method string
		status int
		seen   string
	}{
		{"POST", 301, "GET|"},
		{"POST", 302, "GET|"},
		{"POST", 303, "GET|"},
		{"POST", 307, "POST|body"},
		{"POST", 308, "POST|body"},
		{"PUT", 303, "GET|"},
		{"PATCH", 307, "PATCH|body"},
		{"HEAD", 303, "HEAD|"},
		{"DELETE", 307, "DELETE|"},
	} {
		got := request(t.Context(), t, service, test.method, &api.HttpRequest{Url: fmt.Sprintf("%s/%d", server.URL, test.status), Body: []byte("body")})
		if got.Status != 200 || got.Headers["X-Seen"] != test.seen {
			t.Errorf("%s, %d: got %d %q, error %q, want %q", test.method, test.status, got.Status, got.Headers["X-Seen"], got.Error, test.seen)
		}
	}
}

func TestARedirectMayLeadToTheHostThatIsAboveThoseAllowed(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		if to := r.URL.Query().Get("to"); to != "" {
			nethttp.Redirect(w, r, to, nethttp.StatusFound)
			return
		}
		_, _ = io.WriteString(w, "arrived")
	})
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	at := func(host string) string { return "http://" + host + ":" + port }
	service := newService(t, http.Config{
		AllowLocalNetwork: true,
		AllowedURLs:       map[string][]string{at("*.archive.example"): {"GET"}, at("*.split.example"): {"GET"}, at("split.example") + "/public/*": {"GET"}, at("split.example") + "/*": {"POST"}, at("open.example"): {"GET"}},
		Resolver: names{
			"www.archive.example": "127.0.0.1", "archive.example": "127.0.0.1", "example": "127.0.0.1", "notarchive.example": "127.0.0.1",
			"www.split.example": "127.0.0.1", "split.example": "127.0.0.1", "open.example": "127.0.0.1",
		},
	})
	for _, test := range []struct {
		name, url string
		arrives   bool
	}{
		{"by a redirect", at("www.archive.example") + "/?to=" + at("archive.example"), true},
		{"and from there on", at("www.archive.example") + "/?to=" + at("archive.example") + "/?to=" + at("www.archive.example"), true},
		{"from the host itself", at("www.archive.example") + "/?to=" + at("archive.example") + "/?to=" + at("archive.example"), true},
		{"without one", at("archive.example"), false},
		{"by a redirect from elsewhere", at("open.example") + "/?to=" + at("archive.example"), false},
		{"two above", at("www.archive.example") + "/?to=" + at("example"), false},
		{"another name that ends so", at("www.archive.example") + "/?to=" + at("notarchive.example"), false},
		{"another port", at("www.archive.example") + "/?to=http://archive.example", false},
		{"a pattern of its own allows it", at("www.split.example") + "/?to=" + at("split.example") + "/public/x", true},
		{"a pattern of its own decides", at("www.split.example") + "/?to=" + at("split.example") + "/x", false},
	} {
		if got := get(t, service, test.url); (string(got.Body) == "arrived") != test.arrives {
			t.Errorf("%s: got %d %q, error %q", test.name, got.Status, got.Body, got.Error)
		}
	}
}

func TestARedirectThatIsNotPermittedIsReturned(t *testing.T) {
	t.Parallel()
	var other atomic.Int32
	second := serve(t, func(nethttp.ResponseWriter, *nethttp.Request) { other.Add(1) })
	_, port, _ := net.SplitHostPort(second.Listener.Addr().String())
	first := serve(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		w.Header().Set("Location", r.URL.Query().Get("to"))
		w.Header().Set("X-Kept", "yes")
		w.WriteHeader(nethttp.StatusSeeOther)
		_, _ = io.WriteString(w, "moved")
	})
	config := http.Config{
		AllowLocalNetwork: true,
		AllowedURLs: map[string][]string{
			first.URL + "/*":            {"GET", "POST"},
			first.URL + "/posts-only":   {"POST"},
			"http://named.example:*":    {"GET"},
			"http://nowhere.example:*":  {"GET"},
			"http://0.0.0.0:*":          {"GET"},
			"http://[64:ff9b::7f00:1]/": {},
		},
		Resolver: names{"named.example": "0.0.0.0"},
	}
	service := newService(t, config)
	for _, test := range []struct{ name, to, reason, body string }{
		{"another host", second.URL + "/x", "redirect: URL " + second.URL + "/x does not match any allowed URL patterns", "moved"},
		{"the method it turns into", "/posts-only", "redirect: operation GET not allowed for URL pattern " + first.URL + "/posts-only", "moved"},
		{"an address", "http://0.0.0.0:" + port, "redirect: requests to unspecified, multicast or reserved IP addresses are not allowed", "moved"},
		{"a name with such an address", "http://named.example:" + port, "requests to unspecified, multicast or reserved IP addresses are not allowed", ""},
		{"user information", strings.Replace(first.URL, "//", "//user@", 1), "redirect: invalid URL: user information in the URL is not allowed: use an Authorization header", "moved"},
		{"another scheme", "ftp://named.example/", `redirect: invalid URL: scheme "ftp" is not http, https, ws or wss`, "moved"},
	} {
		got := request(t.Context(), t, service, "POST", &api.HttpRequest{Url: first.URL + "/?to=" + strings.ReplaceAll(test.to, "&", "%26")})
		if got.Status != 303 || got.Headers["X-Kept"] != "yes" || got.Headers["Location"] != test.to || string(got.Body) != test.body {
			t.Errorf("%s: got %v", test.name, got)
		}
		if got.Error != blocked+test.reason {
			t.Errorf("%s: error %q, want %q", test.name, got.Error, blocked+test.reason)
		}
	}
	if n := other.Load(); n != 0 {
		t.Errorf("%d requests reached the other server", n)
	}
	got := get(t, service, first.URL+"/?to=http://nowhere.example/")
	if got.Status != 0 || !strings.Contains(got.Error, "no such host") || strings.HasPrefix(got.Error, blocked) {
		t.Errorf("a permitted redirect that fails: got %d, error %q", got.Status, got.Error)
	}
}

func TestARedirectIsSentInItsCheckedForm(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		if r.URL.Path == "/v1/start" {
			w.Header().Set("Location", "/v1/x/%2e%2e/end")
			w.WriteHeader(nethttp.StatusFound)
			return
		}
		_, _ = io.WriteString(w, r.RequestURI)
	})
	config := anywhere()
	config.AllowedURLs = map[string][]string{server.URL + "/v1/*": {"GET"}}
	if got := get(t, newService(t, config), server.URL+"/v1/start"); string(got.Body) != "/v1/end" {
		t.Fatalf("got %q, error %q", got.Body, got.Error)
	}
}

func TestCredentialsStayWithTheirHost(t *testing.T) {
	t.Parallel()
	seen := make(chan nethttp.Header, 1)
	second := serve(t, func(_ nethttp.ResponseWriter, r *nethttp.Request) { seen <- r.Header })
	first := serve(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		nethttp.Redirect(w, r, strings.Replace(second.URL, "127.0.0.1", "second.example", 1), nethttp.StatusFound)
	})
	config := anywhere()
	config.Resolver = names{"second.example": "127.0.0.1"}
	got := request(t.Context(), t, newService(t, config), "GET", &api.HttpRequest{Url: first.URL, Headers: map[string]string{
		"Authorization": "Bearer t", "Cookie": "a=b", "X-Other": "kept", "Remote-User": "admin",
	}})
	if got.Status != 200 {
		t.Fatalf("got %d, error %q", got.Status, got.Error)
	}
	header := <-seen
	if header.Get("Authorization") != "" || header.Get("Cookie") != "" || header.Get("Remote-User") != "" || header.Get("X-Other") != "kept" {
		t.Fatalf("the second host saw %v", header)
	}
}

func TestARedirectWithTooLargeABodySaysBoth(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		w.Header().Set("Location", "http://elsewhere.example/")
		w.WriteHeader(nethttp.StatusFound)
		_, _ = w.Write(make([]byte, 100))
	})
	config := anywhere()
	config.MaxBody = 10
	config.AllowedURLs = map[string][]string{server.URL: {"GET"}}
	got := get(t, newService(t, config), server.URL)
	want := blocked + "redirect: URL http://elsewhere.example/ does not match any allowed URL patterns; response body is over the limit of 10 bytes"
	if got.Status != 302 || got.Error != want {
		t.Fatalf("got %d, error %q", got.Status, got.Error)
	}
}
