package client_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/testenv/playlog"
)

// following hosts plugins with MetadataAgent, handmade with these bodies, and follows them.
func following(t *testing.T, bodies map[string][]byte) (*client.Client, *client.FollowedPlugins) {
	t.Helper()
	url, folder := testenv.NATS(t), t.TempDir()
	for id, body := range bodies {
		wasm := guests.Handmade{Body: body}.Bytes()
		if body == nil {
			wasm = []byte("no wasm")
		}
		testenv.AddPlugin(t, folder, id, testenv.Manifest(nil, plugin.MetadataAgent), wasm)
	}
	return follow(t, testenv.Config(t, url, folder))
}

func follow(t *testing.T, settings config.Config) (*client.Client, *client.FollowedPlugins) {
	t.Helper()
	testenv.Start(t, settings, nil)
	c := client.New(testenv.Connect(t, settings.NATS.URL))
	plugins, err := c.FollowPlugins(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(plugins.Stop)
	return c, plugins
}

func TestASetAsksInItsOrder(t *testing.T) {
	t.Parallel()
	c, plugins := following(t, map[string][]byte{"a": guests.Empty, "b": guests.Echo, "c": guests.Echo, "broken": nil})
	for name, k := range map[string]struct {
		order client.AgentOrder
		want  string
		err   error
	}{
		"by id":                       {client.AgentOrder{}, "b", nil},
		"some first":                  {client.AgentOrder{Order: []string{"c", "a"}}, "c", nil},
		"an empty one first":          {client.AgentOrder{Order: []string{"a", "c"}}, "c", nil},
		"one twice":                   {client.AgentOrder{Order: []string{"a", "a", "c"}}, "c", nil},
		"one that is not there first": {client.AgentOrder{Order: []string{"gone", "c"}}, "c", nil},
		"only one":                    {client.AgentOrder{Order: []string{"a"}, Only: true}, "", api.ErrNotFound},
		"only one that is not there":  {client.AgentOrder{Order: []string{"gone"}, Only: true}, "", subjects.ErrUnavailable},
		"only one that is broken":     {client.AgentOrder{Order: []string{"broken"}, Only: true}, "", subjects.ErrUnavailable},
		"nobody":                      {client.AgentOrder{Only: true}, "", subjects.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			set := c.AgentSet(plugins, client.AgentOrder{})
			set.SetOrder(k.order)
			answer, err := set.Ask(t.Context(), "get_artist_biography", []byte("\x0a\x01x"))
			if answer.Plugin != k.want || !errors.Is(err, k.err) {
				t.Errorf("%q, %v, want %q, %v", answer.Plugin, err, k.want, k.err)
			}
		})
	}
}

func TestASetIsAMetadataAgent(t *testing.T) {
	t.Parallel()
	url, folder := testenv.NATS(t), t.TempDir()
	testenv.AddPlugin(t, folder, "probe", testenv.Manifest(nil, plugin.MetadataAgent, plugin.Scrobbler), guests.Wasm(t, guests.Probe))
	c, plugins := follow(t, testenv.Config(t, url, folder))
	set, ctx := c.AgentSet(plugins, client.AgentOrder{}), t.Context()
	for name, k := range map[string]struct {
		call func() (any, error)
		err  error
	}{
		"mbid":         {func() (any, error) { return set.GetArtistMBID(ctx, &api.ArtistMBIDRequest{Name: "x"}) }, nil},
		"no mbid":      {func() (any, error) { return set.GetArtistMBID(ctx, &api.ArtistMBIDRequest{}) }, api.ErrNotFound},
		"address":      {func() (any, error) { return set.GetArtistURL(ctx, &api.ArtistURLRequest{Name: "x"}) }, subjects.ErrUnavailable},
		"biography":    {func() (any, error) { return set.GetArtistBiography(ctx, &api.ArtistBiographyRequest{Name: "x"}) }, nil},
		"similar":      {func() (any, error) { return set.GetSimilarArtists(ctx, &api.ArtistSimilarRequest{Limit: 2}) }, nil},
		"none similar": {func() (any, error) { return set.GetSimilarArtists(ctx, &api.ArtistSimilarRequest{}) }, api.ErrNotFound},
		"images":       {func() (any, error) { return set.GetArtistImages(ctx, &api.ArtistImageRequest{}) }, nil},
		"top songs":    {func() (any, error) { return set.GetArtistTopSongs(ctx, &api.ArtistTopSongsRequest{}) }, api.ErrNotImplemented},
		"album":        {func() (any, error) { return set.GetAlbumInfo(ctx, &api.AlbumInfoRequest{Name: "n", Artist: "a"}) }, nil},
		"no album":     {func() (any, error) { return set.GetAlbumInfo(ctx, &api.AlbumInfoRequest{}) }, api.ErrNotFound},
		"covers":       {func() (any, error) { return set.GetAlbumImages(ctx, &api.AlbumImagesRequest{}) }, api.ErrNotImplemented},
	} {
		if _, err := k.call(); !errors.Is(err, k.err) {
			t.Errorf("%s: %v, want %v", name, err, k.err)
		}
	}
	if _, err := set.Ask(ctx, "scrobble", nil); !errors.Is(err, subjects.ErrBadRequest) {
		t.Errorf("a method of another capability: %v", err)
	}
}

