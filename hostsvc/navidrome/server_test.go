package navidrome_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/hostsvc/navidrome"
	"github.com/pluginhost/pluginhost/subjects"
	fake "github.com/pluginhost/pluginhost/testenv/navidrome"
)

func newServer(t *testing.T, address string, changes ...func(*navidrome.Config)) *navidrome.Server {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	config := navidrome.Config{URL: u}
	for _, change := range changes {
		change(&config)
	}
	s := navidrome.New(config)
	t.Cleanup(s.Close)
	return s
}

// instead starts a server that answers every request with handler.
func instead(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.URL
}

// ping is a request that Navidrome answers.
func ping() navidrome.SubsonicRequest {
	return navidrome.SubsonicRequest{
		Plugin: "test", User: "joe", Endpoint: "ping",
		Query: url.Values{"u": {"joe"}, "v": {"1.16.1"}, "c": {"test"}, "f": {"json"}},
	}
}

func TestARequestArrivesAsItWasMade(t *testing.T) {
	for _, test := range []struct{ base, endpoint, path string }{
		{"", "ping", "/rest/ping"},
		{"", "getSong.view", "/rest/getSong.view"},
		{"/music", "ping", "/music/rest/ping"},
		{"", "a b?c=d#e;f", "/rest/a%20b%3Fc=d%23e%3Bf"},
		{"", "%2e%2e", "/rest/%252e%252e"},
		{"", `..\x`, "/rest/..%5Cx"},
	} {
		f := fake.Start(t, fake.WithBasePath(test.base))
		s := newServer(t, f.URL+"/")
		request := ping()
		request.Endpoint = test.endpoint
		request.Query.Set("odd", "a&b=c\x00\n\xff ü")
		if _, err := s.Subsonic(t.Context(), request); err != nil {
			t.Errorf("%s: %v", test.endpoint, err)
			continue
		}
		got := f.Requests()[0]
		if got.Path != test.path || got.Method != http.MethodGet || got.User != "joe" || got.Query.Encode() != request.Query.Encode() {
			t.Errorf("%s: got %s %s of %q with %v", test.endpoint, got.Method, got.Path, got.User, got.Query)
		}
	}
}

