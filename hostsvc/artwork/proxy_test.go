package artwork_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"image/png"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/hostsvc/artwork"
	"github.com/pluginhost/pluginhost/hostsvc/navidrome"
	fake "github.com/pluginhost/pluginhost/testenv/navidrome"
)

// sourceFunc is a function as a source.
type sourceFunc func(ctx context.Context, id string, size int) (navidrome.Image, error)

func (f sourceFunc) CoverArt(ctx context.Context, id string, size int) (navidrome.Image, error) {
	return f(ctx, id, size)
}

// source takes the images from Navidrome at an address, as a user.
func source(t *testing.T, address, user string, placeholders ...string) artwork.Source {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	server := navidrome.New(navidrome.Config{URL: u, MaxBody: 100 << 10, Placeholders: placeholders})
	t.Cleanup(server.Close)
	return sourceFunc(func(ctx context.Context, id string, size int) (navidrome.Image, error) {
		return server.CoverArt(ctx, user, id, size)
	})
}

// public is a Proxy behind its listener.
type public struct {
	url    string
	proxy  *artwork.Proxy
	signer *artwork.Signer
	client *http.Client
}

func serve(t *testing.T, source artwork.Source, changes ...func(*artwork.ProxyConfig)) public {
	t.Helper()
	signer := newSigner(t, 1)
	config := artwork.ProxyConfig{Signer: signer, Source: source, Logger: slog.New(slog.DiscardHandler)}
	for _, change := range changes {
		change(&config)
	}
	proxy := artwork.NewProxy(config)
	server, err := artwork.Listen("127.0.0.1:0", proxy, config.Logger)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = server.Stop(context.WithoutCancel(t.Context()))
	})
	return public{"http://" + server.Address(), proxy, signer, &http.Client{Transport: transport}}
}

// token is the token of an album, which the fake Navidrome has as al1.
func (p public) token(id string, size int) string {
	return p.signer.Sign(artwork.Artwork{Kind: artwork.Album, ID: id, Size: size})
}

type reply struct {
	*http.Response
	body string
}

// ask sends a request with headers in pairs of name and value.
func (p public) ask(ctx context.Context, method, path string, headers ...string) (reply, error) {
	request, err := http.NewRequestWithContext(ctx, method, p.url+path, nil)
	if err != nil {
		return reply{}, err
	}
	for pair := range slices.Chunk(headers, 2) {
		request.Header.Set(pair[0], pair[1])
	}
	response, err := p.client.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return reply{response, string(body)}, err
}