func TestASlowPluginLeavesTimeToTheOthersAndIsSoonLeftAlone(t *testing.T) {
	t.Parallel()
	c, plugins := following(t, map[string][]byte{"a-loops": guests.Loop, "b": guests.Echo})
	set := c.AgentSet(plugins, client.AgentOrder{})
	ask := func(request string) (client.AgentAnswer, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		return set.Ask(ctx, "get_artist_biography", []byte(request))
	}
	for range 3 {
		if answer, err := ask("\x0a\x01x"); err != nil || answer.Plugin != "b" {
			t.Fatalf("%+v, %v", answer, err)
		}
	}
	if _, err := ask(""); !errors.Is(err, subjects.ErrUnavailable) || !strings.Contains(err.Error(), "a-loops has failed again and again") {
		t.Errorf("after three times: %v", err)
	}
}

func TestASetOfAConnectionThatIsClosedSaysSoAtOnce(t *testing.T) {
	t.Parallel()
	conn := testenv.Connect(t, testenv.NATS(t))
	c := client.New(conn)
	plugins, err := c.FollowPlugins(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(plugins.Stop)
	set := c.AgentSet(plugins, client.AgentOrder{})
	conn.Close()
	if _, err := set.GetArtistURL(t.Context(), &api.ArtistURLRequest{}); !errors.Is(err, subjects.ErrUnavailable) || !strings.Contains(err.Error(), "nothing was sent") {
		t.Errorf("got %v", err)
	}
}

func TestASetOfScrobblersTellsAllOfThem(t *testing.T) {
	t.Parallel()
	url, folder := testenv.NATS(t), t.TempDir()
	settings := testenv.Config(t, url, folder)
	settings.PluginConfig = map[string]map[string]string{}
	services := map[string]*playlog.Service{}
	for _, id := range []string{"one", "two"} {
		services[id] = playlog.Start(t)
		testenv.AddPlugin(t, folder, id, playlog.Manifest(), guests.Wasm(t, guests.Scrobbler))
		settings.PluginConfig[id] = map[string]string{"service": services[id].URL()}
	}
	c, plugins := follow(t, settings)
	set := c.ScrobblerSet(plugins)
	t.Cleanup(set.Stop)
	joe, track := client.User{Name: "joe"}, &api.TrackInfo{Name: "Sinnerman"}
	if authorized, err := set.IsAuthorized(t.Context(), joe); err != nil || !authorized {
		t.Errorf("authorised: %t, %v", authorized, err)
	}
	set.NowPlaying(joe, track, time.Now())
	if err := set.Submit(t.Context(), joe, track, time.Unix(1_700_000_000, 0)); err != nil {
		t.Fatal(err)
	}
	for id, service := range services {
		service.Await(t, id+" is told both", func(plays []playlog.Play) bool {
			kinds := map[string]bool{}
			for _, p := range plays {
				kinds[p.Kind] = kinds[p.Kind] || p.User == "joe"
			}
			return kinds["playing"] && kinds["play"]
		})
	}
}
