package tokenstore_test

import (
	"errors"
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
