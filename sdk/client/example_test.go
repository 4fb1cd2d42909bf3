package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
)

// Plugins are found by what they can do, and called by the interface that they implement.
func Example() {
	conn, err := client.Connect(nats.DefaultURL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()

	plugins := client.New(conn)
	agents, err := plugins.Plugins(ctx, "MetadataAgent")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, agent := range agents {
		answer, err := plugins.MetadataAgent(agent.ID).GetArtistBiography(ctx, &api.ArtistBiographyRequest{Name: "Nina Simone"})
		if errors.Is(err, api.ErrNotFound) || errors.Is(err, api.ErrNotImplemented) {
			continue // the next one may know
		}
		fmt.Println(answer.GetBiography(), err)
	}
}

// While no server is there a call fails at once, and it is known that the plugin has not run.
func ExampleClient_Call_unavailable() {
	conn, err := client.Connect("nats://127.0.0.1:1", nats.RetryOnFailedConnect(true))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()

	_, err = client.New(conn).Call(context.Background(), "wikipedia", "get_artist_url", nil)
	var failure *subjects.Error
	fmt.Println(errors.As(err, &failure) && failure.NothingRan(), errors.Is(err, subjects.ErrUnavailable))
	// Output: true true
}

// What Submit has taken reaches each plugin with Scrobbler, whatever happens to it meanwhile. Submitting again what may have
// been taken does no harm.
func ExampleScrobbles() {
	conn, err := client.Connect(nats.DefaultURL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()

	queue := client.New(conn).Scrobbles()
	track := &api.TrackInfo{Name: "Sinnerman", Album: "Pastel Blues", Artists: []*api.Artist{{Name: "Nina Simone"}}}
	for {
		err := queue.Submit(context.Background(), client.User{Name: "joe"}, track, time.Unix(1795977473, 0))
		if err == nil || errors.Is(err, subjects.ErrBadRequest) || errors.Is(err, subjects.ErrTooLarge) {
			return
		}
		fmt.Println("not yet:", err) // keep the play, and submit it again
	}
}

// A scrobble carries the user's id and name; its errors say whether sending it
// again is safe.
func ExampleScrobbler() {
	conn, err := client.Connect(nats.DefaultURL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()

	joe := client.User{ID: "1", Name: "joe"}
	track := &api.TrackInfo{Id: "t1", Name: "Sinnerman", Artists: []*api.Artist{{Name: "Nina Simone"}}}
	err = client.New(conn).Scrobbler("webhook").Scrobble(ctx, joe, track, time.Now())
	var failure *subjects.Error
	if errors.As(err, &failure) && failure.NothingRan() {
		fmt.Println("keep it for later:", failure)
	}
}

// userKey is where the music server of the example keeps who is logged in.
type userKey struct{}

// A music server with a NATS connection offers its Subsonic API and the addresses of
// its images to plugins. A middleware makes a login of its own of the user.
func ExampleServeNavidrome() {
	conn, err := nats.Connect(nats.DefaultURL)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	router := http.NewServeMux() // GET /rest/ping and all the others
	service, err := client.ServeNavidrome(conn, client.Navidrome{
		Subsonic: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx := context.WithValue(r.Context(), userKey{}, client.SubsonicUser(r.Context()))
			router.ServeHTTP(w, r.WithContext(ctx))
		}),
		Artwork: func(_ context.Context, request subjects.ArtworkRequest) (string, error) {
			return fmt.Sprintf("https://music.example.com/share/img/%s-%s", request.Kind, request.ID), nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	// When the music server stops:
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := service.Stop(ctx); err != nil {
		fmt.Println(err)
	}
}
