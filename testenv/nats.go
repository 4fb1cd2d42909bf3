package testenv

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

const startTimeout = 30 * time.Second

// NATS starts a server with JetStream and returns its URL. Options may change
// it before it starts.
func NATS(t testing.TB, options ...func(*server.Options)) string {
	t.Helper()
	return startServer(t, options...).ClientURL()
}

func startServer(t testing.TB, options ...func(*server.Options)) *server.Server {
	t.Helper()
	config := &server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true}
	for _, option := range options {
		option(config)
	}
	s, err := server.NewServer(config)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(startTimeout) {
		t.Fatal("the NATS server does not become ready")
	}
	return s
}

// Cluster starts three servers with clustered JetStream and returns their URLs
// once they have a leader.
func Cluster(t testing.TB) []string {
	t.Helper()
	var servers []*server.Server
	var urls []string
	for i := range 3 {
		s := startServer(t, func(o *server.Options) {
			o.ServerName = fmt.Sprintf("n%d", i)
			o.Cluster = server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: server.RANDOM_PORT}
			for _, peer := range servers {
				o.Routes = append(o.Routes, &url.URL{Scheme: "nats", Host: peer.ClusterAddr().String()})
			}
		})
		servers = append(servers, s)
		urls = append(urls, s.ClientURL())
	}
	deadline := time.Now().Add(startTimeout)
	for _, s := range servers {
		for !s.JetStreamIsCurrent() || len(s.JetStreamClusterPeers()) < len(servers) && s.JetStreamIsLeader() {
			if time.Now().After(deadline) {
				t.Fatal("the JetStream cluster does not become current")
			}
			time.Sleep(10 * time.Millisecond) //nolint:forbidigo // the server has no event for it
		}
	}
	return urls
}

// Connect returns a connection that is closed with the test.
func Connect(t testing.TB, url string) *nats.Conn {
	t.Helper()
	conn, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}
