package client_test

import (
	"errors"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
)

// What a music server does with package client, from the first to the last: read it first.
func TestAMusicServerUsesItsPlugins(t *testing.T) {
	plugins := client.New(host(t)) // on its connection to NATS
	ctx := t.Context()

	// It asks who can tell of artists; some replica answers for each.
	agents, err := plugins.Plugins(ctx, "MetadataAgent")
	if err != nil || len(agents) != 2 || agents[1].ID != "probe" {
		t.Fatalf("found %+v, %v", agents, err)
	}

	// A plugin is called by the interface that it implements.
	answer, err := plugins.MetadataAgent("probe").GetArtistBiography(ctx, &api.ArtistBiographyRequest{Name: "Nina Simone"})
	if err != nil || answer.Biography != "biography of Nina Simone" {
		t.Errorf("answered %v, %v", answer, err)
	}
	// One that knows nothing, or offers no such method, says so: the server asks the next one.
	if _, err := plugins.MetadataAgent("probe").GetAlbumInfo(ctx, &api.AlbumInfoRequest{}); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("an unknown album is %v", err)
	}

	// A scrobble has the user's id and name.
	joe, track := client.User{ID: "1", Name: "joe"}, &api.TrackInfo{Id: "t1"}
	if err := plugins.Scrobbler("probe").Scrobble(ctx, joe, track, time.Now()); err != nil {
		t.Error(err)
	}
	// If it fails, the failure says whether it may have been recorded: this one is kept and sent again.
	err = plugins.Scrobbler("broken").Scrobble(ctx, joe, track, time.Now())
	var failure *subjects.Error
	if !errors.As(err, &failure) || failure.Code() != 503 || !failure.NothingRan() {
		t.Errorf("a plugin that does not load fails with %v", err)
	}

	// A person at a terminal sends JSON.
	text, err := plugins.CallJSON(ctx, "probe", "get_artist_mbid", []byte(`{"name": "Nina Simone"}`), 0)
	if err != nil || string(text) != `{"mbid":"mbid of Nina Simone"}` {
		t.Errorf("answered %s, %v", text, err)
	}
}
