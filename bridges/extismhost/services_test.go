package extismhost_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/bridges/extismhost"
)

// sent is the answer of http_send.
type sent struct {
	Error  *string
	Result struct {
		StatusCode int
		Headers    map[string]string
		Body       []byte
	}
}

// send has the guest send a request.
func send(t *testing.T, plugin *extismhost.Plugin, request string) (answer sent) {
	t.Helper()
	if err := plugin.Call(t.Context(), "http_send", json.RawMessage(`{"request":`+request+`}`), &answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

func checkServices(t *testing.T, g *guests) {
	plugin := g.load(t, "services", extismhost.Options{Config: map[string]string{"url": "http://127.0.0.1:24990/", "empty": ""}})
	for name, check := range map[string]func(*testing.T, *guests, *extismhost.Plugin){
		"settings":                      checkConfigGet,
		"what a request has arrives":    checkSend,
		"answers are cut and flattened": checkAnswers,
		"redirects":                     checkRedirects,
		"failures are in the answer":    checkSendFailures,
		"hosts":                         checkHosts,
	} {
		t.Run(name, func(t *testing.T) { check(t, g, plugin) })
	}
}

func checkConfigGet(t *testing.T, _ *guests, plugin *extismhost.Plugin) {
	for _, c := range []call{
		{export: "config_get", input: `{"key":"url"}`, output: `{"value":"http://127.0.0.1:24990/","exists":true}`},
		{export: "config_get", input: `{"KEY":"empty"}`, output: `{"exists":true}`},
		{export: "config_get", input: `{"key":"absent"}`, output: `{}`},
		{export: "config_get", input: `{}`, output: `{}`},
		{export: "config_get", input: `{"key":`, output: `{"error":"unexpected end of JSON input"}`},
		{export: "nothing", output: `{"error":"unexpected end of JSON input"}`},
	} {
		c.check(t, plugin)
	}
}

func checkSend(t *testing.T, _ *guests, plugin *extismhost.Plugin) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%s %s %s %s %v", r.Method, r.Header.Get("X-One"), r.UserAgent(), body, err)
	}))
	t.Cleanup(server.Close)
	for request, want := range map[string]string{
		`{"method":"post","url":%q,"headers":{"x-one":"1","Host":"elsewhere"},"body":"YWJj"}`: "POST 1 Go-http-client/1.1 abc <nil>",
		`{"url":%q,"headers":null,"body":null}`:                                               "GET  Go-http-client/1.1  <nil>",
		`{"url":%q,"body":[97,98,99]}`:                                                        "GET  Go-http-client/1.1 abc <nil>",
	} {
		if got := send(t, plugin, fmt.Sprintf(request, server.URL)); string(got.Result.Body) != want || got.Result.StatusCode != http.StatusOK || got.Error != nil {
			t.Errorf("%s: %+v", request, got)
		}
	}
}

func checkAnswers(t *testing.T, _ *guests, plugin *extismhost.Plugin) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["X-Many"] = []string{"first", "second"}
		if r.URL.Path == "/empty" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = fmt.Fprint(w, strings.Repeat("a", 10<<20+1))
	}))
	t.Cleanup(server.Close)
	got := send(t, plugin, fmt.Sprintf(`{"url":%q}`, server.URL))
	if got.Result.StatusCode != http.StatusServiceUnavailable || len(got.Result.Body) != 10<<20 || got.Result.Headers["X-Many"] != "first" {
		t.Errorf("status %d, %d bytes, headers %v", got.Result.StatusCode, len(got.Result.Body), got.Result.Headers)
	}
	output, err := plugin.OutputOf(t.Context(), "http_send", fmt.Appendf(nil, `{"request":{"url":"%s/empty"}}`, server.URL))
	if err != nil || strings.Contains(string(output), "body") || strings.Contains(string(output), "error") {
		t.Errorf("an empty answer: %s, %v", output, err)
	}
}

