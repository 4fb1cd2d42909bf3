package tokenstore_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/sdk/tokenstore"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

const wait = 20 * time.Second

// bed is a store on two connections, and the bucket for what a test does to it behind its back.
type bed struct {
	*tokenstore.Store
	other *tokenstore.Store
	t     *testing.T
	js    jetstream.JetStream
	kv    jetstream.KeyValue
}

func newBed(t *testing.T) *bed {
	t.Helper()
	url := testenv.NATS(t)
	return newBedAt(t, url, url)
}

func newBedAt(t *testing.T, url, other string) *bed {
	t.Helper()
	b := &bed{t: t}
	handle, err := jet.New(jet.Config{Conn: testenv.Connect(t, url), Patience: wait, Lease: wait})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(handle.Close)
	if b.Store, err = tokenstore.Ensure(t.Context(), handle); err != nil {
		t.Fatal(err)
	}
	if b.js, err = jetstream.New(testenv.Connect(t, other)); err != nil {
		t.Fatal(err)
	}
	if b.other, err = tokenstore.Open(t.Context(), b.js); err != nil {
		t.Fatal(err)
	}
	if b.kv, err = b.js.KeyValue(t.Context(), subjects.AccessTokenBucket); err != nil {
		t.Fatal(err)
	}
	return b
}

func joe() subjects.AccessTokenGrant {
	return subjects.AccessTokenGrant{User: "joe", UserID: "u1", Scopes: []subjects.AccessScope{subjects.ScopeScrobble}, Plugin: "p"}
}

func (b *bed) create() (secret string, record subjects.AccessTokenRecord) {
	b.t.Helper()
	secret, record, err := b.Create(b.t.Context(), joe())
	if err != nil {
		b.t.Fatal(err)
	}
	return secret, record
}

