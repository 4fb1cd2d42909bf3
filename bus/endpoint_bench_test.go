package bus_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/sdk/call"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// BenchmarkEndpoint is a whole call of a method that does nothing: server and caller are in it.
func BenchmarkEndpoint(b *testing.B) {
	url := testenv.NATS(b)
	host, err := bus.Open(b.Context(), bus.Config{URL: url, Name: "r1", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer host.Close()
	method := echo()
	stats := new(call.Stats)
	e, err := host.Serve(b.Context(), bus.EndpointConfig{
		ID: "p", Replica: "r1", Stats: stats,
		Calls: call.NewServer(call.Config{
			ID: "p", Turns: turns, Observer: stats,
			Resolve: func(string, bool) (call.Method, error) { return method, nil },
			Limits:  call.Limits{MaxInFlight: 10, Timeout: wait, MaxTimeout: wait},
		}),
		Describe: func() bus.Description { return bus.Description{} },
	})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = e.Drain(context.Background()) }()
	conn := testenv.Connect(b, url)
	for name, body := range map[string]string{"bytes": "x", "json": "{}", "large json": large(10_000)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				msg := nats.NewMsg("plugins.p.get")
				msg.Header.Set(subjects.HeaderTimeout, "10s")
				msg.Data = []byte(body)
				if _, err := conn.RequestMsg(msg, wait); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
