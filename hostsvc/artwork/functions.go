package artwork

import (
	"context"
	"fmt"

	"github.com/pluginhost/pluginhost/sdk/api/host"
	api "github.com/pluginhost/pluginhost/sdk/api/host/artwork"
)

// Functions are those that a guest imports. A request that is too long ends the call, as
// every error does.
func (s *Service) Functions() []host.Function {
	limit := func(kind Kind) host.Limit {
		return host.Limit{MaxRequest: maxIDBytes + host.Framing, Refuse: func(_ context.Context, err error) ([]byte, error) {
			return nil, fmt.Errorf("artwork of %s: %w: an id has at most %d bytes", kind, err, maxIDBytes)
		}}
	}
	return host.Limited(api.Functions(s), map[string]host.Limit{
		"get_artist_url": limit(Artist),
		"get_album_url":  limit(Album),
		"get_track_url":  limit(Track),
	})
}