// put stores what it likes as the record of a secret, and returns the public id.
func (b *bed) put(secret string, record any) string {
	b.t.Helper()
	body, err := json.Marshal(record)
	if err == nil {
		_, err = b.js.PublishMsg(b.t.Context(), jet.AccessTokenBucket.Message(subjects.AccessTokenKey(secret), body))
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return idOf(secret)
}

func idOf(secret string) string { return subjects.AccessTokenID(subjects.AccessTokenKey(secret)) }

// secretOf makes a text that could be a secret, for a number.
func secretOf(n int) string {
	digits := strings.NewReplacer("0", "a", "1", "b", "8", "c", "9", "d").Replace(fmt.Sprintf("%052d", n))
	return subjects.AccessTokenPrefix + digits
}

func recordOf(secret string) subjects.AccessTokenRecord {
	return subjects.AccessTokenRecord{V: subjects.Version, ID: idOf(secret), AccessTokenGrant: joe(), Created: time.Now().UTC()}
}

func TestATokenIsGoodAndEndsForAllAtOnce(t *testing.T) {
	t.Parallel()
	for name, urls := range map[string]func() (string, string){
		"on one server":    func() (string, string) { url := testenv.NATS(t); return url, url },
		"on three servers": func() (string, string) { urls := testenv.Cluster(t); return urls[0], urls[2] },
	} {
		t.Run(name, func(t *testing.T) {
			url, other := urls()
			b := newBedAt(t, url, other)
			for range 20 {
				secret, record := b.create()
				if !subjects.IsAccessToken(secret) || record.ID != idOf(secret) || record.User != "joe" || record.Created.IsZero() {
					t.Fatalf("made %q, %+v", secret, record)
				}
				found, err := b.other.Find(t.Context(), secret)
				if err != nil || found.ID != record.ID || found.UserID != "u1" || found.Plugin != "p" || !found.Allows(subjects.ScopeScrobble) || found.Allows(subjects.ScopeCall) {
					t.Fatalf("found %+v, %v", found, err)
				}
				if list, err := b.other.List(t.Context()); err != nil || len(list) != 1 || list[0].ID != record.ID {
					t.Fatalf("listed %+v, %v", list, err)
				}
				if err := b.other.Revoke(t.Context(), record.ID); err != nil {
					t.Fatal(err)
				}
				for _, store := range []*tokenstore.Store{b.Store, b.other} {
					if _, err := store.Find(t.Context(), secret); !errors.Is(err, tokenstore.ErrUnknown) {
						t.Fatalf("after it was revoked: %v", err)
					}
				}
				if err := b.Revoke(t.Context(), record.ID); !errors.Is(err, tokenstore.ErrUnknown) {
					t.Fatalf("revoked again: %v", err)
				}
				if list, err := b.List(t.Context()); err != nil || list == nil || len(list) != 0 {
					t.Fatalf("afterwards %+v, %v", list, err)
				}
			}
		})
	}
}

func TestWhatIsNoSecretIsUnknown(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	secret, record := b.create()
	for _, text := range []string{"", "ph_", secret[:len(secret)-1], secret + "a", strings.ToUpper(secret), record.ID, subjects.AccessTokenKey(secret), secretOf(1), ">", strings.Repeat("x", 1<<20)} {
		if _, err := b.Find(t.Context(), text); !errors.Is(err, tokenstore.ErrUnknown) {
			t.Errorf("%.80q: %v", text, err)
		}
	}
	for _, id := range []string{"", "*", secret, subjects.AccessTokenKey(secret), strings.ToUpper(record.ID) + "A", "0123456789ab"} {
		if err := b.Revoke(t.Context(), id); !errors.Is(err, tokenstore.ErrUnknown) {
			t.Errorf("revoke %.80q: %v", id, err)
		}
	}
	if _, err := b.Find(t.Context(), secret); err != nil {
		t.Error(err)
	}
}

func TestATokenExpires(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	record := recordOf(secretOf(1))
	record.Expires = time.Now().Add(-time.Second)
	b.put(secretOf(1), record)
	if _, err := b.Find(t.Context(), secretOf(1)); !errors.Is(err, tokenstore.ErrUnknown) {
		t.Errorf("one that has expired: %v", err)
	}
	if list, err := b.List(t.Context()); err != nil || len(list) != 1 {
		t.Errorf("one that has expired is listed as %+v, %v", list, err)
	}
	grant := joe()
	grant.Expires = time.Now().Add(-time.Second)
	if _, _, err := b.Create(t.Context(), grant); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("made one that has: %v", err)
	}
	for _, lasts := range []time.Duration{time.Hour, 1<<63 - 1} {
		grant.Expires = time.Now().Add(lasts).UTC()
		secret, _, err := b.Create(t.Context(), grant)
		if err != nil {
			t.Fatal(err)
		}
		if found, err := b.Find(t.Context(), secret); err != nil || !found.Expires.Equal(grant.Expires) {
			t.Errorf("%+v, %v", found, err)
		}
		stream, err := b.js.Stream(t.Context(), jet.AccessTokenBucket.Stream())
		if err != nil {
			t.Fatal(err)
		}
		msg, err := stream.GetLastMsgForSubject(t.Context(), jet.AccessTokenBucket.Subject(subjects.AccessTokenKey(secret)))
		if err != nil {
			t.Fatal(err)
		}
		if ttl, err := strconv.Atoi(strings.TrimSuffix(msg.Header.Get(jetstream.MsgTTLHeader), "s")); err != nil || time.Duration(ttl)*time.Second < min(lasts, 100*365*24*time.Hour) {
			t.Errorf("it goes after %q", msg.Header.Get(jetstream.MsgTTLHeader))
		}
	}
}

