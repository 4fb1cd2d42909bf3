package main

import (
	"context"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/api/host/config"
)

type entries map[string]string

func (e entries) GetPluginConfig(context.Context, *config.GetPluginConfigRequest) (*config.GetPluginConfigResponse, error) {
	return &config.GetPluginConfigResponse{Config: e}, nil
}

func TestTracksEndWhenTheyHaveBeenPlayed(t *testing.T) {
	now := time.Unix(1700000000, 0)
	for _, test := range []struct {
		name             string
		length, position int32
		starts, ends     int64 // from now
	}{
		{"from the beginning", 600, 0, 0, 600},
		{"from the middle", 600, 200, -200, 400},
		{"beyond the end", 600, 700, -700, 0},
		{"of unknown length", 0, 0, 0, unknownSeconds},
		{"without an end in sight", 1 << 30, 0, 0, maxSeconds},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := newTrack(&api.TrackInfo{Name: "Sinnerman", Length: test.length, Position: test.position}, now)
			if got.Starts-now.Unix() != test.starts || got.Ends-now.Unix() != test.ends {
				t.Errorf("got %d to %d, want %d to %d", got.Starts-now.Unix(), got.Ends-now.Unix(), test.starts, test.ends)
			}
		})
	}
}

func TestUsersAreKnownByNameOrID(t *testing.T) {
	p := &presence{config: entries{"token_joe": "sesame", "token_x1y": "thyme", "token_": "no"}}
	for _, test := range []struct {
		name, id, username, account string
	}{
		{"by the name in any case", "a", "Joe", "joe"},
		{"by the id, without a name", "X1y", "", "x1y"},
		{"by neither", "a", "ann", ""},
		{"without both", "", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			settings, err := p.settings(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got, known := settings.account(test.id, test.username); got != test.account || known != (test.account != "") {
				t.Errorf("got %q, %v", got, known)
			}
			answer, err := p.IsAuthorized(t.Context(), &api.ScrobblerIsAuthorizedRequest{UserId: test.id, Username: test.username})
			if err != nil || answer.Authorized != (test.account != "") {
				t.Errorf("authorized: got %v, %v", answer, err)
			}
		})
	}
}
