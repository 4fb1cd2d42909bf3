package kvcache_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/bus/kvcache"
	"github.com/pluginhost/pluginhost/bus/schedule"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/clustertest"
)

// offered is what JetStream offers in these tests, and piece what is stored at once.
const (
	offered = 4 << 20
	piece   = 48 << 10
)

// wholePiece is a value of one.
var wholePiece = strings.Repeat("v", piece)

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
	t.Parallel()
	b := testenv.Bus(t, limitedAccount(t))
	c, err := kvcache.Open(t.Context(), b.Jet(), kvcache.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	plugins := []*kvcache.PluginCache{c.Of("p", roomy), c.Of("q", roomy)}
	n := 0
	for ; err == nil; n++ {
		err = plugins[n%2].Set(t.Context(), fmt.Sprint(n), []byte(wholePiece), time.Hour)
	}
	if !errors.Is(err, kvcache.ErrLimit) || !strings.Contains(err.Error(), "all plugins") {
		t.Fatalf("value %d: %v", n, err)
	}
	if stored := (n - 1) * piece; stored > offered/2 || stored < offered/2-4*piece {
		t.Errorf("%d bytes were stored of %d", stored, offered)
	}
	// At the limit what is no longer fits, and what is removed makes room.
	set(t, plugins[0], "0", wholePiece[1:])
	set(t, plugins[1], "1", "short")
	if err := plugins[0].Remove(t.Context(), "0"); err != nil {
		t.Fatal(err)
	}
	set(t, plugins[1], "more", wholePiece)
	// The host's own records fit all the time.
	clustertest.Stop(t, clustertest.Heartbeat(t, b, "r1"))
}

func TestSchedulesOfAllPluginsTakeNoMoreThanAQuarterOfWhatTheAccountStores(t *testing.T) {
	t.Parallel()
	b := testenv.Bus(t, limitedAccount(t))
	c, err := kvcache.Open(t.Context(), b.Jet(), kvcache.Config{}) // which asks how much there is
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	s := openSchedules(t, b)
	put := func(n, size int) error {
		record := subjects.ScheduleRecord{Plugin: fmt.Sprint("p", n%2), Schedule: fmt.Append(nil, n), Due: time.Now().Add(time.Hour), Payload: make([]byte, size)}
		return s.Set(t.Context(), record, schedule.Limit{Max: 1000})
	}
	n := 0
	for ; err == nil; n++ {
		err = put(n, piece)
	}
	if !errors.Is(err, schedule.ErrLimit) || !strings.Contains(err.Error(), "all plugins") {
		t.Fatalf("schedule %d: %v", n, err)
	}
	// JSON has a third more.
	if stored := (n - 1) * piece * 4 / 3; stored > offered/4 || stored < offered/4-4*piece {
		t.Errorf("%d bytes were stored of %d", stored, offered)
	}
	for _, size := range []int{piece, 1} {
		if err := put(0, size); err != nil {
			t.Errorf("replaced by one of %d bytes: %v", size, err)
		}
	}
	if _, err := s.Cancel(t.Context(), "p1", "1"); err != nil {
		t.Fatal(err)
	}
	if err := put(n, piece); err != nil {
		t.Errorf("after one was cancelled: %v", err)
	}
}

// full fills a server that stores so many bytes, of which no account has a limit, and returns
// how many values the cache had when the server was full.
func full(t *testing.T, c *kvcache.Cache) (values int) {
	t.Helper()
	p := c.Of("p", roomy)
	set(t, p, "0", wholePiece)
	for i := range 500 { // what is written over moves the sequences on, and takes no room
		set(t, p, "often", fmt.Sprint(i))
	}
	var err error
	for values = 1; err == nil; values++ {
		err = p.Set(t.Context(), fmt.Sprint(values), []byte(wholePiece), time.Hour)
	}
	if errors.Is(err, kvcache.ErrLimit) {
		t.Fatal("the server's limit was known before")
	}
	return values - 1
}

// there counts the values of so many that are there.
func there(t *testing.T, c *kvcache.Cache, values int) (count int) {
	t.Helper()
	p := c.Of("p", roomy)
	for i := range values {
		if get(t, p, fmt.Sprint(i)) == wholePiece {
			count++
		}
	}
	return count
}

// smallServer is the URL of a server that stores so many bytes, without an account that says so.
func smallServer(t *testing.T) string {
	t.Helper()
	return testenv.NATS(t, func(o *server.Options) { o.JetStreamMaxStore = offered })
}

// What a server stores that has no account with a limit, it tells when that is full. Then the
// replicas remove what is beyond the share of the values together, and not each for itself.
func TestTheOldestValuesGiveWayOnAServerThatIsFull(t *testing.T) {
	t.Parallel()
	url := smallServer(t)
	var replicas []*bus.Bus
	var caches []*kvcache.Cache
	for _, name := range []string{"r1", "r2", "r3"} {
		b := testenv.Bus(t, url)
		h := clustertest.Heartbeat(t, b, name)
		defer clustertest.Stop(t, h)
		c, err := kvcache.Open(t.Context(), b.Jet(), kvcache.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Stop)
		replicas, caches = append(replicas, b), append(caches, c)
	}
	values := full(t, caches[0])
	isFault := func(b *bus.Bus) bool { return b.WriteFault() != nil }
	for _, want := range []bool{true, false} { // the first that gives way ends it for all
		deadline := time.After(wait)
		for slices.ContainsFunc(replicas, isFault) != want {
			select {
			case <-time.After(time.Millisecond):
			case <-deadline:
				t.Fatalf("that there is a fault stays %t", !want)
			}
		}
	}
	p := caches[0].Of("p", roomy)
	wantValue(t, p, "0", "absent")
	wantValue(t, p, fmt.Sprint(values-1), wholePiece)
	if count := there(t, caches[1], values); count < values*3/8 || count > values/2 {
		t.Errorf("%d of %d values are there, want a little less than half of them", count, values)
	}
	// What gave way does not count for its plugin any more.
	few := caches[0].Of("p", kvcache.Limits{MaxEntries: values - values/4, MaxBytes: 64e6})
	set(t, few, "one more", "v")
	// From now on the limit is known, and the server does not become full again.
	var err error
	for n := values; err == nil; n++ {
		err = p.Set(t.Context(), fmt.Sprint(n), []byte(wholePiece), time.Hour)
	}
	if !errors.Is(err, kvcache.ErrLimit) {
		t.Errorf("got %v", err)
	}
}

func TestAReplicaStartsOnAServerThatIsFullOfValues(t *testing.T) {
	t.Parallel()
	url := smallServer(t)
	b := testenv.Bus(t, url)
	clustertest.Stop(t, clustertest.Heartbeat(t, b, "r1"))
	c, err := kvcache.Open(t.Context(), b.Jet(), kvcache.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	values := full(t, c)
	clustertest.Stop(t, clustertest.Heartbeat(t, testenv.Bus(t, url), "r2"))
	if count := there(t, c, values); count < values*3/8 {
		t.Errorf("%d of %d values are there, want a little less than half of them", count, values)
	}
}

func openSchedules(t *testing.T, b *bus.Bus) *schedule.Schedules {
	t.Helper()
	s, err := schedule.Open(t.Context(), b.Jet(), func(string, *subjects.ScheduleRecord) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}
