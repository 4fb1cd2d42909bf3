package schedule_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// A bucket whose newest message is gone with its time looks like one whose watch stays
// behind.
func TestABucketIsNotReadAnewForAMessageThatIsGone(t *testing.T) {
	t.Parallel()
	x := newRunnerTest(t)
	x.set("s", "")
	js, err := jetstream.New(testenv.Connect(t, x.url))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "KV_"+subjects.ScheduleBucket)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context()); err != nil { // as time does
		t.Fatal(err)
	}
	var log testenv.Log
	looks := make(chan struct{}, 1000)
	link := testenv.StartNATSLink(t, x.url, func(_ *testenv.NATSLink, subject string) bool {
		if subject == "$JS.API.STREAM.INFO.KV_"+subjects.ScheduleBucket {
			looks <- struct{}{}
		}
		return true
	})
	b, err := bus.Open(t.Context(), bus.Config{URL: link.URL(), Name: "late", Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	openSchedules(t, b)
	for len(looks) > 0 { // as it is opened
		<-looks
	}
	// The first look at the bucket finds how far it is, the second that the watch is not.
	for range 3 {
		<-looks
	}
	if text := log.String(); strings.Contains(text, "records are read anew") {
		t.Error(text)
	}
}
