package examples_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/testenv"
)

// market is a feed, a webhook, and two replicas with the example ticker.
type market struct {
	t        *testing.T
	feed     *socketServer
	moves    chan map[string]any
	overview chan map[string]any // the prices of a summary
	replicas []*testenv.Process
	start    func()
}

func newMarket(t *testing.T) *market {
	t.Helper()
	m := &market{t: t, moves: make(chan map[string]any, 100), overview: make(chan map[string]any)}
	m.feed = startSocketServer(t, func(*peer) {}, func(*peer, map[string]any) {})
	webhook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var what map[string]any
		if err := json.NewDecoder(r.Body).Decode(&what); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if what["event"] == "move" {
			m.moves <- what
			return
		}
		select {
		case m.overview <- what["prices"].(map[string]any):
		default: // nobody waits for one
		}
	}))
	t.Cleanup(webhook.Close)
	natsURL, folder := testenv.NATS(t), t.TempDir()
	addExample(t, folder, "ticker", webhook)
	config := filepath.Join(t.TempDir(), "host.toml")
	m.start = func() {
		t.Helper()
		content := fmt.Sprintf("%s[PluginConfig.ticker]\nfeed = %q\nwebhook = %q\nsymbols = \"ABC, XYZ\"\nmove_percent = 5\nsummary = \"@every 1s\"\n", testenv.SharedCache, m.feed.url(), webhook.URL+"/hook")
		if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		m.replicas = startTwo(t, config, natsURL, folder)
	}
	return m
}

// subscribed waits for the nth connection to subscribe.
func (m *market) subscribed(n int) *peer {
	m.t.Helper()
	p := m.feed.connection(n)
	if symbols := fmt.Sprint(p.awaitCount("type", "subscribe", 1)[0]["symbols"]); symbols != "[ABC XYZ]" {
		m.t.Errorf("subscribed to %s", symbols)
	}
	return p
}

func price(symbol string, is float64) map[string]any {
	return map[string]any{"type": "price", "symbol": symbol, "price": is}
}

// wantMove sends a price that has moved far from another, and waits for the post.
func (m *market) wantMove(p *peer, symbol string, from, to float64) {
	m.t.Helper()
	p.send(price(symbol, to))
	select {
	case got := <-m.moves:
		if got["symbol"] != symbol || got["from"] != from || got["to"] != to {
			m.t.Errorf("posted was %v, want %s from %v to %v", got, symbol, from, to)
		}
	case <-time.After(patience):
		m.t.Fatalf("the move of %s from %v to %v was not posted", symbol, from, to)
	}
}

// summary waits for one.
func (m *market) summary() map[string]any {
	m.t.Helper()
	select {
	case prices := <-m.overview:
		return prices
	case <-time.After(patience):
		m.t.Fatal("no summary was posted")
		return nil
	}
}

// wantConnections fails unless there were so many, and one is left for good: several
// summaries later it is still so.
func (m *market) wantConnections(total int) {
	m.t.Helper()
	for range 4 {
		m.summary()
	}
	m.feed.wantConnections(total)
}

func TestTickerPostsMovesAndSummaries(t *testing.T) {
	t.Parallel()
	m := newMarket(t)
	m.start()
	p := m.subscribed(1)
	p.send(price("ABC", 100))
	p.send(price("ABC", 104))
	p.send(price("OTHER", 1))
	p.send(map[string]any{"type": "status"})
	m.wantMove(p, "ABC", 100, 105)
	m.wantMove(p, "ABC", 105, 99)
	m.summary() // it may have begun before
	if prices := fmt.Sprint(m.summary()); prices != "map[ABC:99]" {
		t.Errorf("the summary has %s", prices)
	}
	m.wantConnections(1) // OnInit has run once on two replicas
}

func TestTickerReconnectsOnceWhenTheServerCloses(t *testing.T) {
	t.Parallel()
	m := newMarket(t)
	m.start()
	p := m.subscribed(1)
	p.send(price("ABC", 100))
	m.wantMove(p, "ABC", 100, 110)
	p.close(1012, "restarting")

	m.wantMove(m.subscribed(2), "ABC", 110, 120)
	m.wantConnections(2)
}

func TestTickerFollowsAFeedThatWasAwayAtTheStart(t *testing.T) {
	t.Parallel()
	m := newMarket(t)
	m.feed.change(func() { m.feed.away = true })
	m.start()
	m.feed.await("three attempts", func() bool { return m.feed.refused >= 3 })
	m.feed.change(func() { m.feed.away = false })

	p := m.subscribed(1)
	p.send(price("ABC", 100))
	m.wantMove(p, "ABC", 100, 110)
	m.wantConnections(1)
}

// OnInit has run on the replica that started first.
func TestTickerGoesOnWhenTheReplicaOfItsConnectionIsKilled(t *testing.T) {
	t.Parallel()
	m := newMarket(t)
	m.start()
	p := m.subscribed(1)
	p.send(price("ABC", 100))
	m.wantMove(p, "ABC", 100, 110)
	p.send(price("XYZ", 1))
	m.wantMove(p, "XYZ", 1, 2) // the callback of ABC is over
	kill(m.replicas[0])

	m.wantMove(m.subscribed(2), "ABC", 110, 120)
	if !m.replicas[1].Logged("the feed has failed: the replica that held the connection is gone") {
		t.Error("the survivor was not told")
	}
	m.wantConnections(2)
}

func TestTickerGoesOnWhenTheReplicaOfItsConnectionIsDrained(t *testing.T) {
	t.Parallel()
	m := newMarket(t)
	m.start()
	p := m.subscribed(1)
	p.send(price("ABC", 100))
	m.wantMove(p, "ABC", 100, 110)
	m.replicas[0].Signal(syscall.SIGTERM)
	if code := p.awaitEnd(); code != 1001 {
		t.Errorf("the feed was closed with %d, want 1001", code)
	}
	if code := m.replicas[0].Wait(); code != 0 {
		t.Errorf("the replica ended with %d", code)
	}

	m.wantMove(m.subscribed(2), "ABC", 110, 120)
	if !m.replicas[1].Logged("the feed was closed: 1001 the host is going away") {
		t.Error("the survivor was not told")
	}
	m.wantConnections(2)
}
