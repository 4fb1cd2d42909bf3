package client_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
)

// A scrobble carries the user's id and name; its errors say whether sending it
// again is safe.
func ExampleScrobbler() {
	// A scrobble that cannot be sent now must not be sent when its caller has given it up.
	conn, err := nats.Connect(nats.DefaultURL, nats.MaxReconnects(-1), nats.ReconnectBufSize(-1))
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
