package replica_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/replica"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/testenv/journal"
	"github.com/pluginhost/pluginhost/testenv/navidrome"
)

// startUnbounded runs the guest stateful as plugin p with permissions for every URL, the
// local network's too.
func startUnbounded(t *testing.T, natsURL string, prepare func(*setup)) (*stateful, *replica.Replica) {
	t.Helper()
	s := &stateful{t: t, folder: t.TempDir()}
	reason := map[string]any{"reason": "test"}
	manifest := testenv.Manifest(map[string]any{
		"config":    reason,
		"scheduler": reason,
		"http":      map[string]any{"reason": "test", "allowedUrls": map[string]any{"*": []string{"*"}}, "allowLocalNetwork": true},
		"websocket": map[string]any{"reason": "test", "allowedUrls": []string{"ws://*", "wss://*"}, "allowLocalNetwork": true},
	}, plugin.MetadataAgent, plugin.SchedulerCallback, plugin.WebSocketCallback, plugin.LifecycleManagement)
	testenv.AddPlugin(t, s.folder, "p", manifest, guests.Wasm(t, guests.Stateful))
	with := setup{Config: testenv.Config(t, natsURL, s.folder)}
	with.Plugins.Watch = false
	prepare(&with)
	r := testenv.Start(t, with.Config, nil, with.options...)
	address, err := url.Parse(r.URL())
	if err != nil {
		t.Fatal(err)
	}
	if token := with.NATS.Token; token != "" {
		address.User = url.User(token)
	}
	s.conn = testenv.Connect(t, address.String())
	s.client = client.New(s.conn)
	return s, r
}

// hostsOfThisMachine are its addresses and names, as they stand in a URL.
func hostsOfThisMachine(t *testing.T) []string {
	t.Helper()
	hosts := []string{"127.0.0.1", "127.1.2.3", "[::1]", "[::ffff:127.0.0.1]", "[64:ff9b::127.0.0.1]", "localhost", "x.localhost"}
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range interfaces {
		addrs, err := i.Addrs()
		if err != nil {
			t.Fatal(err)
		}
		for _, addr := range addrs {
			prefix, err := netip.ParsePrefix(addr.String())
			if err != nil {
				continue
			}
			switch addr := prefix.Addr(); {
			case addr.Is4():
				hosts = append(hosts, addr.String(), "[::ffff:"+addr.String()+"]")
			case addr.IsLinkLocalUnicast():
				hosts = append(hosts, "["+addr.String()+"%25"+i.Name+"]")
			default:
				hosts = append(hosts, "["+addr.String()+"]")
			}
		}
	}
	return hosts
}

// refuses checks that the plugin reaches a port of this machine in no way.
func (s *stateful) refuses(what, port string) {
	s.t.Helper()
	redirecting := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://"+r.URL.Query().Get("to"), http.StatusFound)
	}))
	defer redirecting.Close()
	want := "requests to " + what + " are not allowed"
	for _, host := range hostsOfThisMachine(s.t) {
		at := host + ":" + port
		for _, command := range []journal.Command{
			{Do: "get", URL: "http://" + at},
			{Do: "get", URL: "https://" + at},
			{Do: "get", URL: redirecting.URL + "/?to=" + url.QueryEscape(at)},
			{Do: "connect", URL: "ws://" + at},
			{Do: "connect", URL: "wss://" + at},
		} {
			if got := s.fails(command); !strings.Contains(got, want) {
				s.t.Errorf("%s %s: got %q, want %q", command.Do, command.URL, got, want)
			}
		}
	}
}

func portOf(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func portOfURL(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Port()
}

func TestNoPluginReachesWhatItsHostListensOn(t *testing.T) {
	t.Parallel()
	fake := navidrome.Start(t)
	for _, at := range []string{"127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"} {
		t.Run(at, func(t *testing.T) {
			s, r := startUnbounded(t, "", func(c *setup) {
				c.Navidrome.URL, c.Navidrome.User, c.Navidrome.ShareURL = fake.URL, "joe", "https://music.example.com"
				c.HTTP.Listen, c.Navidrome.ArtworkListen, c.NATS.Listen = at, at, at
				c.NATS.Token, c.ListenBrainz.Listen = "token", at
			})
			s.refuses("the host's own ListenBrainz listener", portOf(t, r.ListenBrainzAddress()))
			s.refuses("the host's own HTTP listener", portOf(t, r.HTTPAddress()))
			s.refuses("the host's own artwork listener", portOf(t, r.ArtworkAddress()))
			s.refuses("the host's own NATS servers", portOfURL(t, r.URL()))
			s.refuses("Navidrome", portOfURL(t, fake.URL))
		})
	}
}

func TestNoPluginReachesTheNATSServersOfItsHost(t *testing.T) {
	t.Parallel()
	urls := testenv.Cluster(t)
	s, r := startUnbounded(t, urls[0], func(*setup) {})
	for _, address := range urls { // two of them were discovered
		s.refuses("the host's own NATS servers", portOfURL(t, address))
	}
	if r.HTTPAddress() != "" || r.ArtworkAddress() != "" {
		t.Fatal("it listens")
	}
}

func TestAPluginReachesWhatElseThereIsOnTheMachine(t *testing.T) {
	t.Parallel()
	s, _ := startUnbounded(t, "", func(c *setup) { c.HTTP.Listen, c.NATS.Listen = "0.0.0.0:0", "127.0.0.1:0" })
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	defer other.Close()
	if got := s.do(journal.Command{Do: "get", URL: other.URL}).Text; got != "hello" {
		t.Errorf("got %q", got)
	}
	// A NATS server that is not the host's is another matter, too: it is no HTTP server,
	// and that is all that is wrong.
	stranger := testenv.NATS(t)
	if got := s.fails(journal.Command{Do: "get", URL: "http://127.0.0.1:" + portOfURL(t, stranger)}); strings.Contains(got, "not allowed") {
		t.Errorf("another NATS server: got %q", got)
	}
}

func TestAnIdleCrowdKeepsNoProbeOut(t *testing.T) {
	t.Parallel()
	_, r := startUnbounded(t, "", func(c *setup) { c.HTTP.Listen, c.NATS.Listen = "127.0.0.1:0", "127.0.0.1:0" })
	const crowd = 700
	var conns []net.Conn
	for i := range crowd {
		conn, err := net.Dial("tcp", r.HTTPAddress())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if i%2 == 0 {
			_, _ = io.WriteString(conn, "GET /readyz HTTP/1.1\r\nX-")
		}
		conns = append(conns, conn)
	}
	for _, path := range []string{"/readyz", "/livez"} {
		if status, body := fetch(t, r.HTTPAddress(), path); status != http.StatusOK {
			t.Errorf("%s: status %d, %s", path, status, body)
		}
	}
	// The first ones have given way: their number is bounded.
	for _, conn := range conns[:100] {
		_ = conn.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := io.ReadAll(conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("a connection from before is still open")
		}
	}
}
