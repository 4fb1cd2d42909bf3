package replica

import (
	"context"
	"errors"
	"log/slog"
	"net/url"

	"golang.org/x/time/rate"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/hostsvc/artwork"
	"github.com/pluginhost/pluginhost/hostsvc/navidrome"
	"github.com/pluginhost/pluginhost/sdk/excerpt"
	"github.com/pluginhost/pluginhost/subjects"
)

// navidromeURL is [Navidrome] URL; nil is none.
func navidromeURL(config *config.Config) (*url.URL, error) {
	if config.Navidrome.URL == "" {
		return nil, nil
	}
	return url.Parse(config.Navidrome.URL)
}

// openNavidrome returns Navidrome as it is reached over HTTP, or nil. The caller
// closes it.
func openNavidrome(config *config.Config) (*navidrome.Server, error) {
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
	request := subjects.SubsonicRequest{Plugin: r.Plugin, User: r.User, Endpoint: r.Endpoint, Query: navidrome.EncodeQuery(r.Query)}
	return s.bus.RequestSubsonic(ctx, request, r.Via)
}

// busArtwork has Navidrome make the addresses of images for one plugin.
type busArtwork struct {
	bus      *bus.Bus
	plugin   string
	log      *slog.Logger
	warnings *rate.Limiter
}

var _ artwork.Addresses = (*busArtwork)(nil)

func newBusArtwork(b *bus.Bus, plugin string, log *slog.Logger) *busArtwork {
	return &busArtwork{bus: b, plugin: plugin, log: log, warnings: rate.NewLimiter(1, 10)} // a second, at once
}

// URL implements artwork.Addresses.
func (a *busArtwork) URL(ctx context.Context, kind artwork.Kind, id string, size int) (string, error) {
	address, err := a.bus.RequestArtwork(ctx, subjects.ArtworkRequest{Plugin: a.plugin, Kind: subjects.ArtworkKind(kind), ID: id, Size: size})
	if err != nil && !errors.Is(ctx.Err(), context.Canceled) && a.warnings.Allow() {
		a.log.LogAttrs(ctx, slog.LevelWarn, "Navidrome gave a plugin no address of artwork",
			slog.String("plugin", a.plugin), slog.String("kind", string(kind)), slog.String("id", excerpt.Of([]byte(id))), slog.Any("error", err))
	}
	return address, err
}