func TestUseIsNotedOnceAnHour(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	secret, _ := b.create()
	key := subjects.AccessTokenKey(secret)
	watcher, err := b.kv.Watch(t.Context(), key, jetstream.UpdatesOnly())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = jet.EndWatch(watcher) }()
	noted := func() (jetstream.KeyValueEntry, subjects.AccessTokenRecord) {
		t.Helper()
		select {
		case entry := <-watcher.Updates():
			record, err := subjects.ParseAccessTokenRecord(key, entry.Value())
			if err != nil {
				t.Fatal(err)
			}
			return entry, record
		case <-time.After(wait):
			t.Fatal("nothing is noted")
			return nil, subjects.AccessTokenRecord{}
		}
	}
	find := func() {
		t.Helper()
		if _, err := b.Find(t.Context(), secret); err != nil {
			t.Fatal(err)
		}
	}
	find()
	first, record := noted()
	if age := time.Since(record.LastUsed); age < 0 || age > time.Hour {
		t.Errorf("it was used %v ago", age)
	}
	for range 20 {
		find()
	}
	if entry, err := b.kv.Get(t.Context(), key); err != nil || entry.Revision() > first.Revision() && time.Now().Truncate(time.Hour).Equal(record.LastUsed) {
		t.Errorf("it is noted again: %v, %v", entry, err)
	}
	for name, used := range map[string]time.Time{"long ago": time.Now().Add(-2 * time.Hour), "in the future, by a wrong clock": time.Now().Add(24 * time.Hour)} {
		record.LastUsed = used
		b.put(secret, record)
		noted()
		find()
		if _, record := noted(); time.Since(record.LastUsed).Abs() > time.Hour {
			t.Errorf("%s: now it is %v", name, record.LastUsed)
		}
	}
}

// Somebody finds a token, and notes that once it was revoked.
func TestUseDoesNotBringARevokedTokenBack(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	for n := range 200 {
		secret, record := b.create()
		found := make(chan error, 1)
		go func() {
			_, err := b.other.Find(t.Context(), secret)
			found <- err
		}()
		if n%2 == 0 {
			if err := <-found; err != nil {
				t.Fatal(err)
			}
			found <- nil
		}
		if err := b.Revoke(t.Context(), record.ID); err != nil {
			t.Fatal(err)
		}
		if err := <-found; err != nil && !errors.Is(err, tokenstore.ErrUnknown) {
			t.Fatal(err)
		}
		if err := b.js.Conn().Flush(); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Find(t.Context(), secret); !errors.Is(err, tokenstore.ErrUnknown) {
			t.Fatalf("token %d is back: %v", n, err)
		}
		// Not even once nothing tells of it any more.
		if n == 0 {
			key := subjects.AccessTokenKey(secret)
			stream, err := b.js.Stream(t.Context(), jet.AccessTokenBucket.Stream())
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.Purge(t.Context(), jetstream.WithPurgeSubject(jet.AccessTokenBucket.Subject(key))); err != nil {
				t.Fatal(err)
			}
			late := jet.AccessTokenBucket.Message(key, []byte("late"))
			late.Header.Set(jetstream.ExpectedLastSubjSeqHeader, "1")
			if ack, err := b.js.PublishMsg(t.Context(), late); err == nil {
				t.Errorf("what comes late is stored: %+v", ack)
			}
		}
	}
}

func TestARecordThatCannotBeReadStopsNoOther(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	secret, record := b.create()
	broken := []string{
		b.put(secretOf(1), "no record"),
		b.put(secretOf(2), map[string]any{"v": 2}),
		b.put(secretOf(3), recordOf(secretOf(4))),
	}
	if _, err := b.kv.PutString(t.Context(), "another.key", "{}"); err != nil {
		t.Fatal(err)
	}
	list, err := b.List(t.Context())
	if err == nil || len(list) != 1 || list[0].ID != record.ID {
		t.Fatalf("%+v, %v", list, err)
	}
	for n, id := range broken {
		if !strings.Contains(err.Error(), id) {
			t.Errorf("%v does not name %s", err, id)
		}
		if _, err := b.Find(t.Context(), secretOf(n+1)); err == nil || errors.Is(err, tokenstore.ErrUnknown) {
			t.Errorf("found, or unknown: %v", err)
		}
		if err := b.Revoke(t.Context(), id); err != nil {
			t.Error(err)
		}
	}
	if list, err := b.List(t.Context()); err != nil || len(list) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := b.Find(t.Context(), secret); err != nil {
		t.Error(err)
	}
}

