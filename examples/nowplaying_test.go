package examples_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/navidrome"
)

// channel is a Discord that keeps the cards it gets.
type channel struct {
	*httptest.Server
	mu    sync.Mutex
	cards []string // the addresses of their covers
}

func openChannel(t *testing.T) *channel {
	c := &channel{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var card struct {
			Embeds []struct {
				Thumbnail struct{ URL string }
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&card); err != nil || len(card.Embeds) != 1 {
			http.Error(w, "no card", http.StatusBadRequest)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.cards = append(c.cards, card.Embeds[0].Thumbnail.URL)
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *channel) covers() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.cards...)
}

// What one replica has posted the other knows, and new ones know it after both
// were killed. All of them serve the cover.
func TestNowPlayingOnTwoReplicasAndAfterTheirDeath(t *testing.T) {
	t.Parallel()
	server, discord := navidrome.Start(t), openChannel(t)
	natsURL, folder := testenv.NATS(t), t.TempDir()
	addExample(t, folder, "nowplaying", discord.Server)
	config := filepath.Join(t.TempDir(), "host.toml")
	content := fmt.Sprintf("%s[Navidrome]\nURL = %q\nUser = \"joe\"\nShareURL = \"https://music.example.com\"\nArtworkListen = \"127.0.0.1:0\"\n[PluginConfig.nowplaying]\nurl = %q\n",
		testenv.SharedCache, server.URL, discord.URL)
	if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	two := func() []*testenv.Process {
		var replicas []*testenv.Process
		for range 2 {
			replicas = append(replicas, testenv.StartProcess(t, "--config", config, "--nats", natsURL, "--plugins", folder, "--data", testenv.DataFolder(t), "--http", ""))
		}
		return replicas
	}
	conn := testenv.Connect(t, natsURL)

	replicas := two()
	play(t, conn, replicas, "u1", "joe")
	if n := len(discord.covers()); n != 1 {
		t.Fatalf("%d cards were posted, want 1", n)
	}
	address := discord.covers()[0]
	wantCover(t, replicas, address)
	for _, replica := range replicas {
		replica.Signal(syscall.SIGKILL)
		replica.Wait()
	}

	replicas = two()
	play(t, conn, replicas, "u1", "joe")
	if n := len(discord.covers()); n != 1 {
		t.Errorf("%d cards were posted after the replicas' death, want none", n-1)
	}
	wantCover(t, replicas, address)
	play(t, conn, replicas, "u2", "bob")
	if n := len(discord.covers()); n != 2 {
		t.Errorf("%d cards were posted for another user, want 1", n-1)
	}
}

// play has a user start a track until each of the replicas has been told, one
// after the other.
func play(t *testing.T, conn *nats.Conn, replicas []*testenv.Process, userID, username string) {
	t.Helper()
	body, err := (&api.ScrobblerNowPlayingRequest{
		UserId: userID, Username: username, Timestamp: 1700000000,
		Track: &api.TrackInfo{Id: "t1", Name: "Sinnerman", Album: "Pastel Blues"},
	}).MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{}
	for calls := 0; len(told) < len(replicas); calls++ {
		reply, err := conn.Request(subjects.Call("nowplaying", "now_playing"), body, 30*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if failure := reply.Header.Get(subjects.HeaderError); failure != "" || calls > 1000 {
			t.Fatalf("call %d: %s", calls, failure)
		}
		told[reply.Header.Get(subjects.HeaderReplica)] = true
	}
}

// wantCover fetches a cover from every replica, as a reverse proxy would.
func wantCover(t *testing.T, replicas []*testenv.Process, address string) {
	t.Helper()
	public, err := url.Parse(address)
	if err != nil || public.Host != "music.example.com" {
		t.Fatalf("the address of the cover is %q", address)
	}
	for _, replica := range replicas {
		listener, _ := replica.Record("artwork is served")["http"].(string)
		response, err := http.Get("http://" + listener + public.Path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK || http.DetectContentType(body) != "image/png" {
			t.Errorf("the cover is status %d, %d bytes, %v", response.StatusCode, len(body), err)
		}
	}
}
