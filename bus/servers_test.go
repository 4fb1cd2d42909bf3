package bus_test

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/testenv"
)

// awaitServer waits until a bus has heard of a server.
func awaitServer(t *testing.T, b *bus.Bus, address string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for timeout := time.After(wait); !slices.Contains(b.Servers(), address); {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("%s is missing: %q", address, b.Servers())
		}
	}
}

func TestTheServersOfAConnectionAreThoseItCanMoveTo(t *testing.T) {
	t.Parallel()
	cluster := testenv.ClusterServers(t)
	port := cluster[0].Addr().(*net.TCPAddr).Port
	b, err := bus.Open(t.Context(), bus.Config{URL: fmt.Sprintf("localhost:%d,nats://nats.invalid", port)})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, want := range []string{
		fmt.Sprintf("localhost:%d", port), fmt.Sprintf("127.0.0.1:%d", port), "nats.invalid:4222",
		cluster[1].Addr().String(), cluster[2].Addr().String(),
	} {
		if !slices.Contains(b.Servers(), want) {
			t.Errorf("%s is missing: %q", want, b.Servers())
		}
	}

	join := func() *server.Server {
		return testenv.Server(t, func(o *server.Options) {
			o.JetStream = false
			o.Cluster = server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: server.RANDOM_PORT}
			o.Routes = []*url.URL{{Scheme: "nats", Host: cluster[0].ClusterAddr().String()}}
		})
	}
	fourth := join()
	address := fourth.Addr().String()
	awaitServer(t, b, address)

	// nats.go forgets one that is gone, and tells nobody once it is back.
	fourth.Shutdown()
	fourth.WaitForShutdown()
	awaitServer(t, b, join().Addr().String())
	if !slices.Contains(b.Servers(), address) {
		t.Errorf("the fourth server is forgotten: %q", b.Servers())
	}
}

func TestTheServerOfAnEmbeddingBusIsWhereItListens(t *testing.T) {
	t.Parallel()
	b, err := bus.Open(t.Context(), bus.Config{Embedded: bus.Embedded{Listen: "0.0.0.0:0", Token: "t", StoreDir: t.TempDir()}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	address, err := url.Parse(b.URL())
	if err != nil {
		t.Fatal(err)
	}
	if got := b.Servers(); len(got) != 1 || !strings.HasSuffix(got[0], ":"+address.Port()) {
		t.Errorf("got %q, want the port of %s alone", got, address)
	}
}
