package bus_test

import (
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/clustertest"
)

func TestEndpointsServeAgainWhenTheServerIsBack(t *testing.T) {
	t.Parallel()
	server := testenv.Restartable(t)
	b := testenv.Bus(t, server.URL())
	h := clustertest.Heartbeat(t, b, "r1")
	defer clustertest.Stop(t, h)
	serve(t, b, "p", echo())

	back := make(chan struct{})
	conn, err := nats.Connect(server.URL(), nats.MaxReconnects(-1), nats.ReconnectHandler(func(*nats.Conn) { close(back) }))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if reply := request(t, conn, "plugins.p.get", "before"); string(reply.Data) != "before" {
		t.Errorf("got %q", reply.Data)
	}
	server.Stop()
	server.Start()
	<-back
	// The host may come back later than the client.
	for {
		reply, err := conn.Request("plugins.p.get", []byte("after"), wait)
		if err == nil {
			if string(reply.Data) != "after" {
				t.Errorf("got %q", reply.Data)
			}
			break
		}
		if t.Context().Err() != nil {
			t.Fatal(err)
		}
	}
	// Its record is written again, too.
	if err := h.Beat(t.Context()); err != nil {
		t.Error(err)
	}
}
