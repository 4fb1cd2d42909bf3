package client_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// However little time there is: what is not told to have failed is done.
func TestSchedulesAreAllCancelledOrThereIsAnError(t *testing.T) {
	t.Parallel()
	conn := testenv.Connect(t, testenv.NATS(t))
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "KV_" + subjects.ScheduleBucket, Subjects: []string{"$KV." + subjects.ScheduleBucket + ".>"},
		MaxMsgsPerSubject: 64, Discard: jetstream.DiscardNew, AllowRollup: true, DenyDelete: true, AllowMsgTTL: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	const schedules = 500
	for i := range schedules {
		subject := "$KV." + subjects.ScheduleBucket + "." + subjects.ScheduleKey("p", fmt.Sprint(i))
		if _, err := js.PublishAsync(subject, []byte(`{"v":1,"plugin":"p"}`)); err != nil {
			t.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
	caller := client.New(conn)
	failed, left := 0, schedules
	for timeout := 100 * time.Microsecond; left > 0; timeout += timeout / 50 {
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		cancelled, err := caller.CancelSchedules(ctx, "p")
		cancel()
		if err != nil {
			failed++
		}
		all, listed := caller.Schedules(t.Context(), "p")
		if listed != nil {
			t.Fatal(listed)
		}
		if left = len(all); err == nil && left > 0 {
			t.Fatalf("in %v it says that it has cancelled %d, and %d are left", timeout, cancelled, left)
		}
	}
	if failed == 0 {
		t.Error("the time was never too short")
	}
}
