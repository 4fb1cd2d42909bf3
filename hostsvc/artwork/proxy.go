package artwork

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"github.com/pluginhost/pluginhost/hostsvc/navidrome"
	"github.com/pluginhost/pluginhost/sdk/excerpt"
)

// A stranger who asks again and again must not fill the log.
const (
	warningsPerSecond = 1
	warningsAtOnce    = 10
)

const (
	// maxLoggedID is how much of an id goes into a log line, in bytes.
	maxLoggedID = 100
	// busySeconds is after how long to come back when too many images are asked for.
	busySeconds = 5
)

// Values of the header Cache-Control.
const (
	cacheImage    = "public, max-age=86400"
	cacheDoubtful = "public, max-age=300"
	cacheMissing  = "public, max-age=60"
	cacheNothing  = "no-store"
)

var (
	errBusy    = errors.New("too many images are being fetched or sent")
	errNoImage = errors.New("the answer is not an image")
)

// Source has the images. It is safe for concurrent use.
type Source interface {
	// CoverArt fetches the image with an artwork id, such as al-<id>_0, in a size in
	// pixels, 0 for the original's. navidrome.ErrNoArtwork says that there is none.
	CoverArt(ctx context.Context, id string, size int) (navidrome.Image, error)
}

// ProxyConfig is the configuration of a Proxy.
type ProxyConfig struct {
	// Signer checks the tokens.
	Signer *Signer
	// Source has the images.
	Source Source
	// MaxFetches is how many images are fetched at the same time. Defaults to 8.
	MaxFetches int
	// Wait is how long a request waits for a fetch to become free. Defaults to 5 seconds.
	Wait time.Duration
	// Timeout is how long one fetch may take. Defaults to 15 seconds.
	Timeout time.Duration
	// MaxSending is how many bytes of images may be on their way to clients, which may
	// read slowly. Defaults to 128 MiB.
	MaxSending int64
	// Logger gets a warning for each image that there may be but cannot be served.
	// Defaults to slog.Default().
	Logger *slog.Logger
}

// Proxy serves the images of Links to the public. Of the path only the last two
// segments count, artwork/<token>, whatever a reverse proxy leaves before them. The
// answers say nothing about Navidrome. It is safe for concurrent use.
type Proxy struct {
	config   ProxyConfig
	fetches  chan struct{}       // one for each fetch
	sending  *semaphore.Weighted // bytes
	flights  flights
	warnings *rate.Limiter
}

var _ http.Handler = (*Proxy)(nil)

// NewProxy makes a Proxy. There is nothing to close.
func NewProxy(config ProxyConfig) *Proxy {
	if config.MaxFetches <= 0 {
		config.MaxFetches = 8
	}
	if config.Wait <= 0 {
		config.Wait = 5 * time.Second
	}
	if config.Timeout <= 0 {
		config.Timeout = 15 * time.Second
	}
	if config.MaxSending <= 0 {
		config.MaxSending = 128 << 20
	}
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	return &Proxy{
		config:   config,
		fetches:  make(chan struct{}, config.MaxFetches),
		sending:  semaphore.NewWeighted(config.MaxSending),
		warnings: rate.NewLimiter(warningsPerSecond, warningsAtOnce),
	}
}

