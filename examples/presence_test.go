package examples_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// Operations of the gateway's protocol, as JSON has them.
const (
	opDispatch  = 0.0
	opHeartbeat = 1.0
	opIdentify  = 2.0
	opPresence  = 3.0
	opHello     = 10.0
	opAck       = 11.0
)

type object = map[string]any

// startGateway is a gateway that wants a heartbeat each second.
func startGateway(t *testing.T) *socketServer {
	return startSocketServer(t, func(p *peer) {
		p.send(object{"op": opHello, "d": object{"heartbeat_interval": 1000}})
	}, func(p *peer, message map[string]any) {
		switch message["op"] {
		case opHeartbeat:
			p.send(object{"op": opAck})
		case opIdentify:
			p.send(object{"op": opDispatch, "t": "READY", "s": 7, "d": object{}})
		}
	})
}

// shown is the title that a presence update shows, "" for nothing.
func shown(t *testing.T, update map[string]any) string {
	t.Helper()
	activities, ok := update["d"].(map[string]any)["activities"].([]any)
	if !ok {
		t.Fatalf("no activities in %v", update)
	}
	if len(activities) == 0 {
		return ""
	}
	return activities[0].(map[string]any)["details"].(string)
}

// listener is users who play tracks, on two replicas with the example presence.
type listener struct {
	t        *testing.T
	conn     *nats.Conn
	replicas []*testenv.Process
}

func newListener(t *testing.T, gateway *socketServer) *listener {
	t.Helper()
	natsURL, folder := testenv.NATS(t), t.TempDir()
	addExample(t, folder, "presence", nil)
	config := filepath.Join(t.TempDir(), "host.toml")
	content := fmt.Sprintf("%s[PluginConfig.presence]\ngateway = %q\ntoken_joe = \"sesame\"\ntoken_ann = \"thyme\"\nreconnect_seconds = 1\n", testenv.SharedCache, gateway.url())
	if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return &listener{t: t, conn: testenv.Connect(t, natsURL), replicas: startTwo(t, config, natsURL, folder)}
}

// startTwo starts two replicas, one after the other.
func startTwo(t *testing.T, config, natsURL, folder string) []*testenv.Process {
	t.Helper()
	var replicas []*testenv.Process
	for range 2 {
		replicas = append(replicas, testenv.StartProcess(t, "--config", config, "--nats", natsURL, "--plugins", folder, "--data", testenv.DataFolder(t), "--http", ""))
	}
	return replicas
}

// track is one of so many seconds.
func track(title string, seconds int32) *api.TrackInfo {
	return &api.TrackInfo{Id: title, Name: title, Length: seconds, Artists: []*api.Artist{{Name: "Nina Simone"}}}
}

// play has a user start a track.
func (l *listener) play(username, title string, seconds int32) {
	l.t.Helper()
	user := client.User{ID: "id of " + username, Name: username}
	if err := client.New(l.conn).Scrobbler("presence").NowPlaying(l.t.Context(), user, track(title, seconds), time.Now()); err != nil {
		l.t.Fatal(err)
	}
}

// playOn has joe start a long track, and returns the replica that was told and the
// other. A call that went to a replica which has just died is made again.
func (l *listener) playOn(title string) (told, other *testenv.Process) {
	l.t.Helper()
	request := &api.ScrobblerNowPlayingRequest{UserId: "id of joe", Username: "joe", Track: track(title, 622), Timestamp: time.Now().Unix()}
	body, err := request.MarshalVT()
	if err != nil {
		l.t.Fatal(err)
	}
	reply, err := l.conn.Request(subjects.Call("presence", "now_playing"), body, 5*time.Second)
	for tries := 0; errors.Is(err, nats.ErrTimeout) && tries < 10; tries++ {
		reply, err = l.conn.Request(subjects.Call("presence", "now_playing"), body, 5*time.Second)
	}
	if err != nil {
		l.t.Fatal(err)
	}
	if failure := reply.Header.Get(subjects.HeaderError); failure != "" {
		l.t.Fatal(failure)
	}
	told, other = l.replicas[0], l.replicas[1]
	if reply.Header.Get(subjects.HeaderReplica) == other.ReplicaID {
		told, other = other, told
	}
	return told, other
}

