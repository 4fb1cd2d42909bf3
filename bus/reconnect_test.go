package bus_test

import (
	"net/url"
	"strconv"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/testenv"
)

func TestEndpointsServeAgainWhenTheServerIsBack(t *testing.T) {
	store := t.TempDir()
	port := server.RANDOM_PORT
	start := func() *server.Server {
		return testenv.Server(t, func(o *server.Options) { o.Port, o.StoreDir = port, store })
	}
	first := start()
	address, err := url.Parse(first.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	if port, err = strconv.Atoi(address.Port()); err != nil {
		t.Fatal(err)
	}
	b := open(t, first.ClientURL())
	h := heartbeat(t, b, "r1")
	defer stop(t, h)
	serve(t, b, "p", echo())

	back := make(chan struct{})
	conn, err := nats.Connect(first.ClientURL(), nats.MaxReconnects(-1), nats.ReconnectHandler(func(*nats.Conn) { close(back) }))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if reply := request(t, conn, "plugins.p.get", "before"); string(reply.Data) != "before" {
		t.Errorf("got %q", reply.Data)
	}
	first.Shutdown()
	first.WaitForShutdown()
	start()
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
