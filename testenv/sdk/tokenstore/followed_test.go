package tokenstore_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/sdk/tokenstore"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

func TestAFollowedStoreKnowsTokensAndForgetsThoseThatWereRevoked(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	b := newBedAt(t, url, url)
	handle, err := jet.New(jet.Config{Conn: testenv.Connect(t, url), Patience: wait, Lease: 3 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(handle.Close)
	f, err := tokenstore.Follow(t.Context(), handle)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Stop)
	secret, made, err := b.Create(t.Context(), subjects.AccessTokenGrant{User: "joe", Scopes: []subjects.AccessScope{subjects.ScopeScrobble}})
	if err != nil {
		t.Fatal(err)
	}
	// At once, whether the watch has told of it or not.
	if found, err := f.Find(t.Context(), secret); err != nil || found.User != "joe" {
		t.Fatalf("found %+v, %v", found, err)
	}
	if err := b.Revoke(t.Context(), made.ID); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(wait); ; {
		_, err := f.Find(t.Context(), secret)
		if errors.Is(err, tokenstore.ErrUnknown) {
			break
		}
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("a token that was revoked: %v", err)
		}
	}
	if _, err := f.Find(t.Context(), "ph_nothing"); !errors.Is(err, tokenstore.ErrUnknown) {
		t.Errorf("no token: %v", err)
	}
}

// Anybody can make up tokens, and a leader that is away is waited for.
func TestTokensThatAreMadeUpLeaveRoomForThoseThatAreKnown(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	asked := make(chan struct{}, 100)
	link := testenv.StartNATSLink(t, url, func(_ *testenv.NATSLink, subject string) bool {
		if strings.HasPrefix(subject, "$JS.API.STREAM.MSG.GET.") {
			asked <- struct{}{}
		}
		return true
	})
	handle, err := jet.New(jet.Config{Conn: testenv.Connect(t, link.URL()), Patience: wait, Lease: 3 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(handle.Close)
	f, err := tokenstore.Follow(t.Context(), handle)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Stop)
	secret, _, err := newBedAt(t, url, url).Create(t.Context(), subjects.AccessTokenGrant{User: "joe", Scopes: []subjects.AccessScope{subjects.ScopeScrobble}})
	if err != nil {
		t.Fatal(err)
	}
	for known := false; !known; { // until a look costs no question
		if _, err := f.Find(t.Context(), secret); err != nil {
			t.Fatal(err)
		}
		select {
		case <-asked:
		default:
			known = true
		}
	}
	link.Hold()
	ctx, cancel := context.WithCancel(t.Context())
	var looking sync.WaitGroup
	defer looking.Wait()
	defer link.Release()
	defer cancel()
	for i := range 32 {
		looking.Go(func() { _, _ = f.Find(ctx, subjects.AccessTokenPrefix+strings.Repeat(string(rune('a'+i%20)), 52)) })
		<-asked
	}
	if _, err := f.Find(ctx, subjects.AccessTokenPrefix+strings.Repeat("a", 52)); !errors.Is(err, tokenstore.ErrBusy) {
		t.Errorf("one more that is made up: %v", err)
	}
	if found, err := f.Find(ctx, secret); err != nil || found.User != "joe" {
		t.Errorf("one that is known: %+v, %v", found, err)
	}
}