func TestThereAreOnlySoManyTokens(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	for n := range tokenstore.MaxTokens {
		body, err := json.Marshal(recordOf(secretOf(n)))
		if err == nil {
			_, err = b.js.PublishMsgAsync(jet.AccessTokenBucket.Message(subjects.AccessTokenKey(secretOf(n)), body))
		}
		if err != nil {
			t.Fatal(err)
		}
		if n%1000 == 999 {
			select {
			case <-b.js.PublishAsyncComplete():
			case <-time.After(wait):
				t.Fatal("they are not stored")
			}
		}
	}
	if _, _, err := b.Create(t.Context(), joe()); !errors.Is(err, tokenstore.ErrTooMany) {
		t.Errorf("one more: %v", err)
	}
	begun := time.Now()
	list, err := b.List(t.Context())
	if err != nil || len(list) != tokenstore.MaxTokens || !slices.IsSortedFunc(list, func(a, b subjects.AccessTokenRecord) int { return a.Created.Compare(b.Created) }) {
		t.Errorf("%d are listed, %v", len(list), err)
	}
	t.Log("listed in", time.Since(begun))
	if _, err := b.Find(t.Context(), secretOf(tokenstore.MaxTokens-1)); err != nil {
		t.Error(err)
	}
}

func TestAGrantIsCheckedAndNothingTellsTheSecret(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	if _, _, err := b.Create(t.Context(), subjects.AccessTokenGrant{User: "joe"}); err == nil || !strings.Contains(err.Error(), "scope") {
		t.Errorf("without a scope: %v", err)
	}
	secret, record := b.create()
	list, err := b.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	shown, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	entry, err := b.kv.Get(t.Context(), subjects.AccessTokenKey(secret))
	if err != nil {
		t.Fatal(err)
	}
	b.put(secret, "no record")
	_, unreadable := b.Find(t.Context(), secret)
	_, listed := b.List(t.Context())
	for what, text := range map[string]string{
		"the list": string(shown), "the record": string(entry.Value()), "the key": entry.Key(), "what Create returns": fmt.Sprintf("%+v", record),
		"the error of a record": unreadable.Error(), "the error of a list": listed.Error(),
	} {
		if strings.Contains(text, secret) || strings.Contains(text, secret[len(subjects.AccessTokenPrefix):]) {
			t.Errorf("%s tells the secret: %s", what, text)
		}
	}
}

func TestABucketThatIsGoneIsNoUnknownToken(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	secret, record := b.create()
	if err := b.js.DeleteKeyValue(t.Context(), subjects.AccessTokenBucket); err != nil {
		t.Fatal(err)
	}
	_, found := b.Find(t.Context(), secret)
	_, listed := b.List(t.Context())
	_, _, made := b.Create(t.Context(), joe())
	_, opened := tokenstore.Open(t.Context(), b.js)
	for what, err := range map[string]error{"Find": found, "List": listed, "Create": made, "Revoke": b.Revoke(t.Context(), record.ID), "Open": opened} {
		if !errors.Is(err, tokenstore.ErrNoStore) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestABucketOfAnotherMakeIsRefused(t *testing.T) {
	t.Parallel()
	js, err := jetstream.New(testenv.Connect(t, testenv.NATS(t)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: subjects.AccessTokenBucket}); err != nil {
		t.Fatal(err)
	}
	if _, err := tokenstore.Open(t.Context(), js); !errors.Is(err, jet.ErrForeign) {
		t.Error(err)
	}
}

// Without a majority there is no leader, and nobody answers.
func TestALeaderThatIsAwayIsNoUnknownToken(t *testing.T) {
	t.Parallel()
	servers := testenv.ClusterServers(t)
	b := newBedAt(t, servers[0].ClientURL(), servers[0].ClientURL())
	secret, record := b.create()
	for _, server := range servers[1:] {
		server.Shutdown()
	}
	within := func(try func(ctx context.Context) error) error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		return try(ctx)
	}
	find := func(ctx context.Context) error { _, err := b.Find(ctx, secret); return err }
	// The server that is left believes for a while that it leads.
	for begun := time.Now(); within(find) == nil; {
		if time.Since(begun) > wait {
			t.Fatal("it is found without a majority")
		}
	}
	for what, try := range map[string]func(context.Context) error{
		"Find":   find,
		"List":   func(ctx context.Context) error { _, err := b.List(ctx); return err },
		"Create": func(ctx context.Context) error { _, _, err := b.Create(ctx, joe()); return err },
		"Revoke": func(ctx context.Context) error { return b.Revoke(ctx, record.ID) },
	} {
		if err := within(try); err == nil || errors.Is(err, tokenstore.ErrUnknown) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
