package cache_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/bus/kvcache"
	"github.com/pluginhost/pluginhost/hostsvc/cache"
	api "github.com/pluginhost/pluginhost/sdk/api/host/cache"
	"github.com/pluginhost/pluginhost/testenv"
)

const maxValue = 1000

// service is a Service on a real bucket, whose log goes to the writer.
func service(t *testing.T) (*cache.Service, *bytes.Buffer) {
	t.Helper()
	b, err := bus.Open(t.Context(), bus.Config{URL: testenv.NATS(t), Name: "r", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	c, err := kvcache.Open(t.Context(), b.Jet(), kvcache.Config{Copy: 1e6, Staleness: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	var log bytes.Buffer
	return cache.New(cache.Config{
		PluginID: "p",
		Store:    c.Of("p", kvcache.Limits{MaxEntries: 100, MaxBytes: 1e6}),
		MaxValue: maxValue,
		Logger:   slog.New(slog.NewTextHandler(&log, nil)),
	}), &log
}

// written fails the test unless a write has succeeded.
func written[R interface{ GetSuccess() bool }](t *testing.T) func(R, error) {
	return func(r R, err error) {
		t.Helper()
		if err != nil || !r.GetSuccess() {
			t.Errorf("not written: %v, %v", r, err)
		}
	}
}

func TestEveryTypeKeepsItsValue(t *testing.T) {
	s, _ := service(t)
	ctx, ok := t.Context(), written[*api.SetResponse](t)
	for _, want := range []string{"", "text", "\x00\xff not UTF-8", strings.Repeat("x", maxValue)} {
		ok(s.SetString(ctx, &api.SetStringRequest{Key: "s", Value: want}))
		if r, err := s.GetString(ctx, &api.GetRequest{Key: "s"}); err != nil || !r.Exists || r.Value != want {
			t.Errorf("string %.20q: got %v, %v", want, r, err)
		}
		ok(s.SetBytes(ctx, &api.SetBytesRequest{Key: "b", Value: []byte(want)}))
		if r, err := s.GetBytes(ctx, &api.GetRequest{Key: "b"}); err != nil || !r.Exists || string(r.Value) != want {
			t.Errorf("bytes %.20q: got %v, %v", want, r, err)
		}
	}
	for _, want := range []int64{0, 1, -1, math.MaxInt64, math.MinInt64} {
		ok(s.SetInt(ctx, &api.SetIntRequest{Key: "i", Value: want}))
		if r, err := s.GetInt(ctx, &api.GetRequest{Key: "i"}); err != nil || !r.Exists || r.Value != want {
			t.Errorf("integer %d: got %v, %v", want, r, err)
		}
	}
	for _, want := range []float64{0, math.Copysign(0, -1), 1.5, math.Inf(-1), math.NaN(), math.SmallestNonzeroFloat64} {
		ok(s.SetFloat(ctx, &api.SetFloatRequest{Key: "f", Value: want}))
		if r, err := s.GetFloat(ctx, &api.GetRequest{Key: "f"}); err != nil || !r.Exists || math.Float64bits(r.Value) != math.Float64bits(want) {
			t.Errorf("float %v: got %v, %v", want, r, err)
		}
	}
}

func TestAValueOfAnotherTypeDoesNotExist(t *testing.T) {
	s, _ := service(t)
	ctx, ok := t.Context(), written[*api.SetResponse](t)
	exists := map[string]func(key string) (bool, error){
		"string": func(key string) (bool, error) {
			r, err := s.GetString(ctx, &api.GetRequest{Key: key})
			return r.Exists || r.Value != "", err
		},
		"int": func(key string) (bool, error) {
			r, err := s.GetInt(ctx, &api.GetRequest{Key: key})
			return r.Exists || r.Value != 0, err
		},
		"float": func(key string) (bool, error) {
			r, err := s.GetFloat(ctx, &api.GetRequest{Key: key})
			return r.Exists || r.Value != 0, err
		},
		"bytes": func(key string) (bool, error) {
			r, err := s.GetBytes(ctx, &api.GetRequest{Key: key})
			return r.Exists || len(r.Value) > 0, err
		},
	}
	ok(s.SetString(ctx, &api.SetStringRequest{Key: "string", Value: "12345678"}))
	ok(s.SetInt(ctx, &api.SetIntRequest{Key: "int", Value: 7}))
	ok(s.SetFloat(ctx, &api.SetFloatRequest{Key: "float", Value: 7}))
	ok(s.SetBytes(ctx, &api.SetBytesRequest{Key: "bytes", Value: []byte("12345678")}))
	for stored := range exists {
		for asked, check := range exists {
			if got, err := check(stored); err != nil || got != (stored == asked) {
				t.Errorf("%s read as %s: exists %t, %v", stored, asked, got, err)
			}
		}
		if r, err := s.Has(ctx, &api.HasRequest{Key: stored}); err != nil || !r.Exists {
			t.Errorf("Has of %s: %v, %v", stored, r, err)
		}
	}
	if got, err := exists["string"]("missing"); err != nil || got {
		t.Errorf("a missing value exists: %v", err)
	}
	// Another type overwrites.
	ok(s.SetInt(ctx, &api.SetIntRequest{Key: "string", Value: 7}))
	if got, err := exists["string"]("string"); err != nil || got {
		t.Errorf("overwritten by an integer it is still a string: %v", err)
	}
}

func TestRemoveWorksForEveryTypeAndForWhatIsNotThere(t *testing.T) {
	s, _ := service(t)
	removed := written[*api.RemoveResponse](t)
	written[*api.SetResponse](t)(s.SetInt(t.Context(), &api.SetIntRequest{Key: "k", Value: 1}))
	removed(s.Remove(t.Context(), &api.RemoveRequest{Key: "k"}))
	removed(s.Remove(t.Context(), &api.RemoveRequest{Key: "k"}))
	if r, err := s.Has(t.Context(), &api.HasRequest{Key: "k"}); err != nil || r.Exists {
		t.Errorf("it still exists: %v", err)
	}
}

func TestAValueOverTheLimitIsNotWrittenAndTheLogSaysWhy(t *testing.T) {
	s, log := service(t)
	r, err := s.SetString(t.Context(), &api.SetStringRequest{Key: "k", Value: strings.Repeat("x", maxValue+1)})
	if err != nil || r.Success {
		t.Errorf("got %v, %v", r, err)
	}
	for _, want := range []string{"level=WARN", "plugin=p", "key=k", "1001 bytes", "MaxValue is 1000"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q is not in %s", want, log)
		}
	}
}

// ttls is a store that only looks at how long values are to live.
type ttls struct{ last time.Duration }

func (s *ttls) Set(_ context.Context, _ string, _ []byte, ttl time.Duration) error {
	s.last = ttl
	return nil
}
func (*ttls) Get(context.Context, string) ([]byte, bool, error) { return nil, false, errAway }
func (*ttls) Remove(context.Context, string) error              { return errAway }

var errAway = errors.New("away")

func TestHowLongValuesLive(t *testing.T) {
	for seconds, want := range map[int64]time.Duration{
		0: 24 * time.Hour, -1: 24 * time.Hour, math.MinInt64: 24 * time.Hour,
		1: time.Second, 60: time.Minute, math.MaxInt64: math.MaxInt64 / time.Second * time.Second,
	} {
		store := &ttls{}
		s := cache.New(cache.Config{Store: store, MaxValue: 10})
		if _, err := s.SetInt(t.Context(), &api.SetIntRequest{TtlSeconds: seconds}); err != nil || store.last != want {
			t.Errorf("%d seconds: lives %v, %v; want %v", seconds, store.last, err, want)
		}
	}
}

// Responses of reads have no field for a failure: absent would be a lie that a
// plugin acts on.
func TestAFailedReadIsNoMiss(t *testing.T) {
	s := cache.New(cache.Config{Store: &ttls{}, Logger: slog.New(slog.DiscardHandler)})
	reads := map[string]func() error{
		"GetString": func() error { _, err := s.GetString(t.Context(), &api.GetRequest{}); return err },
		"GetInt":    func() error { _, err := s.GetInt(t.Context(), &api.GetRequest{}); return err },
		"GetFloat":  func() error { _, err := s.GetFloat(t.Context(), &api.GetRequest{}); return err },
		"GetBytes":  func() error { _, err := s.GetBytes(t.Context(), &api.GetRequest{}); return err },
		"Has":       func() error { _, err := s.Has(t.Context(), &api.HasRequest{}); return err },
	}
	for name, read := range reads {
		if err := read(); !errors.Is(err, errAway) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if r, err := s.Remove(t.Context(), &api.RemoveRequest{}); err != nil || r.Success {
		t.Errorf("Remove: %v, %v", r, err)
	}
}
