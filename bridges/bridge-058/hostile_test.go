package main_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/plugintest"
	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/subjects"
)

// maxError is the longest error that a log is given, in bytes.
const maxError = 1500

// Only what a gateway says means "nothing found" or "not offered": Navidrome remembers that for a day.
func TestWhatComesBackIsToldApart(t *testing.T) {
	t.Parallel()
	const json = "application/json"
	hosts := []*plugintest.Host{load(t), load(t, "plugin", "wiki")}
	for _, test := range []struct {
		name    string
		handler http.HandlerFunc
		is      error    // nil is any other error
		want    []string // parts of the error
	}{
		{name: "nothing found", handler: fails(404, "plugin:not_found", "plugin:not_found"), is: api.ErrNotFound},
		{name: "not offered", handler: fails(501, "plugin:not_implemented", ""), is: api.ErrNotImplemented},
		{name: "nothing found, as another content type", handler: says(404, "text/plain", `{"error":"","name":"plugin:not_found","code":404,"v":1,"more":{}}`), is: api.ErrNotFound},

		{name: "404 of another server", handler: http.NotFound, want: []string{"no pluginhost", "404", "page not found", "set url"}},
		{name: "404 with another name", handler: fails(404, "no_such_path", "nothing is at /x"), want: []string{"404 no_such_path: nothing is at /x", "url in [PluginConfig.<folder name>] must end where /v1 begins"}},
		{name: "404 with a longer name", handler: fails(404, "plugin:not_found.", ""), want: []string{"404 plugin:not_found."}},
		{name: "404 of another version", handler: says(404, json, `{"v":2,"code":404,"name":"plugin:not_found","error":""}`), want: []string{"no pluginhost", "no v, code and name"}},
		{name: "404 without a version", handler: says(404, json, `{"code":404,"name":"plugin:not_found","error":""}`), want: []string{"no pluginhost"}},
		{name: "404 of another code", handler: says(404, json, `{"v":1,"code":503,"name":"plugin:not_found","error":"x"}`), want: []string{"503 plugin:not_found: x"}},
		{name: "not found with status 500", handler: says(500, json, `{"v":1,"code":404,"name":"plugin:not_found","error":"x"}`), want: []string{"404 plugin:not_found: x"}},
		{name: "404 with a text after its JSON", handler: says(404, json, `{"v":1,"code":404,"name":"plugin:not_found","error":""}<hr>`), want: []string{"no pluginhost"}},
		{name: "404 with JSON of other types", handler: says(404, json, `{"v":"1","code":"404","name":7}`), want: []string{"no pluginhost", "not the JSON of one"}},
		{name: "404 with too much JSON", handler: says(404, json, `{"v":1,"code":404,"name":"plugin:not_found","error":"`+strings.Repeat("x", 70_000)+`"}`), want: []string{"no pluginhost"}},
		{name: "404 with deep JSON", handler: says(404, json, strings.Repeat("[", 60_000)), want: []string{"no pluginhost"}},
		{name: "501 of another server", handler: says(501, "text/html", "<h1>Not Implemented</h1>"), want: []string{"no pluginhost", "501", "<h1>Not"}},
		{name: "501 with the name of 404", handler: fails(501, "plugin:not_found", "x"), want: []string{"501 plugin:not_found: x"}},

		{name: "no token", handler: fails(401, "unauthorized", "no such token"), want: []string{"401 unauthorized: no such token", "pluginhost token create --scope call", "set token in [PluginConfig.<folder name>]"}},
		{name: "401 of a proxy", handler: says(401, "text/html", "<html>Log in"), want: []string{"no pluginhost", "401", "<html>Log in"}},
		{name: "another scope", handler: fails(403, "forbidden", "no call"), want: []string{"403 forbidden: no call", "scope call"}},
		{name: "another method", handler: fails(405, "method_not_allowed", "GET"), want: []string{"405 method_not_allowed", "POST"}},
		{name: "another host name", handler: fails(421, "misdirected", "x"), want: []string{"421 misdirected", "address that is a number"}},
		{name: "a bad request", handler: fails(400, "bad_request", "no such method"), want: []string{"400 bad_request: no such method", "newer than the pluginhost"}},
		{name: "a deadline", handler: says(504, json, `{"v":1,"code":408,"name":"deadline_exceeded","error":"stopped"}`), want: []string{"408 deadline_exceeded: stopped", "8s", "timeout in [PluginConfig.<folder name>]"}},
		{name: "a reply that is too large", handler: says(502, json, `{"v":1,"code":413,"name":"too_large","error":"2 MB"}`), want: []string{"413 too_large: 2 MB"}},
		{name: "overload", handler: fails(429, "overloaded", "busy"), want: []string{"429 overloaded: busy"}},
		{name: "the plugin's own error", handler: fails(500, "plugin_error", "Wikipedia is down"), want: []string{"500 plugin_error: Wikipedia is down"}},
		{name: "a plugin's own error that reads as another", handler: fails(500, "plugin_error", "plugin:not_found"), want: []string{"500 plugin_error: plugin:not_found"}},
		{name: "a crash", handler: fails(502, "plugin_crashed", "unreachable"), want: []string{"502 plugin_crashed: unreachable"}},
		{name: "no replica", handler: fails(503, "unavailable", "nobody"), want: []string{"503 unavailable: nobody"}},
		{name: "a failure that is not known yet", handler: fails(507, "full", "x"), want: []string{"507 full: x"}},
		{name: "502 of a proxy", handler: says(502, "text/html", "<html>Bad Gateway"), want: []string{"no pluginhost", "502", "Bad Gateway"}},
		{name: "503 without a body", handler: says(503, "", ""), want: []string{"no pluginhost", "503"}},

		{name: "a web page", handler: says(200, "text/html; charset=utf-8", "<html>\n<title>Router"), want: []string{"no pluginhost", "text/html", "<html> <title>Router", "set url"}},
		{name: "JSON", handler: says(200, json, `{"url":"https://a.example"}`), want: []string{"no pluginhost", json}},
		{name: "no content type", handler: func(w http.ResponseWriter, _ *http.Request) { w.Header()["Content-Type"] = nil }, want: []string{"no pluginhost"}},
		{name: "another content type that begins so", handler: says(200, subjects.ContentTypeProtobuf+"2", ""), want: []string{"no pluginhost"}},
		{name: "a message that does not decode", handler: says(200, subjects.ContentTypeProtobuf, "\x0a\xff\xff\xff\xff\x0f"), want: []string{"no pluginhost", "no answer to get_artist_url"}},
		{name: "a message that ends too soon", handler: says(200, subjects.ContentTypeProtobuf, "\x0a\x05abc"), want: []string{"no pluginhost"}},
		{name: "an answer without content", handler: says(204, "", ""), want: []string{"no pluginhost", "204"}},
		{name: "a failure that says 200", handler: says(206, json, `{"v":1,"code":200,"name":"plugin:not_found"}`), want: []string{"no pluginhost"}},
		{name: "too much", handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", subjects.ContentTypeProtobuf)
			_, _ = io.CopyN(w, zeros{}, 32<<20)
		}, want: []string{"pluginhost at " + origin}},

		{name: "a redirect to a page", handler: http.RedirectHandler("/login", http.StatusFound).ServeHTTP, want: []string{`redirects to "/login" (status 302)`, "set url"}},
		{name: "a redirect to https", handler: http.RedirectHandler("https://127.0.0.1:8443/v1", http.StatusMovedPermanently).ServeHTTP, want: []string{`redirects to "https://127.0.0.1:8443/v1" (status 301)`}},
		{name: "a redirect that is followed to another server", handler: http.RedirectHandler("http://192.0.2.1/x", http.StatusTemporaryRedirect).ServeHTTP, want: []string{"no pluginhost", "text/html", "elsewhere"}},
		{name: "redirects without end", handler: http.RedirectHandler("/again", http.StatusPermanentRedirect).ServeHTTP, want: []string{"pluginhost at " + origin, "redirect"}},
		{name: "a connection that breaks", handler: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, want: []string{"no answer", "EOF", "Set url"}},
		{name: "a body that breaks", handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", subjects.ContentTypeProtobuf)
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "\x0a\x01a")
			panic(http.ErrAbortHandler)
		}, want: []string{"no answer"}},

		{name: "a server that repeats what it gets", handler: echo, want: []string{"no pluginhost", "ph_…"}},
		{name: "a failure that repeats it", handler: func(w http.ResponseWriter, r *http.Request) {
			fails(401, "unauthorized", r.Header.Get("Authorization"))(w, r)
		}, want: []string{"Bearer ph_…"}},
		{name: "a redirect that repeats it", handler: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/?"+strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), http.StatusSeeOther)
		}, want: []string{`redirects to "/?ph_…"`}},
		{name: "texts without end", handler: fails(500, strings.Repeat("n", 10_000), strings.Repeat("é\n", 10_000)), want: []string{"500 nnn"}},
		{name: "bytes that no log can have", handler: says(500, "text/\xff", "\x00\xff\x1b[2J\r\nINFO all is well"), want: []string{"no pluginhost"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, host := range hosts {
				host.HTTP(origin, test.handler)
				host.HTTP("http://192.0.2.1", says(200, "text/html", "<p>elsewhere"))
				_, err := host.MetadataAgent().GetArtistURL(t.Context(), &api.ArtistURLRequest{Name: "N"})
				wantFailure(t, err, test.is, test.want)
			}
		})
	}
}

