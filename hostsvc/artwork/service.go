// Package artwork is the host service that names public addresses of images,
// and the proxy that serves what is at these addresses.
//
// Service answers the plugin. It takes addresses from an Addresses: Links, whose
// addresses carry a token of a Signer and lead to a Proxy. Who holds such an address
// can fetch that one image in that one size, and nothing else of Navidrome.
package artwork

import (
	"context"
	"fmt"

	api "github.com/pluginhost/pluginhost/sdk/api/host/artwork"
)

// maxIDBytes is how long the id of an artist, an album or a track may be.
const maxIDBytes = 512

// Addresses makes public addresses of images. It is safe for concurrent use.
type Addresses interface {
	// URL returns the address of an image of the artist, album or track id. The size is
	// in pixels; 0 is the original's. Whether there is such an image is not checked.
	URL(ctx context.Context, kind Kind, id string, size int) (string, error)
}

// Service is the artwork service of all plugins. Its messages have no field for
// errors: an error of its methods fails the plugin's call with its text. It is safe
// for concurrent use.
type Service struct {
	addresses Addresses
}

var _ api.ArtworkService = (*Service)(nil)

// New makes a service. There is nothing to close.
func New(addresses Addresses) *Service { return &Service{addresses: addresses} }

// GetArtistUrl returns the address of an artist's picture. An id over 512 bytes is an
// error, and so is what Addresses reports.
func (s *Service) GetArtistUrl(ctx context.Context, request *api.GetArtworkUrlRequest) (*api.GetArtworkUrlResponse, error) {
	return s.url(ctx, Artist, request)
}

// GetAlbumUrl returns the address of an album's cover, as GetArtistUrl does.
func (s *Service) GetAlbumUrl(ctx context.Context, request *api.GetArtworkUrlRequest) (*api.GetArtworkUrlResponse, error) {
	return s.url(ctx, Album, request)
}

// GetTrackUrl returns the address of a track's cover, as GetArtistUrl does.
func (s *Service) GetTrackUrl(ctx context.Context, request *api.GetArtworkUrlRequest) (*api.GetArtworkUrlResponse, error) {
	return s.url(ctx, Track, request)
}

func (s *Service) url(ctx context.Context, kind Kind, request *api.GetArtworkUrlRequest) (*api.GetArtworkUrlResponse, error) {
	id := request.GetId()
	if len(id) > maxIDBytes {
		return nil, fmt.Errorf("artwork of %s: an id of %d bytes is over the limit of %d", kind, len(id), maxIDBytes)
	}
	address, err := s.addresses.URL(ctx, kind, id, max(0, int(request.GetSize())))
	if err != nil {
		return nil, fmt.Errorf("artwork of %s %q: %w", kind, id, err)
	}
	return &api.GetArtworkUrlResponse{Url: address}, nil
}
