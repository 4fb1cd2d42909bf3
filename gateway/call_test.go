package gateway_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/testenv/soak/abuse"
)

const biography = "get_artist_biography"

// path leads to a method of a plugin.
func path(id, method string) string {
	return subjects.HTTPPlugins + "/" + url.PathEscape(id) + "/" + url.PathEscape(method)
}

func TestAMethodIsCalledInEitherForm(t *testing.T) {
	t.Parallel()
	h := open(t, func(c *config.Config) { add(t, c, "probe", guests.Wasm(t, guests.Probe), "MetadataAgent", "Scrobbler") })
	binary, err := (&api.ArtistBiographyRequest{Name: "Nina"}).MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	answered, err := (&api.ArtistBiographyResponse{Biography: "biography of Nina"}).MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ kind, body, wantKind, want string }{
		"JSON":               {asJSON, `{"name":"Nina"}`, asJSON, `{"biography":"biography of Nina"}`},
		"JSON with a set":    {asJSON + "; charset=utf-8", ` {"name":"Nina"}`, asJSON, `{"biography":"biography of Nina"}`},
		"protobuf":           {protobuf, string(binary), protobuf, string(answered)},
		"protobuf, as named": {"application/protobuf", string(binary), protobuf, string(answered)},
	} {
		t.Run(name, func(t *testing.T) {
			got := h.ask(request{path: path("probe", biography), kind: c.kind, body: c.body})
			if got.status != http.StatusOK || got.body != c.want || got.header.Get("Content-Type") != c.wantKind || got.header.Get("Cache-Control") != "no-store" {
				t.Errorf("got %d %v %q", got.status, got.header, got.body)
			}
		})
	}
}

func TestPluginsWhoseNamesAreNoPathsAreCalled(t *testing.T) {
	t.Parallel()
	ids := []string{"My Plugin.v2", "über", "*", "a%2Fb", "?#", "..", "line\nbreak", strings.Repeat("=", 255)}
	h := open(t, func(c *config.Config) {
		for _, id := range ids {
			if id != ".." {
				add(t, c, id, echo, "MetadataAgent")
			}
		}
	})
	for _, id := range ids {
		got := h.ask(request{path: path(id, biography), kind: asJSON, body: `{"id":"x"}`})
		if id == ".." {
			if got.status != http.StatusServiceUnavailable {
				t.Errorf("%q: %d %s", id, got.status, got.body)
			}
			continue
		}
		if got.status != http.StatusOK || got.body != `{"biography":"x"}` {
			t.Errorf("%q: %d %s", id, got.status, got.body)
		}
	}
}

// Every way of going wrong that a replica has an answer for over NATS has the same one over HTTP.
func TestAbuseIsAnsweredByTheTable(t *testing.T) {
	h := open(t, func(c *config.Config) { abuse.Install(t, c) })
	// What the gateway finds out by itself.
	otherwise := map[string]int{
		"JSON by its content type that is empty":                 http.StatusBadRequest,
		"a callback of a capability that is not in the manifest": http.StatusBadRequest,
	}
	for _, kind := range abuse.Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			want := kind.Code()
			if code, is := otherwise[kind.Name]; is {
				want = code
			}
			got := h.ask(overHTTP(kind.Call))
			if want == 0 {
				if got.status != http.StatusOK {
					t.Errorf("got %d %.300s", got.status, got.body)
				}
			} else {
				failure, status := got.failure(t), want
				switch {
				case want == http.StatusRequestTimeout:
					status = http.StatusGatewayTimeout
				case want == http.StatusRequestEntityTooLarge && len(kind.Call.Body) < 1<<20:
					status = http.StatusBadGateway
				}
				if got.status != status || failure.Code != want || failure.Name != subjects.FromCode(want, "").Failure.Error() {
					t.Errorf("got %d %+v, want %d in the body of %d", got.status, failure, want, status)
				}
			}
			good := h.ask(request{path: path(kind.Plugin, biography), kind: protobuf, body: "\x12\x04good"})
			if good.status != http.StatusOK || !strings.HasSuffix(good.body, "good") {
				t.Errorf("a good call then: %d %q", good.status, good.body)
			}
		})
	}
}

// overHTTP is a call as it is sent to a gateway.
func overHTTP(c abuse.Call) request {
	r := request{path: path(c.Plugin, c.Method), kind: protobuf, body: string(c.Body), header: map[string]string{}}
	if c.JSON || c.Raw && (c.Value == subjects.ContentTypeJSON || strings.HasPrefix(r.body, "{")) {
		r.kind = asJSON
	}
	if c.Timeout > 0 {
		r.header[subjects.HeaderTimeout] = c.Timeout.String()
	}
	if c.Header == subjects.HeaderTimeout {
		r.header[c.Header] = c.Value
	}
	return r
}