func checkRedirects(t *testing.T, _ *guests, plugin *extismhost.Plugin) {
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, strings.Replace(server.URL, "127.0.0.1", "localhost", 1), http.StatusFound)
		default: // one more letter each time
			http.Redirect(w, r, r.URL.Path+"a", http.StatusFound)
		}
	}))
	t.Cleanup(server.Close)
	for request, location := range map[string]string{
		`{"url":"%s/a"}`: "/aaaaaa",
		`{"url":"%s/a","noFollowRedirects":true}`: "/aa",
	} {
		got := send(t, plugin, fmt.Sprintf(request, server.URL))
		if got.Result.StatusCode != http.StatusFound || got.Result.Headers["Location"] != location {
			t.Errorf("%s: %d, leads to %s", request, got.Result.StatusCode, got.Result.Headers["Location"])
		}
	}
	got := send(t, plugin, fmt.Sprintf(`{"url":"%s/away"}`, server.URL))
	if got.Error == nil || !strings.HasPrefix(*got.Error, "Get ") || !strings.Contains(*got.Error, `: host "localhost:`) || !strings.HasSuffix(*got.Error, `is not allowed`) {
		t.Errorf("%+v", got)
	}
}

func checkSendFailures(t *testing.T, _ *guests, plugin *extismhost.Plugin) {
	hangs := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-hangs:
		}
	}))
	closed := httptest.NewServer(nil)
	closed.Close()
	t.Cleanup(func() { close(hangs); server.Close() })
	for request, want := range map[string]string{
		`{"url":"ftp://127.0.0.1"}`:                              `invalid URL scheme "ftp": must be http or https`,
		`{"url":":"}`:                                            `invalid URL: parse ":": missing protocol scheme`,
		`{"url":"http://example.com:80/"}`:                       `host "example.com:80" is not allowed`,
		fmt.Sprintf(`{"url":%q}`, closed.URL):                    "connection refused",
		fmt.Sprintf(`{"url":%q,"timeoutMs":50}`, server.URL):     fmt.Sprintf("Get %q: context deadline exceeded", server.URL),
		fmt.Sprintf(`{"url":%q,"timeoutMs":-1}`, server.URL):     "context deadline exceeded",
		fmt.Sprintf(`{"url":%q,"timeoutMs":"50"}`, server.URL):   "cannot unmarshal string",
		fmt.Sprintf(`{"url":%q,"timeoutMs":50.0}`, server.URL):   "cannot unmarshal number 50.0",
		fmt.Sprintf(`{"url":%q,"body":"not base64"}`, "http://"): "illegal base64",
	} {
		if got := send(t, plugin, request); got.Error == nil || !strings.Contains(*got.Error, want) {
			t.Errorf("%s: %+v", request, got)
		}
	}
}

func checkHosts(t *testing.T, g *guests, _ *extismhost.Plugin) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	for _, c := range []struct {
		hosts   []string
		url     string
		refused bool
	}{
		{[]string{"*"}, server.URL, false},
		{[]string{"*.0.0.1"}, server.URL, false},
		{[]string{"other", "127.0.0.1"}, server.URL, false},
		{[]string{strings.TrimPrefix(server.URL, "http://")}, server.URL, true},
		{[]string{"*.127.0.0.1"}, server.URL, true},
		{[]string{"1*"}, server.URL, true},
		{nil, server.URL, true},
		{nil, "http://localhost:1", true},
		{nil, "http://[::1]:1", true},
		{nil, "http://192.168.0.1", true},
		{nil, "http://169.254.0.1", true},
	} {
		got := send(t, g.loadWith(t, "services", manifest(c.hosts...), extismhost.Options{}), fmt.Sprintf(`{"url":%q}`, c.url))
		if refused := got.Error != nil && strings.Contains(*got.Error, "is not allowed"); refused != c.refused {
			t.Errorf("with %q, %s: %+v", c.hosts, c.url, got)
		}
	}
}
