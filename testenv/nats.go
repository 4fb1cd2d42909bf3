package testenv

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

const startTimeout = 30 * time.Second

// NATS starts a server with JetStream and returns its URL. It runs in a process of its own, where
// the race detector does not slow it down; with options, which may change it before it starts, in
// this one.
func NATS(t testing.TB, options ...func(*server.Options)) string {
	t.Helper()
	if len(options) == 0 {
		return StartNATSProcess(t, t.TempDir(), "").URL()
	}
	return Server(t, options...).ClientURL()
}

// Server starts a server with JetStream in this process, for tests that need the server itself.
func Server(t testing.TB, options ...func(*server.Options)) *server.Server {
	t.Helper()
	s := startServer(t, options...)
	awaitReady(t, s)
	return s
}

// Restartable starts a server that a test stops and starts again.
func Restartable(t testing.TB) *NATSProcess {
	t.Helper()
	return StartNATSProcess(t, t.TempDir(), "")
}

// startServer starts a server that is stopped with the test.
func startServer(t testing.TB, options ...func(*server.Options)) *server.Server {
	t.Helper()
	config := serverOptions(t.TempDir(), server.RANDOM_PORT)
	for _, option := range options {
		option(config)
	}
	return runServer(t, config)
}

func serverOptions(store string, port int) *server.Options {
	return &server.Options{Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: store, NoSigs: true, NoLog: true}
}

// newServer starts a server that the caller stops.
func newServer(t testing.TB, config *server.Options) *server.Server {
	t.Helper()
	s, err := server.NewServer(config)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	return s
}

func runServer(t testing.TB, config *server.Options) *server.Server {
	t.Helper()
	s := newServer(t, config)
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	return s
}

func awaitReady(t testing.TB, s *server.Server) {
	t.Helper()
	if !s.ReadyForConnections(startTimeout) {
		t.Fatal("the NATS server does not become ready")
	}
}

// Cluster starts three servers with clustered JetStream in this process, and returns their URLs. Each
// tells clients of the others.
func Cluster(t testing.TB) []string {
	t.Helper()
	var urls []string
	for _, s := range ClusterServers(t) {
		urls = append(urls, s.ClientURL())
	}
	return urls
}

// ClusterServers is Cluster for tests that need the servers themselves.
func ClusterServers(t testing.TB) []*server.Server {
	t.Helper()
	// A clustered JetStream wants to know its routes before it starts.
	ports := freePorts(t, 3)
	var routes []*url.URL
	for _, port := range ports {
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", port)})
	}
	var servers []*server.Server
	for i, port := range ports {
		servers = append(servers, startServer(t, func(o *server.Options) {
			o.ServerName = fmt.Sprintf("n%d", i)
			o.Cluster = server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: port}
			o.Routes = routes
		}))
	}
	awaitCluster(t, servers)
	return servers
}

// awaitCluster waits until servers have a leader and are current.
func awaitCluster(t testing.TB, servers []*server.Server) {
	t.Helper()
	for _, s := range servers {
		awaitReady(t, s)
	}
	leader := func(s *server.Server) bool {
		return s.JetStreamIsLeader() && len(s.JetStreamClusterPeers()) == len(servers)
	}
	await(t, "the JetStream cluster has no leader", func() bool { return slices.ContainsFunc(servers, leader) })
	for _, s := range servers {
		await(t, "the JetStream cluster is not current", s.JetStreamIsCurrent)
	}
}

// await polls what the server has no event for.
func await(t testing.TB, problem string, condition func() bool) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	timeout := time.After(startTimeout)
	for !condition() {
		select {
		case <-ticker.C:
		case <-timeout:
			t.Fatal(problem)
		}
	}
}

// freePorts returns ports that nobody listens on.
func freePorts(t testing.TB, n int) []int {
	t.Helper()
	ports := make([]int, n)
	for i := range ports {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = listener.Close() }()
		ports[i] = listener.Addr().(*net.TCPAddr).Port
	}
	return ports
}

// Connect returns a connection that is closed with the test.
func Connect(t testing.TB, url string, options ...nats.Option) *nats.Conn {
	t.Helper()
	conn, err := nats.Connect(url, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}