func TestARefusedCallSaysWhenToComeAgain(t *testing.T) {
	t.Parallel()
	h := open(t, func(c *config.Config) {
		abuse.Install(t, c)
		c.Runtime.MaxConcurrent, c.Runtime.Queue = 1, 0
	})
	running := make(chan answer)
	go func() {
		got, _ := h.try(request{path: path(abuse.Probe, biography), kind: asJSON, body: `{"name":"loop"}`, header: map[string]string{subjects.HeaderTimeout: "5s"}})
		running <- got
	}()
	var got answer
	for got.status != http.StatusTooManyRequests && t.Context().Err() == nil {
		got = h.ask(request{path: path(abuse.Probe, biography), kind: asJSON, body: `{"name":"x"}`, header: map[string]string{subjects.HeaderTimeout: "100ms"}})
	}
	if seconds, err := strconv.Atoi(got.header.Get("Retry-After")); err != nil || seconds < 1 || got.failure(t).Name != "overloaded" {
		t.Errorf("%v %s", got.header, got.body)
	}
	if ended := <-running; ended.status != http.StatusGatewayTimeout || ended.failure(t).Code != http.StatusRequestTimeout {
		t.Errorf("the one that ran: %d %s", ended.status, ended.body)
	}
}

func TestAGatewayReachesPluginsOnOtherReplicas(t *testing.T) {
	t.Parallel()
	first := open(t, func(c *config.Config) { add(t, c, "echo", echo, "MetadataAgent") })
	second := openOn(t, first.natsURL, func(*config.Config) {})
	got := second.ask(request{path: path("echo", biography), kind: asJSON, body: `{"id":"from afar"}`})
	if got.status != http.StatusOK || got.body != `{"biography":"from afar"}` {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestWhatIsNotInTheContractIsRefused(t *testing.T) {
	t.Parallel()
	h := open(t, func(c *config.Config) { add(t, c, "echo", echo, "MetadataAgent") })
	for _, c := range []struct {
		request
		status     int
		name, says string
	}{
		{request{path: "/"}, 404, "no_such_path", "/v1/openapi.json"},
		{request{path: "/v1"}, 404, "no_such_path", ""},
		{request{path: "/v2/plugins"}, 404, "no_such_path", ""},
		{request{path: "/v1/plugins/echo/get_artist_url/more", kind: asJSON}, 404, "no_such_path", ""},
		{request{path: "/v1/plugins//get_artist_url", kind: asJSON}, 404, "no_such_path", ""},
		{request{path: "//v1/plugins/echo/get_artist_url", kind: asJSON}, 404, "no_such_path", ""},
		{request{path: "/v1/agents", kind: asJSON}, 404, "no_such_path", ""},
		{request{method: "GET", path: "/v1/plugins/echo/" + biography}, 405, "method_not_allowed", "POST only"},
		{request{method: "PUT", path: "/v1/plugins"}, 405, "method_not_allowed", "GET only"},
		{request{method: "OPTIONS", path: "/v1/plugins"}, 405, "method_not_allowed", "GET only"},
		{request{path: "/v1/plugins/echo/" + biography, kind: "text/html", body: "x"}, 400, "bad_request", "Content-Type"},
		{request{path: "/v1/plugins/echo/" + biography, body: "x"}, 400, "bad_request", "Content-Type"},
		{request{path: "/v1/plugins/echo/" + biography, kind: protobuf, body: "{}"}, 400, "bad_request", "begins as JSON does"},
		{request{path: "/v1/plugins/echo/" + biography, kind: asJSON, body: "{}", header: map[string]string{"Content-Encoding": "gzip"}}, 400, "bad_request", "Content-Encoding"},
		{request{path: "/v1/plugins/echo/on_close", kind: asJSON, body: "{}"}, 400, "bad_request", "unknown method"},
		{request{path: "/v1/agents/is_authorized", kind: asJSON, body: "{}"}, 400, "bad_request", "no method of MetadataAgent"},
		{request{path: "/v1/agents/" + biography, kind: asJSON, body: `{"name":"` + strings.Repeat("x", 70_000) + `"}`}, 413, "too_large", "65536"},
		{request{method: "GET", path: "/v1/plugins/nobody"}, 404, "no_such_plugin", "/v1/plugins"},
		{request{path: "/v1/plugins/nobody/" + biography, kind: asJSON, body: "{}"}, 503, "unavailable", "is on no replica"},
	} {
		h.refuses(c.request, c.status, c.name, c.says)
	}
}

func TestPluginsAreListed(t *testing.T) {
	t.Parallel()
	h := open(t, func(c *config.Config) {
		add(t, c, "echo", echo, "MetadataAgent")
		add(t, c, "broken", []byte("no wasm"), "MetadataAgent")
	})
	var list struct {
		V       int
		Plugins []struct{ ID, State, Error string }
	}
	got := h.ask(request{method: http.MethodGet, path: subjects.HTTPPlugins})
	if err := json.Unmarshal([]byte(got.body), &list); err != nil || list.V != 1 || len(list.Plugins) != 2 ||
		list.Plugins[0].ID != "broken" || list.Plugins[0].State != "failed" || list.Plugins[1].ID != "echo" || list.Plugins[1].State != "ready" {
		t.Errorf("%v: %s", err, got.body)
	}
	var one struct {
		V        int
		ID       string
		Replicas []subjects.PluginInfo
	}
	got = h.ask(request{method: http.MethodGet, path: subjects.HTTPPlugins + "/echo"})
	if err := json.Unmarshal([]byte(got.body), &one); err != nil || one.ID != "echo" || len(one.Replicas) != 1 || one.Replicas[0].Plugin.State != subjects.StateReady {
		t.Errorf("%v: %s", err, got.body)
	}
}
