package artwork_test

import (
	"context"
	"errors"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/hostsvc/artwork"
	api "github.com/pluginhost/pluginhost/sdk/api/host/artwork"
)

func TestTheServiceAnswersWithAnAddressOfTheImage(t *testing.T) {
	t.Parallel()
	signer := newSigner(t, 1)
	share, err := url.Parse("https://music.example.com/nd/")
	if err != nil {
		t.Fatal(err)
	}
	service := artwork.New(artwork.NewLinks(signer, share))
	for _, test := range []struct {
		get     func(context.Context, *api.GetArtworkUrlRequest) (*api.GetArtworkUrlResponse, error)
		request *api.GetArtworkUrlRequest
		want    artwork.Artwork
	}{
		{service.GetArtistUrl, &api.GetArtworkUrlRequest{Id: "x"}, artwork.Artwork{Kind: artwork.Artist, ID: "x"}},
		{service.GetAlbumUrl, &api.GetArtworkUrlRequest{Id: "x", Size: 300}, artwork.Artwork{Kind: artwork.Album, ID: "x", Size: 300}},
		{service.GetTrackUrl, &api.GetArtworkUrlRequest{Id: "x", Size: -1}, artwork.Artwork{Kind: artwork.Track, ID: "x"}},
		{service.GetTrackUrl, &api.GetArtworkUrlRequest{Id: "x", Size: 1<<31 - 1}, artwork.Artwork{Kind: artwork.Track, ID: "x", Size: 1<<31 - 1}},
		{service.GetAlbumUrl, &api.GetArtworkUrlRequest{Id: strings.Repeat("x", 512)}, artwork.Artwork{Kind: artwork.Album, ID: strings.Repeat("x", 512)}},
		{service.GetAlbumUrl, &api.GetArtworkUrlRequest{}, artwork.Artwork{Kind: artwork.Album}},
		{service.GetAlbumUrl, nil, artwork.Artwork{Kind: artwork.Album}},
	} {
		response, err := test.get(t.Context(), test.request)
		if err != nil {
			t.Errorf("%+v: %v", test.want, err)
			continue
		}
		if !strings.HasPrefix(response.Url, "https://music.example.com/nd/artwork/") {
			t.Errorf("got %s", response.Url)
		}
		if got, err := signer.Verify(path.Base(response.Url)); err != nil || got != test.want {
			t.Errorf("got %+v, error %v; want %+v", got, err, test.want)
		}
	}
}

// addresses is an Addresses that fails.
type addresses struct{ err error }

func (a addresses) URL(context.Context, artwork.Kind, string, int) (string, error) { return "", a.err }

func TestTheServiceReportsWhatMakesNoAddress(t *testing.T) {
	t.Parallel()
	away := errors.New("nobody answers")
	service := artwork.New(addresses{away})
	if _, err := service.GetAlbumUrl(t.Context(), &api.GetArtworkUrlRequest{Id: "x"}); !errors.Is(err, away) {
		t.Errorf("got %v", err)
	}
	_, err := service.GetTrackUrl(t.Context(), &api.GetArtworkUrlRequest{Id: strings.Repeat("x", 513)})
	if errors.Is(err, away) || err == nil || !strings.Contains(err.Error(), "513 bytes is over the limit of 512") {
		t.Errorf("a long id: got %v", err)
	}
}