// A proxy that takes 8 KiB of headers, as nginx and Apache do, answers a longer request
// itself.
func TestALongRequestGoesThroughAProxyAsAForm(t *testing.T) {
	f := fake.Start(t)
	behind, err := url.Parse(f.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewUnstartedServer(httputil.NewSingleHostReverseProxy(behind))
	proxy.Config.MaxHeaderBytes = 4 << 10 // and 4 KiB that net/http adds
	proxy.Start()
	t.Cleanup(proxy.Close)
	s := newServer(t, proxy.URL)
	for size, method := range map[int]string{1: http.MethodGet, navidrome.MaxGetQuery: http.MethodGet, navidrome.MaxGetQuery + 1: http.MethodPost, 11_000: http.MethodPost, 3 << 20: http.MethodPost} {
		request := ping()
		request.Query.Set("x", strings.Repeat("x", max(size-len(request.Query.Encode())-len("&x="), 1)))
		body, err := s.Subsonic(t.Context(), request)
		if err != nil || !strings.Contains(string(body), `"status":"ok"`) {
			t.Errorf("a query of %d bytes: got %.200q, error %v", size, body, err)
			continue
		}
		got := f.Requests()[len(f.Requests())-1]
		if got.Method != method || got.Path != "/rest/ping" || got.User != "joe" || got.Query.Encode() != request.Query.Encode() {
			t.Errorf("a query of %d bytes: got %s %s of %q, want %s", size, got.Method, got.Path, got.User, method)
		}
	}
}

func TestTheBodyComesWhateverItIs(t *testing.T) {
	f := fake.Start(t)
	s := newServer(t, f.URL)
	for _, test := range []struct{ user, endpoint, want string }{
		{"joe", "ping", `"status":"ok"`},
		{"eve", "ping", `"code":40`},
		{"joe", "getSong", `"code":70`},
		{"joe", "jukeboxControl", "not implemented yet\n"},
		{"joe", "search", "never to be implemented\n"},
		{"joe", "nonsense", "404 page not found\n"},
	} {
		request := ping()
		request.User, request.Endpoint = test.user, test.endpoint
		body, err := s.Subsonic(t.Context(), request)
		if err != nil || !strings.Contains(string(body), test.want) {
			t.Errorf("%s: got %q, error %v; want %q", test.endpoint, body, err, test.want)
		}
	}
	request := ping()
	request.Endpoint = "getCoverArt"
	request.Query.Set("id", "al-al1_0")
	if body, err := s.Subsonic(t.Context(), request); err != nil || !strings.HasPrefix(string(body), "\x89PNG") {
		t.Errorf("a binary: got %q, error %v", body, err)
	}
}

func TestTheWaitingPluginsAreNamed(t *testing.T) {
	f := fake.Start(t)
	for i, test := range []struct {
		via    []string
		format func([]string) string
		want   []string
	}{
		{[]string{"a", "b c"}, subjects.FormatVia, []string{"a,b=20c"}},
		{nil, subjects.FormatVia, nil},
		{[]string{"a"}, nil, nil},
	} {
		s := newServer(t, f.URL, func(c *navidrome.Config) { c.FormatVia = test.format })
		request := ping()
		request.Via = test.via
		if _, err := s.Subsonic(t.Context(), request); err != nil {
			t.Fatal(err)
		}
		if got := f.Requests()[i].Header.Values(subjects.HeaderVia); fmt.Sprint(got) != fmt.Sprint(test.want) {
			t.Errorf("%v: got %v, want %v", test.via, got, test.want)
		}
	}
}

func TestWhatMustNotBeSentIsNotSent(t *testing.T) {
	f := fake.Start(t)
	for _, test := range []struct {
		name   string
		change func(*navidrome.SubsonicRequest)
		want   string
	}{
		{"no endpoint", func(r *navidrome.SubsonicRequest) { r.Endpoint = "" }, "no endpoint"},
		{"a dot", func(r *navidrome.SubsonicRequest) { r.Endpoint = "." }, "no endpoint"},
		{"two dots", func(r *navidrome.SubsonicRequest) { r.Endpoint = ".." }, "no endpoint"},
		{"a slash", func(r *navidrome.SubsonicRequest) { r.Endpoint = "../api/user" }, "no endpoint"},
		{"a long endpoint", func(r *navidrome.SubsonicRequest) { r.Endpoint = strings.Repeat("a", 257) }, "limit of 256"},
		{"no user", func(r *navidrome.SubsonicRequest) { r.User = "" }, "user name"},
		{"a header in the user", func(r *navidrome.SubsonicRequest) { r.User = "joe\r\nRemote-User: alice" }, "user name"},
		{"a zero byte in the user", func(r *navidrome.SubsonicRequest) { r.User = "joe\x00" }, "user name"},
		{"a blank before the user", func(r *navidrome.SubsonicRequest) { r.User = " joe" }, "user name"},
		{"a tab after the user", func(r *navidrome.SubsonicRequest) { r.User = "joe\t" }, "user name"},
		{"a long user", func(r *navidrome.SubsonicRequest) { r.User = strings.Repeat("j", 1025) }, "limit of 1024"},
		{"a long query", func(r *navidrome.SubsonicRequest) { r.Query.Set("x", strings.Repeat("x", 4<<20)) }, "limit of 4194304"},
	} {
		request := ping()
		test.change(&request)
		_, err := newServer(t, f.URL).Subsonic(t.Context(), request)
		if !errors.Is(err, navidrome.ErrRequest) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q in it", test.name, err, test.want)
		}
	}
	for _, address := range []string{"", "ftp://127.0.0.1/", "http:///rest"} {
		if _, err := newServer(t, address).Subsonic(t.Context(), ping()); !errors.Is(err, navidrome.ErrRequest) {
			t.Errorf("the address %q: got %v, want ErrRequest", address, err)
		}
	}
	if _, err := navidrome.New(navidrome.Config{}).Subsonic(t.Context(), ping()); !errors.Is(err, navidrome.ErrRequest) {
		t.Errorf("no address: got %v, want ErrRequest", err)
	}
	if got := f.Requests(); len(got) != 0 {
		t.Errorf("sent all the same: %+v", got)
	}
}