func (p public) get(t *testing.T, path string, headers ...string) reply {
	t.Helper()
	got, err := p.ask(t.Context(), http.MethodGet, path, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestArtOfEachKindAndSizeIsServed(t *testing.T) {
	t.Parallel()
	navidrome := fake.Start(t, fake.WithBasePath("/music"))
	p := serve(t, source(t, navidrome.URL, "joe"))
	links := artwork.NewLinks(p.signer, nil)
	for _, test := range []struct {
		kind       artwork.Kind
		id         string
		size, want int
	}{
		{artwork.Artist, "ar1", 0, 300}, {artwork.Album, "al1", 0, 300}, {artwork.Track, "t1", 0, 300},
		{artwork.Artist, "ar1", 64, 64}, {artwork.Album, "al1", 600, 600}, {artwork.Track, "t1", 100_000, 1000},
	} {
		address, err := links.URL(t.Context(), test.kind, test.id, test.size)
		if err != nil {
			t.Fatal(err)
		}
		got := p.get(t, strings.TrimPrefix(address, "http://localhost"))
		image, err := png.DecodeConfig(strings.NewReader(got.body))
		if err != nil || got.StatusCode != http.StatusOK || image.Width != test.want {
			t.Errorf("%+v: got %d, a width of %d, error %v", test, got.StatusCode, image.Width, err)
		}
		for name, want := range map[string]string{
			"Content-Type":            "image/png",
			"Cache-Control":           "public, max-age=86400",
			"X-Content-Type-Options":  "nosniff",
			"Content-Security-Policy": "default-src 'none'; sandbox",
		} {
			if got := got.Header.Get(name); got != want {
				t.Errorf("%+v: got %s %q, want %q", test, name, got, want)
			}
		}
	}
	for _, request := range navidrome.Requests() {
		if request.User != "joe" || request.Endpoint != "getCoverArt" {
			t.Errorf("Navidrome was asked for %s by %q", request.Endpoint, request.User)
		}
	}
}

func TestImagesComeWhateverPathAReverseProxyLeaves(t *testing.T) {
	t.Parallel()
	p := serve(t, source(t, fake.Start(t).URL, "joe"))
	token := p.token("al1", 64)
	for path, want := range map[string]int{
		"/artwork/" + token:            200,
		"/a/b%2Fc/artwork/" + token:    200,
		"//artwork/" + token:           200,
		"/artwork/" + token + "?size=": 200,
		"/":                            404,
		"/artwork":                     404,
		"/artwork/":                    404,
		"/" + token:                    404,
		"/artwork/" + token + "/":      404,
		"/artwork/x/" + token:          404,
		"/artworks/" + token:           404,
		"/share/img/" + token:          404,
	} {
		if got := p.get(t, path); got.StatusCode != want {
			t.Errorf("%s: got %d, want %d", path, got.StatusCode, want)
		}
	}
}

func TestOnlyGetAndHeadAreAnswered(t *testing.T) {
	t.Parallel()
	navidrome := fake.Start(t)
	p := serve(t, source(t, navidrome.URL, "joe"))
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"} {
		got, err := p.ask(t.Context(), method, "/artwork/"+p.token("al1", 0))
		if err != nil {
			t.Fatal(err)
		}
		if got.StatusCode != http.StatusMethodNotAllowed || got.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: got %d, Allow %q", method, got.StatusCode, got.Header.Get("Allow"))
		}
	}
	if got := navidrome.Requests(); len(got) != 0 {
		t.Errorf("Navidrome was asked: %+v", got)
	}
}

func TestHeadRangesAndWhatTheClientHas(t *testing.T) {
	t.Parallel()
	p := serve(t, source(t, fake.Start(t).URL, "joe"))
	path := "/artwork/" + p.token("al1", 64)
	whole := p.get(t, path)
	etag := whole.Header.Get("ETag")
	if len(etag) < 10 || strings.HasPrefix(etag, "W/") {
		t.Fatalf("got ETag %s", etag)
	}
	if other := p.get(t, "/artwork/"+p.token("al1", 65)).Header.Get("ETag"); other == etag {
		t.Errorf("two images have ETag %s", etag)
	}
	for _, test := range []struct {
		name, method string
		headers      []string
		status       int
		body         string
	}{
		{"HEAD", http.MethodHead, nil, 200, ""},
		{"the client has it", http.MethodGet, []string{"If-None-Match", `"x", ` + etag}, 304, ""},
		{"the client has another", http.MethodGet, []string{"If-None-Match", `"x"`}, 200, whole.body},
		{"a part", http.MethodGet, []string{"Range", "bytes=1-3"}, 206, whole.body[1:4]},
		{"the end", http.MethodGet, []string{"Range", "bytes=-2"}, 206, whole.body[len(whole.body)-2:]},
		{"a part of another", http.MethodGet, []string{"Range", "bytes=1-3", "If-Range", `"x"`}, 200, whole.body},
		{"a part of this", http.MethodGet, []string{"Range", "bytes=1-3", "If-Range", etag}, 206, whole.body[1:4]},
	} {
		got, err := p.ask(t.Context(), test.method, path, test.headers...)
		if err != nil {
			t.Fatal(err)
		}
		if got.StatusCode != test.status || got.body != test.body || got.Header.Get("Cache-Control") != "public, max-age=86400" {
			t.Errorf("%s: got %d with %d bytes and %v", test.name, got.StatusCode, len(got.body), got.Header)
		}
		if test.method == http.MethodHead && got.ContentLength != int64(len(whole.body)) {
			t.Errorf("HEAD: got a length of %d, want %d", got.ContentLength, len(whole.body))
		}
	}
	if got := p.get(t, path, "Range", "bytes=9999999-"); got.StatusCode != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("a range beyond the end: got %d", got.StatusCode)
	}
}

// webp is the beginning of an image of that type, as far as it matters here.
func webp(rest string) string { return "RIFF\x10\x00\x00\x00WEBPVP8 " + rest }

