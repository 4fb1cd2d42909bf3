package bridge060_test

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/bridges/extismhost"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/testenv/playlog"
)

// house is a replica whose gateway the bridge is set to.
type house struct {
	bridge   *bridge
	url      string
	client   *client.Client // of an operator
	services map[string]*playlog.Service
}

// openHouse starts a replica with an agent, which answers with the id that it is asked with, and two scrobblers, one and two.
func openHouse(t *testing.T, b *bridge) *house {
	t.Helper()
	h := &house{bridge: b, services: map[string]*playlog.Service{}}
	// The guests are compiled in the workspace, which this module is not part of.
	t.Setenv("GOWORK", filepath.Join(guests.Root(), "go.work"))
	nats := testenv.NATS(t)
	settings := testenv.Config(t, nats, t.TempDir())
	settings.HTTP.Listen = "127.0.0.1:0"
	settings.PluginConfig = map[string]map[string]string{}
	testenv.AddPlugin(t, settings.Plugins.Folder, "echo", testenv.Manifest(nil, "MetadataAgent"), guests.Handmade{Body: guests.Echo}.Bytes())
	for _, id := range []string{"one", "two"} {
		h.services[id] = playlog.Start(t)
		testenv.AddPlugin(t, settings.Plugins.Folder, id, playlog.Manifest(), guests.Wasm(t, guests.Scrobbler))
		settings.PluginConfig[id] = map[string]string{"service": h.services[id].URL()}
	}
	h.url = "http://" + testenv.Start(t, settings, nil).HTTPAddress()
	h.client = client.New(testenv.Connect(t, nats))
	return h
}

// load loads the bridge with a new token and with settings over those that it needs.
func (h *house) load(t *testing.T, grant subjects.AccessTokenGrant, others ...string) *extismhost.Plugin {
	t.Helper()
	if grant.Scopes == nil {
		grant.Scopes = []subjects.AccessScope{subjects.ScopeCall, subjects.ScopeScrobble}
	}
	secret, _, err := h.client.CreateAccessToken(t.Context(), grant)
	if err != nil {
		t.Fatal(err)
	}
	return h.bridge.load(t, extismhost.Options{Config: settings(h.url, append([]string{"token", secret}, others...)...)})
}

// TestGateway has the bridge in front of the gateway of a replica.
func TestGateway(t *testing.T) {
	h := openHouse(t, build(t))
	t.Run("an agent answers", func(t *testing.T) { gatewayAnswers(t, h) })
	t.Run("plays arrive once at all plugins, or at one", func(t *testing.T) { gatewayTakesPlays(t, h) })
	t.Run("what is not allowed waits", func(t *testing.T) { gatewayRefuses(t, h) })
}

func gatewayAnswers(t *testing.T, h *house) {
	for _, plugin := range []string{"", "echo"} {
		var got struct{ Biography string }
		err := h.load(t, subjects.AccessTokenGrant{}, "plugin", plugin).Call(t.Context(), biography, json.RawMessage(artist), &got)
		if err != nil || got.Biography != "10PUKkeBTCNZvme6M4c9HD" {
			t.Errorf("of the plugin %q: %+v, %v", plugin, got, err)
		}
		// Without an id it says nothing.
		output, err := h.load(t, subjects.AccessTokenGrant{}, "plugin", plugin).OutputOf(t.Context(), biography, []byte(`{"name":"A"}`))
		if err != nil || len(output) > 0 {
			t.Errorf("of the plugin %q: %s, %v", plugin, output, err)
		}
	}
	err := h.load(t, subjects.AccessTokenGrant{}, "plugin", "one").Call(t.Context(), biography, json.RawMessage(artist), nil)
	if !errors.Is(err, extismhost.ErrNotImplemented) {
		t.Errorf("a plugin that is no agent: %v", err)
	}
	err = h.load(t, subjects.AccessTokenGrant{}, "plugin", "nobody").Call(t.Context(), biography, json.RawMessage(artist), nil)
	if err == nil || errors.Is(err, extismhost.ErrNotImplemented) {
		t.Errorf("a plugin that is not there: %v", err)
	}
}

func gatewayTakesPlays(t *testing.T, h *house) {
	at := time.Now().Unix() - 60
	said := func(user string) json.RawMessage {
		content, err := json.Marshal(map[string]any{"username": user, "track": json.RawMessage(track), "timestamp": at, "position": 12})
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	for range 2 { // Navidrome sends again what it does not know to be taken
		if err := h.load(t, subjects.AccessTokenGrant{}).Call(t.Context(), scrobbles, said("joe"), nil); err != nil {
			t.Fatal(err)
		}
	}
	one := h.load(t, subjects.AccessTokenGrant{}, "plugin", "one")
	if err := one.Call(t.Context(), scrobbles, said("ann"), nil); err != nil {
		t.Fatal(err)
	}
	if err := one.Call(t.Context(), tells, said("joe"), nil); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]map[string]int{"one": {"play joe": 1, "play ann": 1, "playing joe": 1}, "two": {"play joe": 1}} {
		h.services[id].Await(t, id+" is told", func(plays []playlog.Play) bool {
			got := map[string]int{}
			for _, p := range plays {
				if p.Track != "Song" {
					t.Errorf("%s was told of %+v", id, p)
				}
				got[p.Kind+" "+p.User]++
			}
			for what, times := range want {
				if got[what] > times {
					t.Errorf("%s was told of %s %d times", id, what, got[what])
				}
				if got[what] < times {
					return false
				}
			}
			return len(got) == len(want)
		})
	}
}

func gatewayRefuses(t *testing.T, h *house) {
	for name, plugin := range map[string]*extismhost.Plugin{
		"an unknown token":      h.bridge.load(t, extismhost.Options{Config: settings(h.url)}),
		"a token for calls":     h.load(t, subjects.AccessTokenGrant{Scopes: []subjects.AccessScope{subjects.ScopeCall}}),
		"a token of another":    h.load(t, subjects.AccessTokenGrant{User: "joe"}),
		"an address below that": h.bridge.load(t, extismhost.Options{Config: settings(h.url + "/music")}),
	} {
		play := strings.Replace(play, "1700000000", "1790000000", 1)
		checkPlayFailure(t, name, plugin.Call(t.Context(), scrobbles, json.RawMessage(play), nil), extismhost.Kept)
	}
	err := h.load(t, subjects.AccessTokenGrant{}).Call(t.Context(), scrobbles, json.RawMessage(strings.Replace(play, "1700000000", "0", 1)), nil)
	checkPlayFailure(t, "a play without a time", err, extismhost.Discarded)
}