// wantFailure looks at an error of a plugin.
func wantFailure(t *testing.T, err, is error, want []string) {
	t.Helper()
	if is != nil {
		if !errors.Is(err, is) {
			t.Errorf("got %v, want %v", err, is)
		}
		return
	}
	if !errors.Is(err, subjects.ErrPlugin) || errors.Is(err, api.ErrNotFound) || errors.Is(err, api.ErrNotImplemented) {
		t.Fatalf("got %v, want an error of the plugin's own", err)
	}
	text := err.Error()
	for _, part := range want {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in: %s", part, text)
		}
	}
	if strings.Contains(text, token[3:]) {
		t.Errorf("the token is in: %s", text)
	}
	if len(text) > maxError || strings.ContainsAny(text, "\x00\x1b\r\n") {
		t.Errorf("%d bytes, which may not all be printable: %q", len(text), text)
	}
}

// echo answers with the headers of the request, as pages for debugging do.
func echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; "+r.Header.Get("Authorization"))
	_ = r.Header.Write(w)
}

// zeros has them without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestAnErrorSaysWhomItIsAbout(t *testing.T) {
	t.Parallel()
	for want, settings := range map[string][]string{
		"pluginhost at http://127.0.0.1:8080, asked for its agents: ":          nil,
		`pluginhost at http://127.0.0.1:8080, asked for the plugin "wiki": `:   {"plugin", "wiki"},
		"plugin in [PluginConfig.<folder name>] must be an id that pluginhost": {"plugin", "wiki"},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			host := load(t, settings...)
			host.HTTP(origin, fails(503, "unavailable", "nobody"))
			_, err := host.MetadataAgent().GetArtistURL(t.Context(), &api.ArtistURLRequest{})
			wantFailure(t, err, nil, []string{want})
		})
	}
}

// Navidrome drops the errors of agents.
func TestFailuresAndNoOthersGoToTheLog(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		handler http.HandlerFunc
		want    string
	}{
		{"an answer", says(200, subjects.ContentTypeProtobuf, ""), ""},
		{"nothing found", fails(404, "plugin:not_found", ""), ""},
		{"not offered", fails(501, "plugin:not_implemented", ""), ""},
		{"a failure", fails(503, "unavailable", "no\nbody"), "bridge to pluginhost: get_artist_url: pluginhost at http://127.0.0.1:8080, asked for its agents: 503 unavailable: no body"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			host := load(t)
			host.HTTP(origin, test.handler)
			_, _ = host.MetadataAgent().GetArtistURL(t.Context(), &api.ArtistURLRequest{})
			if got := strings.TrimSuffix(host.Output(), "\n"); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestWhereNobodyListensIsNoAnswer(t *testing.T) {
	t.Parallel()
	host := load(t)
	_, err := host.MetadataAgent().GetArtistURL(t.Context(), &api.ArtistURLRequest{})
	wantFailure(t, err, nil, []string{"no answer", "does a pluginhost listen there, with --http?", "Set url in [PluginConfig.<folder name>]"})
}