func TestUsersBeyondASCIIAreSentAsTheyAre(t *testing.T) {
	f := fake.Start(t)
	request := ping()
	request.User = "jürgen o'neil"
	if _, err := newServer(t, f.URL).Subsonic(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if got := f.Requests()[0].User; got != request.User {
		t.Fatalf("got %q", got)
	}
}

func TestWhatIsNoAnswerIsUnavailable(t *testing.T) {
	stopped := fake.Start(t)
	stopped.Stop()
	elsewhere := fake.Start(t)
	for _, test := range []struct {
		name, address, want string
	}{
		{"nobody listens", stopped.URL, "navidrome at " + stopped.URL + " cannot be reached: "},
		{"a redirect", instead(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusMovedPermanently)
		}), "points elsewhere with status 301: check [Navidrome] URL"},
		{"a redirect that leads nowhere", instead(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTemporaryRedirect)
		}), "points elsewhere with status 307"},
		{"a large answer", instead(t, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(make([]byte, 1001))
		}), "more than the limit of 1000 bytes"},
		{"an endless answer", instead(t, func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = w.Write(make([]byte, 4096))
			}
		}), "more than the limit of 1000 bytes"},
		{"large headers", instead(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Large", strings.Repeat("x", 1<<20))
		}), "cannot be reached"},
		{"half an answer", instead(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "half")
		}), "broke off its answer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			body, err := newServer(t, test.address, func(c *navidrome.Config) { c.MaxBody = 1000 }).Subsonic(t.Context(), ping())
			if !errors.Is(err, navidrome.ErrUnavailable) || !strings.Contains(err.Error(), test.want) || body != nil {
				t.Fatalf("got %q, error %v; want %q in it", body, err, test.want)
			}
		})
	}
	if got := elsewhere.Requests(); len(got) != 0 {
		t.Errorf("the redirect was followed with the user header: %+v", got)
	}
}

func TestAnAnswerOfExactlyTheLimitIsFine(t *testing.T) {
	address := instead(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1000)) })
	body, err := newServer(t, address, func(c *navidrome.Config) { c.MaxBody = 1000 }).Subsonic(t.Context(), ping())
	if err != nil || len(body) != 1000 {
		t.Fatalf("got %d bytes, error %v", len(body), err)
	}
}

func TestAServerThatDoesNotAnswerMeetsTheTimeout(t *testing.T) {
	for part, handler := range map[string]http.HandlerFunc{
		"headers": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"body": func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
	} {
		t.Run(part, func(t *testing.T) {
			s := newServer(t, instead(t, handler), func(c *navidrome.Config) { c.Timeout = 50 * time.Millisecond })
			_, err := s.Subsonic(t.Context(), ping())
			if !errors.Is(err, navidrome.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "did not answer in time") {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestTheContextEndsARequest(t *testing.T) {
	reached := make(chan struct{})
	s := newServer(t, instead(t, func(_ http.ResponseWriter, r *http.Request) {
		close(reached)
		<-r.Context().Done()
	}))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { <-reached; cancel() }()
	if _, err := s.Subsonic(ctx, ping()); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
}

func TestUserInformationIsSentButNeverShown(t *testing.T) {
	var name, password string
	address := instead(t, func(w http.ResponseWriter, r *http.Request) {
		name, password, _ = r.BasicAuth()
		w.WriteHeader(http.StatusFound)
	})
	_, err := newServer(t, strings.Replace(address, "http://", "http://gate:secret@", 1)).Subsonic(t.Context(), ping())
	if name != "gate" || password != "secret" {
		t.Errorf("got %q, %q", name, password)
	}
	if err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "gate") {
		t.Errorf("got %v", err)
	}
}

// A request over the environment's proxy would be for a name that only the proxy can
// look up.
func TestTheEnvironmentsProxyIsNotUsed(t *testing.T) {
	_, err := newServer(t, "http://navidrome.invalid").Subsonic(t.Context(), ping())
	var lookup *net.DNSError
	if !errors.As(err, &lookup) {
		t.Fatalf("got %v, want a failed look-up of the name", err)
	}
}

func TestNavidromeAwayAndBack(t *testing.T) {
	f := fake.Start(t)
	s := newServer(t, f.URL)
	for _, away := range []bool{false, true, false} {
		if away {
			f.Stop()
		} else {
			f.Restart()
		}
		if _, err := s.Subsonic(t.Context(), ping()); errors.Is(err, navidrome.ErrUnavailable) != away {
			t.Fatalf("away %v: got %v", away, err)
		}
	}
}
