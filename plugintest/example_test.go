package plugintest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

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

// A plugin is loaded from its folder and called by the interface that it implements.
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

// A handler is the web that the plugin sees, as far as its manifest lets it see any.
func ExampleHost_HTTP() {
	t := &outside{} // in a test, the t that it has
	defer t.end()

	host := plugintest.Load(t, "../examples/wikipedia")
	host.SetConfig("language", "de")
	host.HTTP("https://de.wikipedia.org", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"type": "standard", "description": "Sängerin", "extract": "Nina Simone war eine Sängerin."}`)
	}))
	answer, err := host.MetadataAgent().GetArtistBiography(t.Context(), &api.ArtistBiographyRequest{Name: "Nina Simone"})
	fmt.Println(answer.GetBiography(), err)
	fmt.Println(host.Requests()[0].URL)
	// Output:
	// Nina Simone war eine Sängerin. <nil>
	// https://de.wikipedia.org/api/rest_v1/page/summary/Nina_Simone
}

// What the plugin plans runs once the test moves the clock on.
func ExampleHost_Advance() {
	t := &outside{} // in a test, the t that it has
	defer t.end()

	host := plugintest.Load(t, "../examples/ticker")
	for key, value := range map[string]string{"symbols": "ABC", "webhook": "https://hooks.example.com/x", "summary": "0 18 * * *"} {
		host.SetConfig(key, value)
	}
	host.HTTP("https://hooks.example.com", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		posted, _ := io.ReadAll(r.Body)
		fmt.Printf("%s\n", posted)
	}))
	feed := host.WebSocket("wss://feed.example.com/prices")
	if err := host.Init(t.Context()); err != nil {
		fmt.Println(err)
		return
	}
	price := `{"type": "price", "symbol": "ABC", "price": 100}`
	if err := feed.Connection(t.Context()).SendText(t.Context(), price); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(host.Advance(t.Context(), 24*time.Hour))
	// Output:
	// {"event":"summary","prices":{"ABC":100}}
	// <nil>
}
