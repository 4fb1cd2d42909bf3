package gateway_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/testenv/playlog"
)

// scrobbling opens a house with plugins that each tell a service of their own what they are told.
func scrobbling(t *testing.T, ids ...string) (*house, map[string]*playlog.Service) {
	t.Helper()
	services := map[string]*playlog.Service{}
	return open(t, func(c *config.Config) {
		c.PluginConfig = map[string]map[string]string{}
		for _, id := range ids {
			services[id] = playlog.Start(t)
			testenv.AddPlugin(t, c.Plugins.Folder, id, playlog.Manifest(), guests.Wasm(t, guests.Scrobbler))
			c.PluginConfig[id] = map[string]string{"service": services[id].URL()}
		}
	}), services
}

// await waits until a service was told of so many plays of a kind, and returns them.
func await(t *testing.T, service *playlog.Service, kind string, n int) (told []playlog.Play) {
	t.Helper()
	service.Await(t, "it is told", func(plays []playlog.Play) bool {
		told = nil
		for _, p := range plays {
			if p.Kind == kind {
				told = append(told, p)
			}
		}
		return len(told) >= n
	})
	return told
}

func TestAPlayIsSafeOnceItIsAnswered(t *testing.T) {
	t.Parallel()
	h, services := scrobbling(t, "one", "two")
	for range 3 { // the same play is taken once
		if got := h.ask(request{path: subjects.HTTPScrobbles, kind: asJSON, body: play("joe")}); got.status != http.StatusAccepted || got.body != `{"v":1}` {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	if got := h.ask(request{path: subjects.HTTPScrobbles, kind: asJSON, body: play("ann")}); got.status != http.StatusAccepted {
		t.Fatalf("%d %s", got.status, got.body)
	}
	for id, service := range services {
		users := []string{}
		for _, p := range await(t, service, "play", 2) {
			users = append(users, p.User+" "+p.Track)
		}
		slices.Sort(users)
		if !slices.Equal(users, []string{"ann Sinnerman", "joe Sinnerman"}) {
			t.Errorf("%s was told of %q", id, users)
		}
	}
}

func TestAPlayGoesToOnePlugin(t *testing.T) {
	t.Parallel()
	h, services := scrobbling(t, "one", "two")
	token := h.newToken(subjects.AccessTokenGrant{User: "Ann", Plugin: "two", Scopes: []subjects.AccessScope{subjects.ScopeScrobble}})
	for _, r := range []request{
		{path: subjects.HTTPScrobbles + "/one", kind: asJSON, body: play("joe")},
		{path: subjects.HTTPScrobbles, kind: asJSON, body: play(""), token: token},
	} {
		if got := h.ask(r); got.status != http.StatusAccepted {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	for id, user := range map[string]string{"one": "joe", "two": "Ann"} {
		if told := await(t, services[id], "play", 1); len(told) != 1 || told[0].User != user {
			t.Errorf("%s was told of %+v", id, told)
		}
	}
}

func TestWhatIsPlayedNowIsToldToAllOrOne(t *testing.T) {
	t.Parallel()
	h, services := scrobbling(t, "one", "two")
	for _, r := range []request{
		{path: subjects.HTTPNowPlaying, kind: asJSON, body: playing("joe")},
		{path: subjects.HTTPNowPlaying + "/two", kind: asJSON, body: playing("ann")},
	} {
		if got := h.ask(r); got.status != http.StatusNoContent || got.body != "" {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	if told := await(t, services["one"], "playing", 1); len(told) != 1 || told[0].User != "joe" || told[0].Second == 0 {
		t.Errorf("one was told of %+v", told)
	}
	if told := await(t, services["two"], "playing", 2); len(told) != 2 {
		t.Errorf("two was told of %+v", told)
	}
}

func TestWhatIsNoPlayIsRefused(t *testing.T) {
	t.Parallel()
	h := open(t, func(*config.Config) {})
	for name, c := range map[string]struct{ path, body, says string }{
		"of nobody":             {subjects.HTTPScrobbles, play(""), "a play needs a user"},
		"without a track":       {subjects.HTTPScrobbles, `{"username":"joe","timestamp":"1795977473"}`, "a track with a name"},
		"without a time":        {subjects.HTTPScrobbles, playing("joe"), "the time when it was played"},
		"no JSON":               {subjects.HTTPScrobbles, `{"username":`, "ScrobblerScrobbleRequest"},
		"an unknown field":      {subjects.HTTPScrobbles, `{"user":"joe"}`, "a play needs a user"},
		"played now by nobody":  {subjects.HTTPNowPlaying, playing(""), "it needs a user"},
		"nothing is played now": {subjects.HTTPNowPlaying, `{"username":"joe"}`, "a track with a name"},
	} {
		t.Run(name, func(*testing.T) {
			h.refuses(request{path: c.path, kind: asJSON, body: c.body}, http.StatusBadRequest, "bad_request", c.says)
		})
	}
}

func TestAPlayOfALaterVersionIsTaken(t *testing.T) {
	t.Parallel()
	h, services := scrobbling(t, "one")
	body := `{"username":"joe","track":{"name":"Sinnerman","mood":"blue"},"timestamp":"1795977473","player":{"name":"x"}}`
	if got := h.ask(request{path: subjects.HTTPScrobbles, kind: asJSON, body: body}); got.status != http.StatusAccepted {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if told := await(t, services["one"], "play", 1); told[0].Track != "Sinnerman" {
		t.Errorf("told: %+v", told)
	}
}
