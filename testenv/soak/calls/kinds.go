package calls

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pluginhost/pluginhost/sdk/api"
	apiconfig "github.com/pluginhost/pluginhost/sdk/api/host/config"
	apihttp "github.com/pluginhost/pluginhost/sdk/api/host/http"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
)

const biography = "get_artist_biography"

// soon is the deadline of calls that would take longer.
const soon = 100 * time.Millisecond

// kind is one sort of call.
type kind struct {
	name string
	// share is how many of ten thousand calls are of this kind.
	share int
	// call makes one and says how its outcome differs from what it must be.
	call func(ctx context.Context, c *caller) error
}

// kinds returns every kind; the shares are ten thousand together.
func kinds() []kind {
	return []kind{
		{"bytes that must come back", 4849, sameBytes},
		{"an ordinary answer", 2000, honest},
		{"an ordinary answer, as JSON", 500, honestJSON},
		{"a list of the length asked for", 500, similar},
		{"another capability", 400, authorized},
		{"an error of the plugin", 300, refusal},
		{"an error that is not found", 200, notFound},
		{"what the call before has left", 300, count},
		{"a random number", 200, random},
		{"memory that grows", 100, grow},
		{"a host call for the configuration", 500, readSettings},
		{"a host call that asks a web server", 100, fetch},
		{"a panic", 20, crash(probe, `{"name":"panic"}`)},
		{"an exit", 10, crash(probe, `{"name":"exit 3"}`)},
		{"a trap", 10, crash(trapping, "{}")},
		{"a sleep beyond the deadline", 10, late("sleep 600000")},
		{"a loop beyond the deadline", 1, late("loop")},
	}
}

// sameBytes asks echo for bytes that nobody else sends; most are few.
func sameBytes(ctx context.Context, c *caller) error {
	size := 16 + c.random.IntN(1000)
	if c.random.IntN(100) == 0 {
		size = c.random.IntN(60_000) // the guest has 64 KiB
	}
	want := append([]byte(c.name()), make([]byte, size)...)
	for i := len(want) - size; i < len(want); i++ {
		want[i] = byte(c.random.Uint32())
	}
	got, err := c.client.Call(ctx, echo, biography, want)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("got %.40q… of %d bytes, want %.40q… of %d bytes", got, len(got), want, len(want))
	}
	return nil
}

func (c *caller) biography(ctx context.Context, name string) (string, error) {
	response, err := c.client.MetadataAgent(probe).GetArtistBiography(ctx, &api.ArtistBiographyRequest{Name: name})
	if err != nil {
		return "", err
	}
	return response.Biography, nil
}

// want compares what came with what must have come.
func want(got string, err error, want string) error {
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("got %.80q, want %.80q", got, want)
	}
	return nil
}

func honest(ctx context.Context, c *caller) error {
	name := c.name()
	got, err := c.biography(ctx, name)
	return want(got, err, "biography of "+name)
}

func honestJSON(ctx context.Context, c *caller) error {
	name := c.name()
	got, err := c.client.CallJSON(ctx, probe, biography, []byte(`{"name":"`+name+`"}`), 0)
	return want(strings.ReplaceAll(string(got), " ", ""), err, `{"biography":"biographyof`+strings.ReplaceAll(name, " ", "")+`"}`)
}

func similar(ctx context.Context, c *caller) error {
	limit := c.random.Int32N(50)
	response, err := c.client.MetadataAgent(probe).GetSimilarArtists(ctx, &api.ArtistSimilarRequest{Name: c.name(), Limit: limit})
	if err == nil && len(response.Artists) != int(limit) {
		return fmt.Errorf("got %d artists, want %d", len(response.Artists), limit)
	}
	return err
}

func authorized(ctx context.Context, c *caller) error {
	wanted := c.random.IntN(2) == 0
	user := client.User{ID: c.name()}
	if wanted {
		user.Name = c.name()
	}
	got, err := c.client.Scrobbler(probe).IsAuthorized(ctx, user)
	if err == nil && got != wanted {
		return fmt.Errorf("authorized is %v, want %v", got, wanted)
	}
	return err
}

// failure compares a failure with what it must be.
func failure(err, want error, says string) error {
	if err == nil {
		return fmt.Errorf("got an answer, want %w", want)
	}
	if !errors.Is(err, want) || !strings.Contains(err.Error(), says) {
		return fmt.Errorf("got %w, want %w that says %q", err, want, says)
	}
	return nil
}

func refusal(ctx context.Context, c *caller) error {
	name := c.name()
	_, err := c.client.MetadataAgent(probe).GetArtistURL(ctx, &api.ArtistURLRequest{Name: name})
	return failure(err, subjects.ErrPlugin, fmt.Sprintf("no address for %q", name))
}

func notFound(ctx context.Context, c *caller) error {
	_, err := c.client.MetadataAgent(probe).GetArtistMBID(ctx, &api.ArtistMBIDRequest{Id: c.name()})
	return failure(err, api.ErrNotFound, "")
}

func count(ctx context.Context, c *caller) error {
	got, err := c.biography(ctx, "count")
	return want(got, err, "1")
}

func random(ctx context.Context, c *caller) error {
	got, err := c.biography(ctx, "random")
	if err == nil && got == c.drawn {
		return fmt.Errorf("drew %s twice", got)
	}
	c.drawn = got
	return err
}

func grow(ctx context.Context, c *caller) error {
	got, err := c.biography(ctx, "grow 2")
	return want(got, err, "1")
}

func readSettings(ctx context.Context, c *caller) error {
	got, err := c.client.Call(ctx, settings, biography, nil)
	if err != nil {
		return err
	}
	var response apiconfig.GetPluginConfigResponse
	if err := response.UnmarshalVT(got); err != nil {
		return err
	}
	if len(response.Config) != 1 || response.Config[entryKey] != entry {
		return fmt.Errorf("got the configuration %v", response.Config)
	}
	return nil
}

func fetch(ctx context.Context, c *caller) error {
	path := "/" + strings.ReplaceAll(c.name(), " ", "-")
	request, err := (&apihttp.HttpRequest{Url: c.web + path, TimeoutMs: 10_000}).MarshalVT()
	if err != nil {
		return err
	}
	got, err := c.client.Call(ctx, fetching, biography, request)
	if err != nil {
		return err
	}
	var response apihttp.HttpResponse
	if err := response.UnmarshalVT(got); err != nil {
		return err
	}
	if response.Error != "" || string(response.Body) != path {
		return fmt.Errorf("got the page %.80q, %q, want %q", response.Body, response.Error, path)
	}
	return nil
}

func crash(id, request string) func(context.Context, *caller) error {
	return func(ctx context.Context, c *caller) error {
		_, err := c.client.CallJSON(ctx, id, biography, []byte(request), 0)
		return failure(err, subjects.ErrCrashed, "")
	}
}

// late makes a call that is stopped at its deadline, or refused where others take
// all of its time.
func late(word string) func(context.Context, *caller) error {
	return func(ctx context.Context, c *caller) error {
		_, err := c.client.CallJSON(ctx, probe, biography, []byte(`{"name":"`+word+`"}`), soon)
		if errors.Is(err, subjects.ErrOverloaded) {
			return nil
		}
		return failure(err, subjects.ErrDeadlineExceeded, "")
	}
}
