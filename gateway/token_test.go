package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

// everywhere are requests to all that a gateway has.
func everywhere(id string) []request {
	return []request{
		{path: path(id, biography), kind: asJSON, body: "{}"},
		{path: subjects.HTTPAgents + "/" + biography, kind: asJSON, body: "{}"},
		{path: subjects.HTTPScrobbles, kind: asJSON, body: play("joe")},
		{path: subjects.HTTPScrobbles + "/" + id, kind: asJSON, body: play("joe")},
		{path: subjects.HTTPNowPlaying, kind: asJSON, body: playing("joe")},
		{path: subjects.HTTPNowPlaying + "/" + id, kind: asJSON, body: playing("joe")},
		{method: http.MethodGet, path: subjects.HTTPPlugins},
		{method: http.MethodGet, path: subjects.HTTPPlugins + "/" + id},
		{method: http.MethodGet, path: subjects.HTTPOpenAPI},
	}
}

func play(user string) string {
	return `{"username":"` + user + `","track":{"name":"Sinnerman","artists":[{"name":"Nina Simone"}]},"timestamp":"1795977473"}`
}

func playing(user string) string {
	return `{"username":"` + user + `","track":{"name":"Sinnerman","artists":[{"name":"Nina Simone"}]}}`
}

func TestNothingButHealthAnswersWithoutAToken(t *testing.T) {
	t.Parallel()
	h := open(t, func(c *config.Config) { add(t, c, "echo", echo, "MetadataAgent", "Scrobbler") })
	for _, r := range append(everywhere("echo"), request{path: "/"}, request{path: "/metrics", method: http.MethodGet}, request{path: "/v1/nothing"}) {
		for _, token := range []string{"none", "ph_" + strings.Repeat("a", 52), "x"} {
			r.token = token
			if token == "none" {
				h.refuses(r, http.StatusUnauthorized, "unauthorized", "no token")
				continue
			}
			got := h.ask(r)
			if name := got.failure(t).Name; got.status != http.StatusUnauthorized && name != "overloaded" || got.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s %s with a token that is not known: %d %s", r.method, r.path, got.status, got.body)
			}
		}
	}
	for _, path := range []string{"/livez", "/readyz"} {
		if got := h.ask(request{method: http.MethodGet, path: path, token: "none"}); got.status != http.StatusOK || got.body != "ok\n" {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	for name, value := range map[string]string{"another scheme": "Basic " + h.token, "the token alone": h.token, "nothing": ""} {
		got := h.ask(request{method: http.MethodGet, path: subjects.HTTPPlugins, token: "none", header: map[string]string{"Authorization": value}})
		if got.status != http.StatusUnauthorized || got.header.Get("Www-Authenticate") == "" {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
}

func TestATokenIsForItsScopesOnly(t *testing.T) {
	t.Parallel()
	h := open(t, func(c *config.Config) {
		add(t, c, "echo", guests.Handmade{Body: guests.Echo, Capabilities: []string{"MetadataAgent", "Scrobbler"}}.Bytes(), "MetadataAgent", "Scrobbler")
		c.HTTP.Token = "0123456789-operators"
	})
	allowed := map[subjects.AccessScope]string{
		subjects.ScopeCall: "100000001", subjects.ScopeScrobble: "001111001", subjects.ScopeView: "000000111", subjects.ScopeAdmin: "000000111",
	}
	allowed[subjects.ScopeCall] = "110000001"
	for scope, want := range allowed {
		token := h.newToken(subjects.AccessTokenGrant{Scopes: []subjects.AccessScope{scope}})
		for i, r := range everywhere("echo") {
			r.token = token
			if got := h.ask(r); (got.status == http.StatusForbidden) != (want[i] == '0') || got.status >= 400 && got.failure(t).Name != "forbidden" && got.failure(t).Name != "plugin:not_found" {
				t.Errorf("%s: %s %s: %d %s", scope, r.method, r.path, got.status, got.body)
			}
		}
	}
	for _, r := range everywhere("echo") {
		r.token = "0123456789-operators"
		if got := h.ask(r); got.status >= 400 && got.failure(t).Name != "plugin:not_found" {
			t.Errorf("that of the configuration: %s %s: %d %s", r.method, r.path, got.status, got.body)
		}
	}
}

func TestATokenOfAPluginIsForNoOther(t *testing.T) {
	t.Parallel()
	h := open(t, func(c *config.Config) {
		add(t, c, "mine", echo, "MetadataAgent")
		add(t, c, "other", echo, "MetadataAgent")
	})
	token := h.newToken(subjects.AccessTokenGrant{Plugin: "mine", Scopes: []subjects.AccessScope{subjects.ScopeCall, subjects.ScopeScrobble, subjects.ScopeView}})
	for _, r := range everywhere("other") {
		r.token = token
		switch r.path {
		case subjects.HTTPPlugins:
			if got := h.ask(r); got.status != http.StatusOK || strings.Contains(got.body, `"other"`) || !strings.Contains(got.body, `"mine"`) {
				t.Errorf("the list: %d %s", got.status, got.body)
			}
		case subjects.HTTPScrobbles, subjects.HTTPNowPlaying, subjects.HTTPOpenAPI:
			if got := h.ask(r); got.status >= 400 { // it goes to the plugin of the token
				t.Errorf("%s: %d %s", r.path, got.status, got.body)
			}
		default:
			h.refuses(r, http.StatusForbidden, "forbidden", "for plugin mine only")
		}
	}
	if got := h.ask(request{path: path("mine", biography), token: token, kind: asJSON, body: `{"id":"x"}`}); got.status != http.StatusOK {
		t.Errorf("its own: %d %s", got.status, got.body)
	}
}

func TestATokenOfAUserIsAboutNobodyElse(t *testing.T) {
	t.Parallel()
	h := open(t, func(c *config.Config) { add(t, c, "probe", guests.Wasm(t, guests.Probe), "MetadataAgent", "Scrobbler") })
	token := h.newToken(subjects.AccessTokenGrant{User: "Joe", UserID: "u1", Scopes: []subjects.AccessScope{subjects.ScopeCall, subjects.ScopeScrobble}})
	message := func(m interface{ MarshalVT() ([]byte, error) }) string {
		body, err := m.MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	asked := func(id, name string) string {
		return message(&api.ScrobblerIsAuthorizedRequest{UserId: id, Username: name})
	}
	for _, c := range []struct {
		name, kind, body string
		is               bool // about the user
	}{
		{"by name", asJSON, `{"username":"joe"}`, true},
		{"by id", asJSON, `{"userId":"u1"}`, true},
		{"of nobody", asJSON, `{}`, true},
		{"another name", asJSON, `{"username":"ann"}`, false},
		{"another id", asJSON, `{"userId":"u2"}`, false},
		{"another id, as the contract writes it", asJSON, `{"user_id":"u2"}`, false},
		{"both ids", asJSON, `{"userId":"u1","user_id":"u2"}`, false},
		{"a name in escapes", asJSON, `{"\u0075sername":"a\u006en"}`, false},
		{"protobuf", protobuf, asked("u1", "JOE"), true},
		{"another name in protobuf", protobuf, asked("u1", "ann"), false},
		{"twice, the last is another", protobuf, asked("u1", "joe") + asked("", "ann"), false},
		{"twice, the first is another", protobuf, asked("u2", "") + asked("u1", "joe"), false},
		{"no protobuf", protobuf, "\xff\xff", false},
		{"JSON that calls itself protobuf", protobuf, `{"username":"ann"}`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := h.ask(request{path: path("probe", "is_authorized"), token: token, kind: c.kind, body: c.body})
			switch {
			case c.is && got.status >= 400 && got.failure(t).Name != "plugin_error":
				t.Errorf("refused: %d %s", got.status, got.body)
			case !c.is && got.status != http.StatusForbidden && got.status != http.StatusBadRequest:
				t.Errorf("taken: %d %s", got.status, got.body)
			}
		})
	}
	kate := h.newToken(subjects.AccessTokenGrant{User: "kate", Scopes: []subjects.AccessScope{subjects.ScopeCall}})
	h.refuses(request{path: path("probe", "is_authorized"), token: kate, kind: asJSON, body: `{"username":"\u212aate"}`}, 403, "forbidden", "about another one") // a Kelvin sign
	h.refuses(request{path: subjects.HTTPScrobbles, token: token, kind: asJSON, body: play("ann")}, 403, "forbidden", "about another one")
	h.refuses(request{path: subjects.HTTPNowPlaying, token: token, kind: asJSON, body: playing("ann")}, 403, "forbidden", "about another one")
	h.refuses(request{path: path("probe", "scrobble"), token: token, kind: asJSON, body: play("ann")}, 403, "forbidden", "about another one")
}

func TestNamesThatTheGatewayDoesNotGoByAreRefused(t *testing.T) {
	t.Parallel()
	h := open(t, func(c *config.Config) { c.HTTP.Hosts = []string{"plugins.example.test", "*.lan.test"} })
	for host, taken := range map[string]bool{
		"127.0.0.1": true, "127.0.0.1:8080": true, "[::1]:8080": true, "localhost": true, "LOCALHOST:8080": true, "replica-1": true,
		"plugins.example.test": true, "Plugins.Example.Test.:443": true, "a.lan.test": true, "b.a.lan.test": true,
		"example.test": false, "x.example.test": false, "lan.test": false, "evil.test": false, "evil.test:8080": false, "127.0.0.1.evil.test": false,
	} {
		got := h.ask(request{method: http.MethodGet, path: subjects.HTTPPlugins, header: map[string]string{"Host": host}})
		if (got.status == http.StatusOK) != taken || !taken && got.failure(t).Name != "misdirected" {
			t.Errorf("%s: %d %s", host, got.status, got.body)
		}
		if ready := h.ask(request{method: http.MethodGet, path: "/readyz", token: "none", header: map[string]string{"Host": host}}); ready.status != http.StatusOK {
			t.Errorf("health as %s: %d", host, ready.status)
		}
	}
}
