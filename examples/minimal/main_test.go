package main

import (
	"context"
	"errors"
	"testing"

	"github.com/pluginhost/pluginhost/sdk/api"
)

func TestArtistURLIsMadeOfTheMusicBrainzID(t *testing.T) {
	response, err := agent{}.GetArtistURL(context.Background(), &api.ArtistURLRequest{Name: "Nina Simone", Mbid: "29/44"})
	if err != nil {
		t.Fatal(err)
	}
	if want := "https://musicbrainz.org/artist/29%2F44"; response.Url != want {
		t.Errorf("got %q, want %q", response.Url, want)
	}
}

func TestArtistWithoutMusicBrainzIDIsNotFound(t *testing.T) {
	if _, err := (agent{}).GetArtistURL(context.Background(), &api.ArtistURLRequest{Name: "Nina Simone"}); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("got %v, want %v", err, api.ErrNotFound)
	}
}
