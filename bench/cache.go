package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/bus/kvcache"
	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/hostsvc/cache"
	hostapi "github.com/pluginhost/pluginhost/sdk/api/host"
	apicache "github.com/pluginhost/pluginhost/sdk/api/host/cache"
)

const (
	// cacheKeys is how many values the rows use in turn, of cacheValueSize bytes.
	cacheKeys      = 1000
	cacheValueSize = 200
)

// cacheSection measures the cache of a plugin from the side of the host.
func cacheSection() section {
	return section{
		name: "cache", title: "The cache of a plugin, by the same operation of a bare KV bucket", baseline: "bare KV",
		shows: []quantity{p50, p99, perSecond, p50Ratio},
		run:   measureCache,
	}
}

func measureCache(ctx context.Context, b *bench) (_ []*row, err error) {
	e := &environment{}
	defer func() { err = errors.Join(err, e.close(context.WithoutCancel(ctx))) }()
	if err := e.startServer(filepath.Join(b.dir, "cache")); err != nil {
		return nil, err
	}
	conn, err := nats.Connect(e.server.ClientURL())
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	defer conn.Close()
	bare, err := openBareKV(ctx, conn)
	if err != nil {
		return nil, err
	}
	own, err := bus.Open(ctx, bus.Config{URL: e.server.ClientURL(), Name: "bench", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	defer own.Close()
	defaults := config.Default().Cache
	values, err := kvcache.Open(ctx, own.Jet(), kvcache.Config{Copy: defaults.Copy, Staleness: defaults.Staleness})
	if err != nil {
		return nil, err
	}
	defer values.Stop()
	functions := apicache.Functions(cache.New(cache.Config{
		PluginID: "bench", MaxValue: defaults.MaxValue,
		Store: values.Of("bench", kvcache.Limits{MaxEntries: defaults.MaxEntries, MaxBytes: defaults.MaxBytes}),
	}))
	rows, err := cacheRows(ctx, bare, functions)
	if err != nil {
		return nil, err
	}
	return rows, b.measure(ctx, rows, 20, 125*time.Millisecond)
}

// openBareKV makes a bucket like that of the cache, with nothing of ours around
// it.
func openBareKV(ctx context.Context, conn *nats.Conn) (jetstream.KeyValue, error) {
	js, err := jetstream.New(conn)
	if err != nil {
		return nil, err
	}
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{
		Name: "KV_bench", Subjects: []string{"$KV.bench.>"}, MaxMsgsPerSubject: 1, Discard: jetstream.DiscardNew,
		AllowRollup: true, DenyDelete: true, AllowMsgTTL: true, SubjectDeleteMarkerTTL: time.Minute,
	})
	if err != nil {
		return nil, fmt.Errorf("bare bucket: %w", err)
	}
	return js.KeyValue(ctx, "bench")
}

func cacheRows(ctx context.Context, bare jetstream.KeyValue, functions []hostapi.Function) ([]*row, error) {
	value := strings.Repeat("v", cacheValueSize)
	putValue := func(ctx context.Context, key string) error {
		_, err := bare.Put(ctx, key, []byte(value))
		return err
	}
	setValue := func(ctx context.Context, key string) error {
		var response apicache.SetResponse
		err := callFunction(ctx, functions, "set_string", &apicache.SetStringRequest{Key: key, Value: value}, &response)
		if err == nil && !response.Success {
			err = errors.New("it was not stored")
		}
		return err
	}
	for _, key := range keysInTurn() {
		if err := errors.Join(putValue(ctx, key), setValue(ctx, key)); err != nil {
			return nil, err
		}
	}
	put := &row{name: "put, bare KV", callers: 1, take: inTurn(putValue)}
	get := &row{name: "get, bare KV", callers: 1, take: inTurn(func(ctx context.Context, key string) error {
		_, err := bare.Get(ctx, key)
		return err
	})}
	getNone := &row{name: "get of what is not there, bare KV", callers: 1, take: inTurn(func(ctx context.Context, key string) error {
		if _, err := bare.Get(ctx, "none-"+key); !errors.Is(err, jetstream.ErrKeyNotFound) {
			return fmt.Errorf("got %w, want ErrKeyNotFound", err)
		}
		return nil
	})}
	set := &row{name: "set", callers: 1, against: put, aims: []aim{{of: p50Ratio, bound: 1.3}}, take: inTurn(setValue)}
	read := func(prefix string, want bool) source {
		return inTurn(func(ctx context.Context, key string) error {
			var response apicache.GetStringResponse
			err := callFunction(ctx, functions, "get_string", &apicache.GetRequest{Key: prefix + key}, &response)
			if err == nil && response.Exists != want {
				err = fmt.Errorf("exists is %t", response.Exists)
			}
			return err
		})
	}
	hit := &row{name: "hit", callers: 1, against: get, aims: []aim{{of: p50, bound: 2}}, take: read("", true)}
	miss := &row{name: "miss", callers: 1, against: getNone, take: read("none-", false)}
	return []*row{put, set, get, hit, getNone, miss}, nil
}

// inTurn does something with one key after the other.
func inTurn(do func(ctx context.Context, key string) error) source {
	keys := keysInTurn()
	n := 0
	return calls(1, func(ctx context.Context, _ int) error {
		n++
		return do(ctx, keys[n%cacheKeys])
	})
}

func keysInTurn() []string {
	keys := make([]string, cacheKeys)
	for i := range keys {
		keys[i] = "artist-" + strconv.Itoa(i)
	}
	return keys
}

// message is what the generated types of the contract can do.
type message interface {
	MarshalVT() ([]byte, error)
	UnmarshalVT([]byte) error
}

// callFunction calls a host function as a guest does: with the bytes of messages.
func callFunction(ctx context.Context, functions []hostapi.Function, name string, request, response message) error {
	i := slices.IndexFunc(functions, func(f hostapi.Function) bool { return f.Name == name })
	if i < 0 {
		return fmt.Errorf("no function %s", name)
	}
	body, err := request.MarshalVT()
	if err != nil {
		return err
	}
	answer, err := functions[i].Call(ctx, body)
	if err != nil {
		return err
	}
	return response.UnmarshalVT(answer)
}