// Navidrome gives the same picture, with status 200, for every album without one.
func TestAPlaceholderIsNoImage(t *testing.T) {
	t.Parallel()
	placeholder := webp("placeholder")
	sum := sha256.Sum256([]byte(placeholder))
	served := make(chan string, 1)
	navidrome := fake.Start(t, fake.WithHandler(func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, <-served) })
	}))
	p := serve(t, source(t, navidrome.URL, "joe", hex.EncodeToString(sum[:])))
	const day, minutes, minute = "public, max-age=86400", "public, max-age=300", "public, max-age=60"
	for name, c := range map[string]struct {
		body    string
		method  string
		headers []string
		status  int
		cache   string
	}{
		"the placeholder":                       {placeholder, http.MethodGet, nil, 404, minute},
		"its HEAD":                              {placeholder, http.MethodHead, nil, 404, minute},
		"a part of it":                          {placeholder, http.MethodGet, []string{"Range", "bytes=0-3"}, 404, minute},
		"one that the client has":               {placeholder, http.MethodGet, []string{"If-None-Match", `"` + hex.EncodeToString(sum[:16]) + `"`}, 404, minute},
		"an image that begins as it":            {placeholder + "x", http.MethodGet, nil, 200, minutes},
		"an image of its length":                {webp("placeh0lder"), http.MethodGet, nil, 200, minutes},
		"the HEAD of one of its type":           {webp("x"), http.MethodHead, nil, 200, minutes},
		"a part of one of its type":             {webp("x"), http.MethodGet, []string{"Range", "bytes=0-3"}, 206, minutes},
		"an image of another type":              {"\x89PNG\r\n\x1a\n", http.MethodGet, nil, 200, day},
		"an image of another type, in its HEAD": {"\xff\xd8\xff", http.MethodHead, nil, 200, day},
	} {
		served <- c.body
		got, err := p.ask(t.Context(), c.method, "/artwork/"+p.token("al1", 300), c.headers...)
		if err != nil || got.StatusCode != c.status || got.Header.Get("Cache-Control") != c.cache {
			t.Errorf("%s: got %d, Cache-Control %q, error %v; want %d, %q", name, got.StatusCode, got.Header.Get("Cache-Control"), err, c.status, c.cache)
		}
	}
}

func TestForeignTokensAreRefusedAndNobodyIsAsked(t *testing.T) {
	t.Parallel()
	navidrome := fake.Start(t)
	p := serve(t, source(t, navidrome.URL, "joe"))
	tokens := refusedTokens(p.signer, newSigner(t, 2))
	token := p.token("al1", 300)
	for i := range token {
		changed := []byte(token)
		changed[i] = map[bool]byte{true: 'B', false: 'A'}[changed[i] == 'A']
		tokens["changed: "+string(changed)] = string(changed)
	}
	for name, token := range tokens {
		got := p.get(t, "/artwork/"+url.PathEscape(token))
		if got.StatusCode != http.StatusBadRequest || got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: got %d, Cache-Control %q", name, got.StatusCode, got.Header.Get("Cache-Control"))
		}
	}
	if got := navidrome.Requests(); len(got) != 0 {
		t.Errorf("Navidrome was asked: %+v", got)
	}
}

