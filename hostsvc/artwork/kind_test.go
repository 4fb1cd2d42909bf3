package artwork_test

import (
	"testing"

	"github.com/pluginhost/pluginhost/hostsvc/artwork"
)

func TestCoverIDsAreThoseOfNavidrome(t *testing.T) {
	t.Parallel()
	for image, want := range map[artwork.Artwork]string{
		{Kind: artwork.Artist, ID: "1"}:          "ar-1_0",
		{Kind: artwork.Album, ID: "1", Size: 10}: "al-1_0",
		{Kind: artwork.Track, ID: "1"}:           "mf-1_0",
		{Kind: artwork.Track}:                    "",
		{Kind: "playlist", ID: "1"}:              "",
		{}:                                       "",
	} {
		if got := image.CoverID(); got != want {
			t.Errorf("%+v: got %q, want %q", image, got, want)
		}
	}
}
