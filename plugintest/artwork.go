package plugintest

import (
	"context"
	"net/url"

	"github.com/pluginhost/pluginhost/hostsvc/artwork"
)

// SetShareURL sets the public address that images have, such as https://music.example.com.
// Without one their addresses begin with http://localhost, by which a plugin knows that
// nobody else can reach them.
func (h *Host) SetShareURL(address string) {
	h.t.Helper()
	share, err := url.Parse(address)
	if err != nil || share.Scheme != "http" && share.Scheme != "https" || share.Host == "" {
		h.fail("%q is no public address: want one such as https://music.example.com", address)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.share = share
}

// ArtworkURL is the address that the service artwork gives the plugin for an image: of an
// "artist", an "album" or a "track", with Navidrome's id, so many pixels large or, with 0, as
// it is.
func (h *Host) ArtworkURL(kind, id string, size int) string {
	h.t.Helper()
	address, err := addresses{h}.URL(context.Background(), artwork.Kind(kind), id, max(size, 0))
	if err != nil {
		h.fail("artwork: %v", err)
	}
	return address
}

// addresses makes the addresses of images.
type addresses struct{ host *Host }

var _ artwork.Addresses = addresses{}

// URL implements artwork.Addresses.
func (a addresses) URL(ctx context.Context, kind artwork.Kind, id string, size int) (string, error) {
	signer, err := artwork.NewSigner(make([]byte, signerKey)) // nobody fetches these images
	if err != nil {
		return "", err
	}
	a.host.mu.Lock()
	share := a.host.share
	a.host.mu.Unlock()
	return artwork.NewLinks(signer, share).URL(ctx, kind, id, size)
}

// signerKey is the length of the key of an artwork.Signer, in bytes.
const signerKey = 32
