package tokenstore_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/sdk/tokenstore"
	"github.com/pluginhost/pluginhost/subjects"
)

// A listener lets in who shows a token for plays. That nobody could tell is no refusal.
func Example() {
	conn, err := nats.Connect(nats.DefaultURL, nats.MaxReconnects(-1))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	store, err := tokenstore.Open(ctx, js)
	if err != nil {
		fmt.Println(err)
		return
	}

	token, err := store.Find(ctx, "ph_…")
	switch {
	case errors.Is(err, tokenstore.ErrUnknown), err == nil && !token.Allows(subjects.ScopeScrobble):
		fmt.Println("401: no token for plays")
	case err != nil:
		fmt.Println("503: try again later")
	default:
		fmt.Println("200:", token.User)
	}
}
