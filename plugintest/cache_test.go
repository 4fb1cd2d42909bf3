package plugintest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/plugintest"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

// services loads the guest of that name.
func services(t testing.TB, subsonic map[string]any) *plugintest.Host {
	t.Helper()
	if subsonic == nil {
		subsonic = reason
	}
	return guest(t, guests.Services, map[string]any{"cache": reason, "artwork": reason, "subsonicapi": subsonic}, plugin.MetadataAgent, plugin.Scrobbler)
}

func TestACachedValueLivesByTheClockOfTheHost(t *testing.T) {
	t.Parallel()
	host := services(t, nil)
	if r := do(t, host, command{Do: "set", Key: []byte("k"), Value: "v", TTL: 60}); !r.OK {
		t.Fatalf("got %+v", r)
	}
	if value, found := host.Cached("k"); !found || value != "v" {
		t.Errorf("the test finds %v, %v", value, found)
	}
	if r := do(t, host, command{Do: "get", Key: []byte("k")}); !r.OK || r.Value != "v" {
		t.Errorf("the plugin finds %+v", r)
	}
	advance(t, host, 59*time.Second)
	if r := do(t, host, command{Do: "has", Key: []byte("k")}); !r.OK {
		t.Errorf("after 59 seconds: %+v", r)
	}
	advance(t, host, time.Second)
	if r := do(t, host, command{Do: "has", Key: []byte("k")}); r.OK {
		t.Errorf("after a minute: %+v", r)
	}
	if value, found := host.Cached("k"); found {
		t.Errorf("after a minute the test finds %v", value)
	}
}

func TestThePluginFindsWhatTheTestHasCached(t *testing.T) {
	t.Parallel()
	host := services(t, nil)
	host.SetCached("text", "v", time.Minute)
	host.SetCached("number", int64(7), 0)
	host.SetCached("fraction", 0.5, time.Hour)
	host.SetCached("bytes", []byte{1}, time.Hour)
	if r := do(t, host, command{Do: "get", Key: []byte("text")}); !r.OK || r.Value != "v" {
		t.Errorf("got %+v", r)
	}
	if r := do(t, host, command{Do: "getInt", Key: []byte("number")}); !r.OK {
		t.Errorf("got %+v", r)
	}
	if r := do(t, host, command{Do: "remove", Key: []byte("fraction")}); !r.OK {
		t.Errorf("got %+v", r)
	}
	noon := host.Now()
	want := []plugintest.CacheEntry{
		{Key: "bytes", Value: []byte{1}, Expires: noon.Add(time.Hour)},
		{Key: "number", Value: int64(7), Expires: noon.Add(24 * time.Hour)},
		{Key: "text", Value: "v", Expires: noon.Add(time.Minute)},
	}
	if got := host.CacheEntries(); fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", want) {
		t.Errorf("got %#v, want %#v", got, want)
	}
}

func TestTheCacheHasTheLimitsOfAHost(t *testing.T) {
	t.Parallel()
	host := services(t, nil)
	if r := do(t, host, command{Do: "set", Key: []byte("k"), Value: "x", Times: 1_000_001}); r.OK {
		t.Errorf("a large value: %+v", r)
	}
	for i := range 10_000 {
		host.SetCached(fmt.Sprint(i), int64(i), time.Hour)
	}
	if r := do(t, host, command{Do: "set", Key: []byte("one more"), Value: "x"}); r.OK {
		t.Errorf("one value more: %+v", r)
	}
	if r := do(t, host, command{Do: "set", Key: []byte("7"), Value: "x"}); !r.OK {
		t.Errorf("in the place of another: %+v", r)
	}
	advance(t, host, time.Hour)
	if r := do(t, host, command{Do: "set", Key: []byte("one more"), Value: "x"}); !r.OK {
		t.Errorf("when their time is over: %+v", r)
	}
}

func TestWhatTheCacheDoesNotTakeFailsTheTest(t *testing.T) {
	t.Parallel()
	for want, value := range map[string]any{"not int": 7, "does not take": strings.Repeat("x", 1_000_001)} {
		says := fatal(t, func(tb testing.TB) {
			folder := services(tb, nil)
			folder.SetCached("k", value, 0)
		})
		if !strings.Contains(says, want) {
			t.Errorf("got %q, want %q", says, want)
		}
	}
}
