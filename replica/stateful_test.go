package replica_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/pluginhost/pluginhost/api"
	"github.com/pluginhost/pluginhost/client"
	"github.com/pluginhost/pluginhost/replica"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/testenv/journal"
)

// stateful is a cluster of replicas in this process with the guest stateful, as
// plugin p.
type stateful struct {
	t       *testing.T
	url     string
	folder  string
	journal *journal.Journal
	// client calls the plugin on any replica.
	client *client.Client
}

func newStateful(t *testing.T, answer func(journal.Event) ([]journal.Command, error)) *stateful {
	t.Helper()
	s := &stateful{t: t, url: testenv.NATS(t), folder: t.TempDir(), journal: journal.Start(t, answer)}
	testenv.AddPlugin(t, s.folder, "p", journal.Manifest(), guests.Wasm(t, guests.Stateful))
	s.client = client.New(testenv.Connect(t, s.url))
	return s
}

// start starts a replica.
func (s *stateful) start(prepare ...func(*replica.Config)) *replica.Replica {
	s.t.Helper()
	config := testenv.Config(s.t, s.url, s.folder)
	config.Plugins.Watch = false
	config.PluginConfig = map[string]map[string]string{"p": {"journal": s.journal.URL()}}
	for _, change := range prepare {
		change(&config)
	}
	return testenv.Start(s.t, config, s.t.Output())
}

// try has the plugin do something.
func (s *stateful) try(command journal.Command) (journal.Result, error) {
	s.t.Helper()
	name, err := json.Marshal(command)
	if err != nil {
		s.t.Fatal(err)
	}
	var result journal.Result
	answer, err := s.client.MetadataAgent("p").GetArtistBiography(s.t.Context(), &api.ArtistBiographyRequest{Name: string(name)})
	if err == nil {
		err = json.Unmarshal([]byte(answer.Biography), &result)
	}
	return result, err
}

// do is try with something that works.
func (s *stateful) do(command journal.Command) journal.Result {
	s.t.Helper()
	result, err := s.try(command)
	if err != nil || !result.OK {
		s.t.Fatalf("%+v: %+v, %v", command, result, err)
	}
	return result
}

// gateway is a WebSocket server.
type gateway struct {
	*httptest.Server
	accepted chan *peer
}

// peer is the server's side of a connection.
type peer struct {
	*websocket.Conn
	header   http.Header
	messages chan string // what came
	ended    chan error  // why nothing more comes
}

func newGateway(t *testing.T) *gateway {
	t.Helper()
	g := &gateway{accepted: make(chan *peer, 100)}
	var reading sync.WaitGroup
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		upgrader := websocket.Upgrader{}
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		p := &peer{Conn: conn, header: r.Header, messages: make(chan string, 1000), ended: make(chan error, 1)}
		g.accepted <- p
		reading.Go(func() {
			for {
				_, data, err := conn.ReadMessage()
				if err != nil {
					p.ended <- err
					return
				}
				p.messages <- string(data)
			}
		})
	}))
	t.Cleanup(func() {
		g.Close()
		for {
			select {
			case p := <-g.accepted:
				_ = p.Close()
				continue
			default:
			}
			break
		}
	})
	return g
}

func (g *gateway) address() string { return "ws" + strings.TrimPrefix(g.URL, "http") }

func (g *gateway) accept(t *testing.T) *peer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	select {
	case p := <-g.accepted:
		t.Cleanup(func() { _ = p.Close() })
		return p
	case <-ctx.Done():
		t.Fatal("nobody connects")
		return nil
	}
}

func (p *peer) hears(t *testing.T, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	select {
	case got := <-p.messages:
		if got != want {
			t.Errorf("the server hears %q, want %q", got, want)
		}
	case <-ctx.Done():
		t.Fatal("the server hears nothing")
	}
}
