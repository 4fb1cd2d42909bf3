// Command probe is a plugin for tests. Its answers follow the name in the
// request; every way in which a guest can go wrong has one.
package main

import (
	"bytes"
	"context"
	cryptorand "crypto/rand"
	"errors"
	"fmt"
	"math/rand"
	randv2 "math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/pluginhost/pluginhost/sdk/api"
)

func init() {
	api.RegisterMetadataAgent(agent{})
	api.RegisterScrobbler(scrobbler{})
}

func main() {}

// grown keeps what was asked for.
var grown [][]byte

// calls counts what this instance has served: what isolation hides.
var calls int

type agent struct{}

func (agent) GetArtistMBID(_ context.Context, request *api.ArtistMBIDRequest) (*api.ArtistMBIDResponse, error) {
	if request.Name == "" {
		return nil, api.ErrNotFound
	}
	return &api.ArtistMBIDResponse{Mbid: "mbid of " + request.Name}, nil
}

func (agent) GetArtistURL(_ context.Context, request *api.ArtistURLRequest) (*api.ArtistURLResponse, error) {
	return nil, fmt.Errorf("no address for %q", request.Name)
}

func (agent) GetArtistBiography(_ context.Context, request *api.ArtistBiographyRequest) (*api.ArtistBiographyResponse, error) {
	calls++
	word, argument, _ := strings.Cut(request.Name, " ")
	n, _ := strconv.Atoi(argument)
	text := "biography of " + request.Name
	switch word {
	case "panic":
		panic("asked to")
	case "exit":
		os.Exit(n)
	case "loop":
		for i := 0; ; i++ {
			calls = i
		}
	case "recurse":
		text = strconv.Itoa(recurse(1))
	case "allocate":
		var all [][]byte
		for {
			b := make([]byte, 1<<20)
			for i := range b {
				b[i] = byte(i)
			}
			all = append(all, b)
			calls = len(all)
		}
	case "grow":
		grown = append(grown, bytes.Repeat([]byte{1}, n<<20))
		text = strconv.Itoa(len(grown))
	case "deep":
		text = strconv.Itoa(deep(n))
	case "fib":
		text = strconv.Itoa(fib(n))
	case "random":
		text = fmt.Sprint(rand.Uint64(), randv2.Uint64())
	case "secret":
		b := make([]byte, max(n, 16))
		_, err := cryptorand.Read(b)
		text = fmt.Sprintf("%x %v", b[:16], err)
	case "secrets":
		for b := make([]byte, 64<<20); ; {
			_, _ = cryptorand.Read(b)
		}
	case "close":
		text = fmt.Sprint(os.Stdout.Close())
	case "sleep":
		time.Sleep(time.Duration(n) * time.Millisecond)
	case "big":
		text = strings.Repeat("x", n)
	case "crash":
		fmt.Fprintln(os.Stderr, argument)
		os.Exit(1)
	case "say":
		fmt.Fprintln(os.Stderr, argument)
	case "forge":
		fmt.Fprintf(os.Stderr, "innocent\nlevel=ERROR msg=forged\r\x1b[2J\u202e\n")
		fmt.Fprint(os.Stdout, "to stdout\n"+strings.Repeat("y", n))
	case "flood":
		for i := range n {
			fmt.Fprintln(os.Stderr, "line", i)
		}
	case "count":
		text = strconv.Itoa(calls)
	case "clock":
		text = time.Now().UTC().Format(time.RFC3339)
	case "error":
		return nil, errors.New(argument)
	case "bytes":
		text = "a\xffb"
	case "nil":
		return nil, nil
	}
	return &api.ArtistBiographyResponse{Biography: text}, nil
}

//go:noinline
func recurse(n int) int {
	if n < 0 {
		return n
	}
	return recurse(n+1) + 1
}

// deep needs a stack of n levels.
//
//go:noinline
func deep(n int) int {
	if n == 0 {
		return 0
	}
	return deep(n-1) + 1
}

// fib has no loop.
//
//go:noinline
func fib(n int) int {
	if n < 2 {
		return n
	}
	return fib(n-1) + fib(n-2)
}

func (agent) GetSimilarArtists(_ context.Context, request *api.ArtistSimilarRequest) (*api.ArtistSimilarResponse, error) {
	response := &api.ArtistSimilarResponse{}
	for i := range request.Limit {
		response.Artists = append(response.Artists, &api.Artist{Name: fmt.Sprintf("Similar Artist %d", i+1), Mbid: fmt.Sprintf("mbid%d", i+1)})
	}
	return response, nil
}

func (agent) GetArtistImages(context.Context, *api.ArtistImageRequest) (*api.ArtistImageResponse, error) {
	return &api.ArtistImageResponse{Images: []*api.ExternalImage{
		{Url: "https://example.com/image1.jpg", Size: 100},
		{Url: "https://example.com/image2.jpg", Size: 200},
	}}, nil
}

func (agent) GetArtistTopSongs(context.Context, *api.ArtistTopSongsRequest) (*api.ArtistTopSongsResponse, error) {
	return nil, api.ErrNotImplemented
}

func (agent) GetAlbumInfo(_ context.Context, request *api.AlbumInfoRequest) (*api.AlbumInfoResponse, error) {
	if request.Name == "" || request.Artist == "" {
		return nil, api.ErrNotFound
	}
	return &api.AlbumInfoResponse{Info: &api.AlbumInfo{Name: request.Name, Mbid: "album-mbid-123"}}, nil
}

func (agent) GetAlbumImages(context.Context, *api.AlbumImagesRequest) (*api.AlbumImagesResponse, error) {
	return nil, api.ErrNotImplemented
}

type scrobbler struct{}

func (scrobbler) IsAuthorized(_ context.Context, request *api.ScrobblerIsAuthorizedRequest) (*api.ScrobblerIsAuthorizedResponse, error) {
	return &api.ScrobblerIsAuthorizedResponse{Authorized: request.UserId != "" && request.Username != ""}, nil
}

func (scrobbler) NowPlaying(_ context.Context, request *api.ScrobblerNowPlayingRequest) (*api.ScrobblerNowPlayingResponse, error) {
	return &api.ScrobblerNowPlayingResponse{Error: request.Track.GetName()}, nil
}

func (scrobbler) Scrobble(_ context.Context, request *api.ScrobblerScrobbleRequest) (*api.ScrobblerScrobbleResponse, error) {
	if request.Username == "" {
		return nil, errors.New("no user name")
	}
	return &api.ScrobblerScrobbleResponse{Error: request.Track.GetName()}, nil
}
