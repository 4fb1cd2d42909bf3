package plugintest_test

import (
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/pluginhost/pluginhost/plugintest"
	"github.com/pluginhost/pluginhost/sdk/api"
)

// outside is a testing.TB outside a test: tests have a better one.
type outside struct {
	testing.TB
	cleanups []func()
}

func (*outside) Helper() {}

func (*outside) Context() context.Context { return context.Background() }

func (*outside) Output() io.Writer { return io.Discard }

func (*outside) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func (o *outside) Cleanup(f func()) { o.cleanups = append(o.cleanups, f) }

func (o *outside) end() {
	for _, cleanup := range o.cleanups {
		cleanup()
	}
}

func Example() {
	t := &outside{} // in a test, the t that it has
	defer t.end()

	host := plugintest.Load(t, "../examples/minimal")
	answer, err := host.MetadataAgent().GetArtistURL(t.Context(), &api.ArtistURLRequest{Mbid: "42"})
	fmt.Println(answer.Url, err)
	_, err = host.MetadataAgent().GetArtistURL(t.Context(), &api.ArtistURLRequest{Name: "Nina Simone"})
	fmt.Println(err)
	// Output:
	// https://musicbrainz.org/artist/42 <nil>
	// 404 plugin:not_found
}