// ServeHTTP answers GET and HEAD.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Whatever the bytes are, a browser shows an image or nothing.
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; sandbox")
	token, ok := tokenIn(r.URL.EscapedPath())
	switch {
	case !ok:
		fail(w, r, http.StatusNotFound, cacheMissing, "there is nothing here")
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		fail(w, r, http.StatusMethodNotAllowed, cacheNothing, "images can only be fetched")
		return
	}
	artwork, err := p.config.Signer.Verify(token)
	if err != nil {
		fail(w, r, http.StatusBadRequest, cacheNothing, "this is not an address of an image")
		return
	}
	image, err := p.image(r.Context(), token, artwork)
	size := int64(len(image.Body))
	if r.Method == http.MethodHead {
		size = 0
	}
	if err == nil && !p.sending.TryAcquire(size) {
		err = errBusy
	}
	switch {
	case err == nil:
		defer p.sending.Release(size)
		serve(w, r, image)
	case errors.Is(err, navidrome.ErrNoArtwork):
		fail(w, r, http.StatusNotFound, cacheMissing, "there is no such image")
	case errors.Is(err, errBusy):
		p.warn(r.Context(), artwork, err)
		w.Header().Set("Retry-After", strconv.Itoa(busySeconds))
		fail(w, r, http.StatusServiceUnavailable, cacheNothing, "too many images are asked for, try again later")
	default:
		if r.Context().Err() == nil { // otherwise it is nobody's fault
			p.warn(r.Context(), artwork, err)
		}
		fail(w, r, http.StatusBadGateway, cacheNothing, "the image cannot be fetched at the moment")
	}
}

// tokenIn takes the token out of a path with its escapes, which no token has.
func tokenIn(path string) (string, bool) {
	segments := strings.Split(path, "/")
	n := len(segments)
	if n < 2 || segments[n-2] != pathSegment || segments[n-1] == "" {
		return "", false
	}
	return segments[n-1], true
}

// image fetches an image, with the type to send.
func (p *Proxy) image(ctx context.Context, token string, artwork Artwork) (navidrome.Image, error) {
	id := artwork.CoverID()
	if id == "" {
		return navidrome.Image{}, navidrome.ErrNoArtwork
	}
	image, err := p.flights.do(ctx, token, func(ctx context.Context) (navidrome.Image, error) {
		return p.fetch(ctx, id, artwork.Size)
	})
	if err != nil {
		return navidrome.Image{}, err
	}
	contentType, _, _ := mime.ParseMediaType(image.ContentType)
	if !slices.Contains([]string{"image/jpeg", "image/png", "image/gif", "image/webp", "image/avif"}, contentType) {
		return navidrome.Image{}, fmt.Errorf("%w that can be passed on but %.100q, beginning with %q: check [Navidrome] URL", errNoImage, image.ContentType, excerpt.Of(image.Body))
	}
	image.ContentType = contentType
	return image, nil
}

// fetch waits for a fetch to become free, and makes it.
func (p *Proxy) fetch(ctx context.Context, id string, size int) (navidrome.Image, error) {
	wait := time.NewTimer(p.config.Wait)
	defer wait.Stop()
	select {
	case p.fetches <- struct{}{}:
	case <-wait.C:
		return navidrome.Image{}, errBusy
	case <-ctx.Done():
		return navidrome.Image{}, ctx.Err()
	}
	defer func() { <-p.fetches }()
	ctx, cancel := context.WithTimeout(ctx, p.config.Timeout)
	defer cancel()
	return p.config.Source.CoverArt(ctx, id, size)
}

// serve answers with an image, a part of it, or that the client has it already.
func serve(w http.ResponseWriter, r *http.Request, image navidrome.Image) {
	hash := sha256.Sum256(image.Body)
	w.Header().Set("Content-Type", image.ContentType)
	w.Header().Set("Cache-Control", cacheImage)
	if image.Doubtful {
		w.Header().Set("Cache-Control", cacheDoubtful)
	}
	w.Header().Set("ETag", `"`+hex.EncodeToString(hash[:16])+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(image.Body))
}

// fail answers with a text of our own alone.
func fail(w http.ResponseWriter, r *http.Request, status int, cache, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", cache)
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(w, text+"\n")
	}
}

func (p *Proxy) warn(ctx context.Context, artwork Artwork, err error) {
	if !p.warnings.Allow() {
		return
	}
	id := artwork.ID
	if len(id) > maxLoggedID {
		id = id[:maxLoggedID] + "…"
	}
	p.config.Logger.LogAttrs(ctx, slog.LevelWarn, "artwork cannot be served",
		slog.String("kind", string(artwork.Kind)), slog.String("id", id), slog.Int("size", artwork.Size), slog.Any("error", err))
}
