package replica

import (
	"context"
	"net/url"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/hostsvc/artwork"
	"github.com/pluginhost/pluginhost/hostsvc/navidrome"
	"github.com/pluginhost/pluginhost/subjects"
)

// navidromeURL is [Navidrome] URL; nil is none.
func navidromeURL(config *Config) (*url.URL, error) {
	if config.Navidrome.URL == "" {
		return nil, nil
	}
	return url.Parse(config.Navidrome.URL)
}

// openNavidrome returns Navidrome as it is reached over HTTP, or nil. The caller
// closes it.
func openNavidrome(config *Config) (*navidrome.Server, error) {
	address, err := navidromeURL(config)
	if address == nil || err != nil {
		return nil, err
	}
	return navidrome.New(navidrome.Config{URL: address, UserHeader: config.Navidrome.UserHeader, FormatVia: subjects.FormatVia}), nil
}

// busSubsonic is a Navidrome that answers Subsonic requests on the bus.
type busSubsonic struct{ bus *bus.Bus }

var _ navidrome.Subsonic = busSubsonic{}

// Subsonic implements navidrome.Subsonic.
func (s busSubsonic) Subsonic(ctx context.Context, r navidrome.SubsonicRequest) ([]byte, error) {
	request := subjects.SubsonicRequest{Plugin: r.Plugin, User: r.User, Endpoint: r.Endpoint, Query: r.Query.Encode()}
	return s.bus.RequestSubsonic(ctx, request, r.Via)
}

// busArtwork has Navidrome make the addresses of images for one plugin.
type busArtwork struct {
	bus    *bus.Bus
	plugin string
}

var _ artwork.Addresses = busArtwork{}

// URL implements artwork.Addresses.
func (a busArtwork) URL(ctx context.Context, kind artwork.Kind, id string, size int) (string, error) {
	return a.bus.RequestArtwork(ctx, subjects.ArtworkRequest{Plugin: a.plugin, Kind: subjects.ArtworkKind(kind), ID: id, Size: size})
}
