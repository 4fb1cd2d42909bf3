package jet_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/testenv"
)

const (
	lease = 3 * time.Second
	// wait is how long something may take that happens in an instant.
	wait = 30 * time.Second
)

// A server that was killed reads its disk anew, where what has gone because of a limit
// leaves no trace.
func TestWhatWasRemovedStaysRemovedWhenServersAreKilled(t *testing.T) {
	cluster := testenv.StartNATSCluster(t)
	conn := testenv.Connect(t, cluster.URL(), nats.MaxReconnects(-1))
	handle, err := jet.New(jet.Config{
		Conn: conn, Logger: slog.New(slog.DiscardHandler), Patience: wait, Lease: lease, RemovedTTL: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer handle.Close()
	if _, err := handle.EnsureBucket(t.Context(), jet.ScheduleBucket); err != nil {
		t.Fatal(err)
	}
	records, err := handle.OpenRecords(t.Context(), jet.ScheduleBucket)
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), jet.ScheduleBucket.Stream())
	if err != nil {
		t.Fatal(err)
	}
	const keys, versions, kept = 40, 3, 20
	for n := range keys {
		key, revision := fmt.Sprint("p.", n), uint64(0)
		for version := range versions {
			if revision, err = records.Update(t.Context(), key, fmt.Sprint(version), revision); err != nil {
				t.Fatal(err)
			}
		}
		if n%2 == 0 {
			continue // stays
		}
		if err := records.Remove(t.Context(), key, revision); err != nil {
			t.Fatal(err)
		}
	}
	// messages are those of the bucket, once somebody answers.
	messages := func() uint64 {
		for deadline := time.Now().Add(wait); ; {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			info, err := stream.Info(ctx)
			cancel()
			switch {
			case err == nil:
				return info.State.Msgs
			case time.Now().After(deadline):
				t.Fatal(err)
			}
			<-time.After(10 * time.Millisecond)
		}
	}
	for deadline := time.Now().Add(wait); messages() > kept; {
		if time.Now().After(deadline) {
			t.Fatal("it is told for ever that they were removed")
		}
		<-time.After(10 * time.Millisecond)
	}
	for _, server := range cluster.Servers() {
		cluster.Kill(server)
	}
	for _, server := range cluster.Servers() {
		cluster.Start(server)
	}
	if n := messages(); n != kept {
		t.Errorf("there are %d records, want the %d that were not removed", n, kept)
	}
}
