package jet_test

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/testenv"
)

// What a replica does with package jet, from the first to the last: read it first.
func TestAProgramKeepsRecords(t *testing.T) {
	ctx := t.Context()
	conn := testenv.Connect(t, testenv.NATS(t), nats.MaxReconnects(-1))
	handle, err := jet.New(jet.Config{Conn: conn, Logger: slog.New(slog.DiscardHandler), Patience: wait, Lease: lease})
	if err != nil {
		t.Fatal(err)
	}
	defer handle.Close()

	// A bucket is made by whoever is first, and opened by all others.
	if _, err := handle.EnsureBucket(ctx, jet.ScheduleBucket); err != nil {
		t.Fatal(err)
	}
	records, err := handle.OpenRecords(ctx, jet.ScheduleBucket)
	if err != nil {
		t.Fatal(err)
	}

	// A follower is told of all that is there, and then of each change.
	changes := make(chan jet.Change, 4)
	follower, err := handle.Follow(ctx, jet.ScheduleBucket, func(change jet.Change) { changes <- change })
	if err != nil {
		t.Fatal(err)
	}
	defer follower.Stop()
	if first := <-changes; !first.Anew {
		t.Errorf("it begins with %+v, not with a new bucket", first)
	}

	// A record is written in the place of what its writer has seen: 0 is nothing. Of two writers one is told that it was too late.
	first, err := records.Update(ctx, "p.daily", "at noon", 0)
	if err != nil {
		t.Fatal(err)
	}
	second, err := records.Update(ctx, "p.daily", "at one", first)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := records.Update(ctx, "p.daily", "at two", first); !errors.Is(err, jet.ErrMoved) {
		t.Errorf("whoever was too late is told %v", err)
	}
	var found string
	if revision, err := records.Get(ctx, "p.daily", &found); err != nil || found != "at one" || revision != second {
		t.Errorf("found %q at %d, %v", found, revision, err)
	}
	if err := records.Remove(ctx, "p.daily", second); err != nil {
		t.Fatal(err)
	}
	if _, err := records.Get(ctx, "p.daily", &found); !errors.Is(err, jet.ErrNoRecord) {
		t.Errorf("a removed record is %v", err)
	}

	for _, want := range []string{"at noon", "at one", ""} {
		change, told := <-changes, ""
		if !change.Gone {
			if err := change.Decode(&told); err != nil {
				t.Fatal(err)
			}
		}
		if change.Key != "p.daily" || told != want {
			t.Errorf("told of %q in %+v, want %q", told, change, want)
		}
	}
}
