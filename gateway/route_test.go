package gateway

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/subjects"
)

func TestPathsLeadToPlaces(t *testing.T) {
	for path, want := range map[string]place{
		"/v1/openapi.json":                        {what: toOpenAPI},
		"/v1/plugins":                             {what: toPlugins},
		"/v1/plugins/a":                           {what: toPlugin, plugin: "a"},
		"/v1/plugins/a%2Fb/get_artist_url":        {what: toCall, plugin: "a/b", name: "get_artist_url"},
		"/v1/plugins/%2E%2E/get_artist_url":       {what: toCall, plugin: "..", name: "get_artist_url"},
		"/v1/agents/get_artist_url":               {what: toAgents, name: "get_artist_url"},
		"/v1/scrobbles":                           {what: toScrobbles},
		"/v1/scrobbles/a%20b":                     {what: toScrobbles, plugin: "a b"},
		"/v1/now-playing":                         {what: toNowPlaying},
		"/v1/%6Eow-playing/a":                     {what: toNowPlaying, plugin: "a"},
		"/v1/plugins/" + strings.Repeat("x", 255): {what: toPlugin, plugin: strings.Repeat("x", 255)},
	} {
		if got, err := route(path); err != nil || got != want {
			t.Errorf("%s: %+v, %v", path, got, err)
		}
	}
}

// A path that leads to a plugin leads to it only as it is written with all its escapes, and to a method that is named.
func FuzzRoute(f *testing.F) {
	for _, path := range []string{"/v1/plugins/a/get_artist_url", "/v1/plugins/a%2Fb", "/v1/agents/x", "/v1/scrobbles/%", "//v1/plugins", "/v1/now-playing/%00", "*", ""} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		at, err := route(path)
		if err != nil {
			if at != (place{}) {
				t.Errorf("%q: %+v beside %v", path, at, err)
			}
			return
		}
		if len(at.plugin) > subjects.MaxID || !strings.HasPrefix(path, "/v1/") {
			t.Errorf("%q leads to %+v", path, at)
		}
		var again string
		switch at.what {
		case toCall:
			again = subjects.HTTPPlugins + "/" + url.PathEscape(at.plugin) + "/" + url.PathEscape(at.name)
		case toPlugin:
			again = subjects.HTTPPlugins + "/" + url.PathEscape(at.plugin)
		default:
			return
		}
		if same, err := route(again); err != nil || same != at {
			t.Errorf("%q leads to %+v, and %q to %+v, %v", path, at, again, same, err)
		}
	})
}

// Whatever a request for a token of a user is, a plugin that decodes it reads nobody else out of it.
func FuzzUser(f *testing.F) {
	method, err := methodOf("is_authorized")
	if err != nil {
		f.Fatal(err)
	}
	grant := subjects.AccessTokenGrant{User: "joe", UserID: "u1"}
	for _, request := range []*api.ScrobblerIsAuthorizedRequest{{}, {Username: "Joe", UserId: "u1"}, {Username: "ann"}, {UserId: "u2"}} {
		body, err := request.MarshalVT()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body, false)
		f.Add(append(slices.Clone(body), body...), false)
	}
	f.Add([]byte(`{"username":"ann"}`), false)
	f.Add([]byte(`{"username":"joe","user_id":"u1"}`), true)
	f.Add([]byte("{\x0a\x01x|"), false)
	f.Fuzz(func(t *testing.T, body []byte, isJSON bool) {
		is := content{JSON: isJSON}
		if is.check(body) != nil || checkUser(grant, method, is, body) != nil {
			return
		}
		// As a replica takes it.
		if isJSON || len(body) > 0 && body[0] == '{' {
			if body, err = method.RequestFromJSON(body); err != nil {
				return
			}
		}
		var read api.ScrobblerIsAuthorizedRequest
		if read.UnmarshalVT(body) != nil {
			return
		}
		if read.Username != "" && !strings.EqualFold(read.Username, grant.User) || read.UserId != "" && read.UserId != grant.UserID {
			t.Errorf("%q: %+v", body, &read)
		}
	})
}
