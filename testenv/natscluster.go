package testenv

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"
)

// NATSCluster is three NATS servers with clustered JetStream, each a process of
// its own that a test can kill. They end with the test.
type NATSCluster struct {
	t       testing.TB
	binary  string
	servers []*clusterServer
}

// clusterServer is one of them; its name is n0, n1 or n2.
type clusterServer struct {
	name, url, config string
	store             string // the folder of its data
	monitoring        string // host:port
	log               Log
	process           *exec.Cmd
}

// StartNATSCluster returns when JetStream takes work.
func StartNATSCluster(t testing.TB) *NATSCluster {
	t.Helper()
	return StartNATSClusterIn(t, func(string) string { return t.TempDir() })
}

// StartNATSClusterIn is StartNATSCluster whose servers have their data below folders of their
// own: those that folder returns for their names.
func StartNATSClusterIn(t testing.TB, folder func(name string) string) *NATSCluster {
	t.Helper()
	ports := freePorts(t, 9)
	dir := t.TempDir()
	c := &NATSCluster{t: t, binary: filepath.Join(dir, "natsserver")}
	// It may be built anew meanwhile, of another source.
	if err := copyProgram(natsServer(t), c.binary); err != nil {
		t.Fatal(err)
	}
	var routes []string
	for _, port := range ports[:3] {
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", port))
	}
	for i := range 3 {
		s := &clusterServer{name: fmt.Sprintf("n%d", i), url: fmt.Sprintf("nats://127.0.0.1:%d", ports[3+i])}
		s.config, s.store = filepath.Join(dir, s.name+".conf"), filepath.Join(folder(s.name), "store")
		s.monitoring = fmt.Sprintf("127.0.0.1:%d", ports[6+i])
		config := fmt.Sprintf("server_name: %s\nlisten: 127.0.0.1:%d\nhttp: %q\njetstream { store_dir: %q }\ncluster { name: test, listen: 127.0.0.1:%d, no_advertise: true, routes: [%s] }\n",
			s.name, ports[3+i], s.monitoring, s.store, ports[i], strings.Join(routes, ", "))
		if err := os.WriteFile(s.config, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		c.servers = append(c.servers, s)
		c.Start(s.name)
	}
	t.Cleanup(func() {
		for _, s := range c.servers {
			c.Kill(s.name)
		}
	})
	await(t, "the JetStream cluster takes no work", c.ready)
	return c
}

// ready says whether the servers know a leader and each other.
func (c *NATSCluster) ready() bool {
	for _, s := range c.servers {
		conn, err := nats.Connect(s.url)
		if err != nil {
			return false
		}
		js, err := conn.JetStream(nats.MaxWait(startTimeout / 10))
		if err == nil {
			_, err = js.AddStream(&nats.StreamConfig{Name: "READY", Subjects: []string{"ready"}, Replicas: 3, Storage: nats.MemoryStorage})
		}
		conn.Close()
		if err != nil {
			return false
		}
	}
	return true
}

// Servers are the names of the servers, in the order of URL.
func (c *NATSCluster) Servers() []string {
	names := make([]string, len(c.servers))
	for i, s := range c.servers {
		names[i] = s.name
	}
	return names
}

// URL names all servers, as clients should.
func (c *NATSCluster) URL() string {
	urls := make([]string, len(c.servers))
	for i, s := range c.servers {
		urls[i] = s.url
	}
	return strings.Join(urls, ",")
}

// stores are the folders of the servers' data, in the order of Servers.
func (c *NATSCluster) stores() []string {
	stores := make([]string, len(c.servers))
	for i, s := range c.servers {
		stores[i] = s.store
	}
	return stores
}

// Kill ends a server with SIGKILL.
func (c *NATSCluster) Kill(name string) {
	s := c.server(name)
	_ = s.process.Process.Signal(syscall.SIGKILL) // it may be dead already
	_ = s.process.Wait()
}

// Start starts a server, which may have been killed before.
func (c *NATSCluster) Start(name string) {
	c.t.Helper()
	s := c.server(name)
	s.process = exec.Command(c.binary, s.config)
	s.process.Stderr = &s.log
	if _, err := s.process.StdinPipe(); err != nil { // it ends, too, if this process does
		c.t.Fatal(err)
	}
	if err := s.process.Start(); err != nil {
		c.t.Fatal(err)
	}
}

func (c *NATSCluster) server(name string) *clusterServer {
	for _, s := range c.servers {
		if s.name == name {
			return s
		}
	}
	c.t.Fatalf("no server %s", name)
	return nil
}

// Log is what a server has written since it was first started.
func (c *NATSCluster) Log(name string) string {
	c.t.Helper()
	return c.server(name).log.String()
}

// Health asks a server for its health with a query, and returns the status of the answer.
func (c *NATSCluster) Health(name, query string) (status int) {
	c.t.Helper()
	answer, err := http.Get("http://" + c.server(name).monitoring + "/healthz?" + query) //nolint:noctx // it is a test's own process
	if err != nil {
		c.t.Fatal(err)
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}
