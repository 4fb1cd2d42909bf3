package bus_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// offered is what JetStream offers in these tests, and piece what is stored at once.
const (
	offered = 4 << 20
	piece   = 48 << 10
)

// limitedAccount is the URL of a server whose account stores so many bytes.
func limitedAccount(t *testing.T) string {
	t.Helper()
	s := testenv.Server(t)
	limits := server.JetStreamAccountLimits{MaxStore: offered, MaxMemory: -1, MaxStreams: -1, MaxConsumers: -1}
	if err := s.GlobalAccount().UpdateJetStreamLimits(map[string]server.JetStreamAccountLimits{"": limits}); err != nil {
		t.Fatal(err)
	}
	return s.ClientURL()
}

func TestValuesOfAllPluginsTakeNoMoreThanHalfOfWhatTheAccountStores(t *testing.T) {
	b := open(t, limitedAccount(t))
	c, err := b.OpenCache(t.Context(), bus.CacheConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	plugins := []*bus.PluginCache{c.Of("p", roomy), c.Of("q", roomy)}
	large := string(bytes.Repeat([]byte("v"), piece))
	n := 0
	for ; err == nil; n++ {
		err = plugins[n%2].Set(t.Context(), fmt.Sprint(n), []byte(large), time.Hour)
	}
	if !errors.Is(err, bus.ErrCacheLimit) || !strings.Contains(err.Error(), "all plugins") {
		t.Fatalf("value %d: %v", n, err)
	}
	if stored := (n - 1) * piece; stored > offered/2 || stored < offered/2-4*piece {
		t.Errorf("%d bytes were stored of %d", stored, offered)
	}
	// At the limit what is no longer fits, and what is removed makes room.
	set(t, plugins[0], "0", large[1:])
	set(t, plugins[1], "1", "short")
	if err := plugins[0].Remove(t.Context(), "0"); err != nil {
		t.Fatal(err)
	}
	set(t, plugins[1], "more", large)
	// The host's own records fit all the time.
	stop(t, heartbeat(t, b, "r1"))
}

func TestSchedulesOfAllPluginsTakeNoMoreThanAQuarterOfWhatTheAccountStores(t *testing.T) {
	b := open(t, limitedAccount(t))
	c, err := b.OpenCache(t.Context(), bus.CacheConfig{}) // which asks how much there is
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	s := openSchedules(t, b)
	schedule := func(n, size int) error {
		record := subjects.ScheduleRecord{Plugin: fmt.Sprint("p", n%2), Schedule: fmt.Append(nil, n), Due: time.Now().Add(time.Hour), Payload: make([]byte, size)}
		return s.Set(t.Context(), record, bus.ScheduleLimit{Max: 1000})
	}
	n := 0
	for ; err == nil; n++ {
		err = schedule(n, piece)
	}
	if !errors.Is(err, bus.ErrScheduleLimit) || !strings.Contains(err.Error(), "all plugins") {
		t.Fatalf("schedule %d: %v", n, err)
	}
	// JSON has a third more.
	if stored := (n - 1) * piece * 4 / 3; stored > offered/4 || stored < offered/4-4*piece {
		t.Errorf("%d bytes were stored of %d", stored, offered)
	}
	for _, size := range []int{piece, 1} {
		if err := schedule(0, size); err != nil {
			t.Errorf("replaced by one of %d bytes: %v", size, err)
		}
	}
	if _, err := s.Cancel(t.Context(), "p1", "1"); err != nil {
		t.Fatal(err)
	}
	if err := schedule(n, piece); err != nil {
		t.Errorf("after one was cancelled: %v", err)
	}
}

// What a server stores that has no account with a limit, it tells when that is full.
func TestOlderValuesGiveWayOnAServerThatIsFull(t *testing.T) {
	url := testenv.NATS(t, func(o *server.Options) { o.JetStreamMaxStore = offered })
	b := open(t, url)
	h := heartbeat(t, b, "r1")
	defer stop(t, h)
	c, err := b.OpenCache(t.Context(), bus.CacheConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	p := c.Of("p", roomy)
	large := string(bytes.Repeat([]byte("v"), piece))
	n := 0
	for ; err == nil; n++ {
		err = p.Set(t.Context(), fmt.Sprint(n), []byte(large), time.Hour)
	}
	if errors.Is(err, bus.ErrCacheLimit) {
		t.Fatal("the server's limit was known before")
	}
	for _, isFault := range []bool{true, false} {
		for (b.WriteFault() != nil) != isFault {
			<-time.After(time.Millisecond)
		}
	}
	wantValue(t, p, "0", "absent")
	wantValue(t, p, fmt.Sprint(n-2), large)
	// From now on the limit is known, and the server does not become full again.
	for err = nil; err == nil; n++ {
		err = p.Set(t.Context(), fmt.Sprint(n), []byte(large), time.Hour)
	}
	if !errors.Is(err, bus.ErrCacheLimit) {
		t.Errorf("got %v", err)
	}
}
