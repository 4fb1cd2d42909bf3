package replica

import (
	"context"
	"sync"
	"time"

	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/hostsvc/artwork"
	"github.com/pluginhost/pluginhost/hostsvc/navidrome"
	"github.com/pluginhost/pluginhost/internal/httpserver"
	"github.com/pluginhost/pluginhost/subjects"
)

// artworkProxy makes public addresses of images and, where it listens, serves
// them.
type artworkProxy struct {
	key    *cluster.Secret // of signer
	signer *artwork.Signer
	covers covers
	server *httpserver.Server // nil where another replica serves
}

// startArtwork listens if the configuration says so. It is nil where Navidrome
// makes the addresses. The caller stops it.
func (r *Replica) startArtwork(ctx context.Context, settings *config.Config) (_ *artworkProxy, err error) {
	if settings.Navidrome.Artwork != config.ArtworkProxy {
		return nil, nil
	}
	p := &artworkProxy{}
	if p.key, err = cluster.KeepSecret(ctx, r.bus.Jet(), subjects.ArtworkKey, func() {}); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			p.key.Stop()
		}
	}()
	p.signer = artwork.NewSignerOf(p.key.Bytes)
	if !settings.Navidrome.ServesArtwork() || settings.Navidrome.ArtworkListen == "" {
		return p, nil
	}
	if err := p.covers.use(settings); err != nil {
		return nil, err
	}
	handler := artwork.NewProxy(artwork.ProxyConfig{Signer: p.signer, Source: &p.covers, Logger: r.log})
	if p.server, err = artwork.Listen(settings.Navidrome.ArtworkListen, handler, r.log); err != nil {
		p.covers.close()
		return nil, err
	}
	r.log.Info("artwork is served", "http", p.server.Address(), "public", settings.Navidrome.ShareURL)
	return p, nil
}

// address is where it listens, or empty.
func (p *artworkProxy) address() string {
	if p == nil || p.server == nil {
		return ""
	}
	return p.server.Address()
}

// artworkGrace is how long strangers may still read when a replica leaves.
const artworkGrace = 2 * time.Second

func (p *artworkProxy) stop(ctx context.Context) {
	if p == nil {
		return
	}
	defer p.key.Stop()
	if p.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, artworkGrace)
	defer cancel()
	_ = p.server.Stop(ctx) // strangers who are cut off are no fault of ours
	p.covers.close()
}

// covers fetches images from Navidrome as the configuration of the moment says.
type covers struct {
	mu     sync.Mutex
	server *navidrome.Server
	user   string
}

var _ artwork.Source = (*covers)(nil)

// use fetches from now on what another configuration says.
func (c *covers) use(config *config.Config) error {
	server, err := openNavidrome(config)
	if err != nil {
		return err
	}
	c.close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.server, c.user = server, config.Navidrome.User
	return nil
}

// CoverArt implements artwork.Source.
func (c *covers) CoverArt(ctx context.Context, id string, size int) (navidrome.Image, error) {
	c.mu.Lock()
	server, user := c.server, c.user
	c.mu.Unlock()
	return server.CoverArt(ctx, user, id, size)
}

func (c *covers) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server != nil {
		c.server.Close()
	}
}