// kill ends a replica with SIGKILL.
func kill(replica *testenv.Process) {
	replica.Signal(syscall.SIGKILL)
	replica.Wait()
}

func TestPresenceLastsAsLongAsTheTrack(t *testing.T) {
	t.Parallel()
	gateway := startGateway(t)
	l := newListener(t, gateway)

	l.play("Joe", "Sinnerman", 622)
	p := gateway.connection(1)
	identity := p.awaitCount("op", opIdentify, 1)[0]["d"].(map[string]any)
	if identity["token"] != "sesame" {
		t.Errorf("the token is %v", identity["token"])
	}
	if title := shown(t, p.awaitCount("op", opPresence, 1)[0]); title != "Sinnerman" {
		t.Errorf("the presence shows %q", title)
	}
	for i, beat := range p.awaitCount("op", opHeartbeat, 4) {
		if beat["d"] != 7.0 && i > 0 { // the first may be on its way before READY
			t.Errorf("a heartbeat has sequence %v", beat["d"])
		}
	}

	l.play("Joe", "Four Women", 1)
	if title := shown(t, p.awaitCount("op", opPresence, 2)[1]); title != "Four Women" {
		t.Errorf("the presence shows %q", title)
	}
	if title := shown(t, p.awaitCount("op", opPresence, 3)[2]); title != "" {
		t.Errorf("the presence shows %q after the track", title)
	}
	if code := p.awaitEnd(); code != 1000 {
		t.Errorf("the connection was closed with %d", code)
	}
	if n := len(p.awaitCount("op", opIdentify, 1)); n != 1 {
		t.Errorf("identified %d times", n)
	}

	l.play("Joe", "Pirate Jenny", 622)
	again := gateway.connection(2)
	if title := shown(t, again.awaitCount("op", opPresence, 1)[0]); title != "Pirate Jenny" {
		t.Errorf("the presence shows %q", title)
	}
	again.awaitCount("op", opHeartbeat, 2)
	gateway.wantConnections(2)
}

func TestPresenceComesBackWhenTheReplicaOfItsConnectionIsKilled(t *testing.T) {
	t.Parallel()
	gateway := startGateway(t)
	l := newListener(t, gateway)

	owner, survivor := l.playOn("Sinnerman")
	gateway.connection(1).awaitCount("op", opPresence, 1)
	kill(owner)

	p := gateway.connection(2)
	if title := shown(t, p.awaitCount("op", opPresence, 1)[0]); title != "Sinnerman" {
		t.Errorf("the presence shows %q", title)
	}
	if !survivor.Logged("the connection of joe has failed: the replica that held the connection is gone") {
		t.Error("the survivor was not told")
	}
	l.playOn("Four Women")
	if title := shown(t, p.awaitCount("op", opPresence, 2)[1]); title != "Four Women" {
		t.Errorf("the presence shows %q", title)
	}
	p.awaitCount("op", opHeartbeat, 2)
	gateway.wantConnections(2)
}

// The user plays on before anybody has noticed.
func TestPresenceIsOneWhenAReplicaWasJustKilled(t *testing.T) {
	t.Parallel()
	gateway := startGateway(t)
	l := newListener(t, gateway)

	owner, _ := l.playOn("Sinnerman")
	gateway.connection(1).awaitCount("op", opPresence, 1)
	kill(owner)

	l.playOn("Four Women")
	p := gateway.connection(2)
	gateway.await("the second track", func() bool {
		updates := p.of("op", opPresence)
		return len(updates) > 0 && shown(t, updates[len(updates)-1]) == "Four Women"
	})
	p.awaitCount("op", opHeartbeat, 5) // longer than it takes to notice
	gateway.wantConnections(2)
}

func TestPresenceThatTheGatewayRefusesIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	gateway := startGateway(t)
	l := newListener(t, gateway)

	l.play("joe", "Sinnerman", 622)
	refused := gateway.connection(1)
	refused.awaitCount("op", opPresence, 1)
	refused.close(4004, "the token is not known")
	refused.awaitEnd()

	l.play("ann", "Four Women", 622)
	p := gateway.connection(2)
	if title := shown(t, p.awaitCount("op", opPresence, 1)[0]); title != "Four Women" {
		t.Errorf("connected for %q", title)
	}
	p.awaitCount("op", opHeartbeat, 5) // longer than it takes to try again
	gateway.wantConnections(2)
}
