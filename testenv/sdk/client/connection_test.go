package client_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// operations are what a client can be asked to do, each with what is of no account here.
func operations(c *client.Client) map[string]func(ctx context.Context) error {
	content := []byte("a package")
	return map[string]func(ctx context.Context) error{
		"call": func(ctx context.Context) error {
			_, err := c.Call(ctx, "p", "get_artist_url", nil)
			return err
		},
		"call with JSON": func(ctx context.Context) error {
			_, err := c.CallJSON(ctx, "p", "get_artist_url", []byte("{}"), time.Second)
			return err
		},
		"metadata": func(ctx context.Context) error {
			_, err := c.MetadataAgent("p").GetArtistURL(ctx, &api.ArtistURLRequest{})
			return err
		},
		"scrobble": func(ctx context.Context) error {
			return c.Scrobbler("p").Scrobble(ctx, client.User{ID: "1", Name: "joe"}, &api.TrackInfo{}, time.Now())
		},
		"status":  func(ctx context.Context) error { _, err := c.Status(ctx); return err },
		"info":    func(ctx context.Context) error { _, err := c.Info(ctx, "p"); return err },
		"refresh": func(ctx context.Context) error { _, err := c.Refresh(ctx, "p"); return err },
		"forget":  func(ctx context.Context) error { _, err := c.Forget(ctx, "p"); return err },
		"plugins": func(ctx context.Context) error { _, err := c.Plugins(ctx, ""); return err },
		"purge the cache": func(ctx context.Context) error {
			return c.PurgeCache(ctx, "p")
		},
		"schedules":        func(ctx context.Context) error { _, err := c.Schedules(ctx, ""); return err },
		"cancel schedule":  func(ctx context.Context) error { _, err := c.CancelSchedule(ctx, "p", "s"); return err },
		"cancel schedules": func(ctx context.Context) error { _, err := c.CancelSchedules(ctx, "p"); return err },
		"package":          func(ctx context.Context) error { _, err := c.Package(ctx, "p"); return err },
		"packages":         func(ctx context.Context) error { _, err := c.Packages(ctx); return err },
		"package content": func(ctx context.Context) error {
			_, err := c.PackageContent(ctx, subjects.PackageRecord{Digest: "d", Size: 1})
			return err
		},
		"install": func(ctx context.Context) error {
			return c.InstallPackage(ctx, client.Package{ID: "p", Content: content}, nil)
		},
		"update": func(ctx context.Context) error {
			return c.UpdatePackage(ctx, client.Package{ID: "p", Content: content}, nil)
		},
		"drain":  func(ctx context.Context) error { _, err := c.Drain(ctx, ""); return err },
		"events": func(ctx context.Context) error { return c.Events(ctx, func(client.Event) {}) },
		"tokens": func(ctx context.Context) error { _, err := c.AccessTokens(ctx); return err },
		"queues": func(ctx context.Context) error { _, err := c.Queues(ctx, "", ""); return err },
		"remove": func(ctx context.Context) error { return c.RemovePackage(ctx, "p") },
	}
}

// refusedAtOnce says how far an operation was not refused, with nothing handed to nats.go.
func refusedAtOnce(t *testing.T, conn *nats.Conn, cause error) {
	t.Helper()
	for name, operation := range operations(client.New(conn)) {
		before := conn.Stats().OutMsgs
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		err := operation(ctx)
		var failure *subjects.Error
		if !errors.Is(err, subjects.ErrUnavailable) || !errors.As(err, &failure) || !failure.NothingRan() || !errors.Is(err, cause) {
			t.Errorf("%s: got %v, want ErrUnavailable for %v", name, err, cause)
		}
		if ctx.Err() != nil {
			t.Errorf("%s: it waited", name)
		}
		cancel()
		if sent := conn.Stats().OutMsgs - before; sent != 0 {
			t.Errorf("%s: %d messages are kept for later", name, sent)
		}
	}
}

func TestNothingIsSentOnAConnectionThatIsLost(t *testing.T) {
	t.Parallel()
	server := testenv.Restartable(t)
	conn, err := nats.Connect(server.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	lost, back := conn.StatusChanged(nats.RECONNECTING), conn.StatusChanged(nats.CONNECTED)
	server.Stop()
	<-lost
	refusedAtOnce(t, conn, nats.ErrConnectionReconnecting)
	server.Start()
	<-back
	if _, err := client.New(conn).Status(t.Context()); !errors.Is(err, client.ErrNoReplica) {
		t.Errorf("on the connection that is back: got %v, want ErrNoReplica", err)
	}
	conn.Close()
	refusedAtOnce(t, conn, nats.ErrConnectionClosed)
}

// A program may begin before its NATS server does.
func TestNothingIsSentOnAConnectionThatWasNeverThere(t *testing.T) {
	t.Parallel()
	server := testenv.Restartable(t)
	server.Stop()
	conn, err := nats.Connect(server.URL(), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	refusedAtOnce(t, conn, nats.ErrConnectionReconnecting)
}

// What was sent before the connection broke may have run: nobody may take it for a refusal.
func TestACallThatWasSentBeforeTheCutMayHaveRun(t *testing.T) {
	t.Parallel()
	server := testenv.Restartable(t)
	conn, err := nats.Connect(server.URL(), nats.MaxReconnects(-1), nats.ReconnectBufSize(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	if _, err := conn.Subscribe(subjects.Call("p", "scrobble"), func(*nats.Msg) { server.Stop() }); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err = client.New(conn).Call(ctx, "p", "scrobble", nil)
	var failure *subjects.Error
	if err == nil || errors.As(err, &failure) && failure.NothingRan() || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want that nobody knows", err)
	}
}
