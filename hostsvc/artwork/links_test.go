package artwork_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/hostsvc/artwork"
)

func TestLinksBeginWithTheShareURL(t *testing.T) {
	t.Parallel()
	signer := newSigner(t, 1)
	token := signer.Sign(artwork.Artwork{Kind: artwork.Album, ID: "456", Size: 300})
	for share, want := range map[string]string{
		"":                                      "http://localhost/artwork/",
		"https://music.example.com":             "https://music.example.com/artwork/",
		"https://music.example.com/":            "https://music.example.com/artwork/",
		"http://music.example.com:8080/a/b//":   "http://music.example.com:8080/a/b/artwork/",
		"https://music.example.com/a%2Fb":       "https://music.example.com/a%2Fb/artwork/",
		"https://joe:x@music.example.com/?a=b#": "https://music.example.com/artwork/",
	} {
		var base *url.URL
		if share != "" {
			var err error
			if base, err = url.Parse(share); err != nil {
				t.Fatal(err)
			}
		}
		got, err := artwork.NewLinks(signer, base).URL(t.Context(), artwork.Album, "456", 300)
		if err != nil || got != want+token {
			t.Errorf("%q: got %s, error %v; want %s", share, got, err, want+token)
		}
	}
}

func TestLinksRefuseWhatNoTokenCanSay(t *testing.T) {
	t.Parallel()
	links := artwork.NewLinks(newSigner(t, 1), nil)
	if got, err := links.URL(t.Context(), "playlist", "1", 0); err == nil {
		t.Errorf("an unknown kind: got %s", got)
	}
	if got, err := links.URL(t.Context(), artwork.Album, strings.Repeat("x", 513), 0); err == nil {
		t.Errorf("a long id: got %s", got)
	}
}