func TestWhatCannotBeServedSaysSoAndNothingElse(t *testing.T) {
	t.Parallel()
	stopped := fake.Start(t)
	stopped.Stop()
	answering := func(contentType, body string) string {
		return fake.Start(t, fake.WithHandler(func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", contentType)
				_, _ = io.WriteString(w, body)
			})
		})).URL
	}
	slow := fake.Start(t, fake.WithHandler(func(http.Handler) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	}))
	for _, test := range []struct {
		name, address, user, id string
		status                  int
		cache, logged           string
	}{
		{"an unknown image", fake.Start(t).URL, "joe", "none", 404, "public, max-age=60", ""},
		{"an image of nothing", fake.Start(t).URL, "joe", "", 404, "public, max-age=60", ""},
		{"Navidrome is away", stopped.URL, "joe", "al1", 502, "no-store", "cannot be reached"},
		{"Navidrome is slow", slow.URL, "joe", "al1", 502, "no-store", "did not answer in time"},
		{"Navidrome does not trust us", fake.Start(t, fake.WithoutTrust()).URL, "joe", "al1", 502, "no-store", "does not let the user in"},
		{"the user is gone", fake.Start(t).URL, "eve", "al1", 502, "no-store", "does not let the user in"},
		{"too large", answering("image/png", strings.Repeat("x", 101<<10)), "joe", "al1", 502, "no-store", "limit of 102400 bytes"},
		{"a page", answering("text/html", "<script>"), "joe", "al1", 502, "no-store", "text/html"},
		{"an image with scripts", answering("image/svg+xml", "<svg>"), "joe", "al1", 502, "no-store", "image/svg+xml"},
		{"something without a type", answering("", "x"), "joe", "al1", 502, "no-store", "not an image"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var log bytes.Buffer
			p := serve(t, source(t, test.address, test.user), func(c *artwork.ProxyConfig) {
				c.Timeout = 2 * time.Second
				if test.address == slow.URL {
					c.Timeout = 50 * time.Millisecond
				}
				c.Logger = slog.New(slog.NewTextHandler(&log, nil))
			})
			got := p.get(t, "/artwork/"+p.token(test.id, 0))
			if got.StatusCode != test.status || got.Header.Get("Cache-Control") != test.cache {
				t.Errorf("got %d, Cache-Control %q", got.StatusCode, got.Header.Get("Cache-Control"))
			}
			if !strings.Contains(log.String(), test.logged) || (log.Len() > 0) != (test.logged != "") {
				t.Errorf("logged %q, want %q in it", log.String(), test.logged)
			}
			host := strings.TrimPrefix(test.address, "http://")
			if strings.Contains(got.body, host) || strings.Contains(strings.ToLower(got.body), "navidrome") || got.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("got %q with %v", got.body, got.Header)
			}
		})
	}
}

func TestTypesOfImagesThatArePassedOn(t *testing.T) {
	t.Parallel()
	contentType := make(chan string, 1)
	p := serve(t, sourceFunc(func(context.Context, string, int) (navidrome.Image, error) {
		return navidrome.Image{ContentType: <-contentType, Body: []byte("x")}, nil
	}))
	for given, want := range map[string]string{
		"image/jpeg": "image/jpeg", "image/png": "image/png", "image/gif": "image/gif", "image/webp": "image/webp", "image/avif": "image/avif",
		"IMAGE/JPEG; charset=binary": "image/jpeg",
		"image/bmp":                  "", "application/octet-stream": "", "image/png, text/html": "", "": "",
	} {
		contentType <- given
		got := p.get(t, "/artwork/"+p.token("al1", 0))
		if want == "" && got.StatusCode != http.StatusBadGateway || want != "" && got.Header.Get("Content-Type") != want {
			t.Errorf("%q: got %d of %q, want %q", given, got.StatusCode, got.Header.Get("Content-Type"), want)
		}
	}
}

func TestNavidromeAwayAndBack(t *testing.T) {
	t.Parallel()
	navidrome := fake.Start(t)
	p := serve(t, source(t, navidrome.URL, "joe"))
	path := "/artwork/" + p.token("al1", 64)
	if got := p.get(t, path); got.StatusCode != http.StatusOK {
		t.Fatalf("got %d", got.StatusCode)
	}
	navidrome.Stop()
	if got := p.get(t, path); got.StatusCode != http.StatusBadGateway || got.Header.Get("ETag") != "" {
		t.Errorf("away: got %d", got.StatusCode)
	}
	navidrome.Restart()
	if got := p.get(t, path); got.StatusCode != http.StatusOK {
		t.Errorf("back: got %d", got.StatusCode)
	}
}

func TestTheLogIsNotFilledByStrangers(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	away := sourceFunc(func(context.Context, string, int) (navidrome.Image, error) {
		return navidrome.Image{}, errors.New("away")
	})
	p := serve(t, away, func(c *artwork.ProxyConfig) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	path := "/artwork/" + p.token(strings.Repeat("x", 500), 0)
	for range 200 {
		p.get(t, path)
	}
	if lines := strings.Count(log.String(), "\n"); lines == 0 || lines > 100 || log.Len() > lines*400 {
		t.Fatalf("got %d lines of %d bytes", lines, log.Len())
	}
}
