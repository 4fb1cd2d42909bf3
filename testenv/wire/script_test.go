package wire_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/testenv/journal"
)

// record has a binary go through the session, and returns the transcript.
func record(t *testing.T, binary string) string {
	t.Helper()
	s := newSession(t, binary)
	s.step("a replica starts", func() {
		s.serve()
		s.await(3, "pluginhost.event.loaded.")
		s.await(1, "pluginhost.event.leader_gained.")
		s.heartbeat()
	})
	control(s)
	calls(s)
	cached(s)
	schedules(s)
	sockets(s)
	navidrome(s)
	settings(s)
	packages(s)
	s.step("what is stored", s.stored)
	s.step("the replica is drained", func() {
		// It looks after its copy of the cache every 15 seconds.
		s.recorder.await(t, 0, 1, "a fetch from the cache", func(m *nats.Msg) bool {
			return strings.HasPrefix(m.Subject, "$JS.API.CONSUMER.MSG.NEXT.KV_pluginhost-cache.")
		})
		s.ask("pluginhost.ctl.drain", "", nil, 1)
		if code := s.replica.Wait(); code != 0 {
			t.Errorf("the replica ends with %d", code)
		}
	})
	s.transcript.background()
	return layout(s.transcript.text.String())
}

func control(s *session) {
	s.step("discovery", func() {
		s.ask("$SRV.PING", "", nil, 3)
		s.ask("$SRV.PING.probe", "", nil, 1)
		s.ask("$SRV.INFO", "", nil, 3)
	})
	s.step("control", func() {
		for _, subject := range []string{"status", "list", "info.probe", "info.nobody", "refresh.probe", "refresh.nobody", "forget.probe"} {
			s.ask("pluginhost.ctl."+subject, "", nil, 1)
		}
		s.await(1, "pluginhost.event.loaded.probe")
	})
	s.step("the command line asks", func() {
		s.run("status", "--json")
		s.run("plugin", "list", "--json")
		s.run("plugin", "info", "ticker", "--json")
		s.run("call", "probe", "get_artist_mbid", `{"name":"Nina"}`)
	})
}

func calls(s *session) {
	nina := "\x12\x04Nina" // name, of ArtistMBIDRequest
	s.step("calls", func() {
		s.ask("plugins.probe.get_artist_mbid", nina, nil, 1)
		s.call("plugins.probe.get_artist_mbid", `{"name":"Nina"}`)
		s.ask("plugins.probe.get_artist_mbid", `{"name":"Nina"}`, nil, 1)
		s.ask("plugins.probe.get_artist_biography", "\x12\x04Nina", nats.Header{"Pluginhost-Timeout": {"5s"}, "Pluginhost-Via": {"other"}}, 1)
		s.call("plugins.probe.is_authorized", `{"userId":"1","username":"joe"}`)
		s.call("plugins.probe.now_playing", `{"userId":"1","username":"joe","track":{"id":"t1","name":"Feeling Good","length":177},"timestamp":"1700000000"}`)
		s.call("plugins.probe.scrobble", `{"userId":"1","username":"joe","track":{"id":"t1","artists":[{"name":"Nina"}]},"timestamp":1700000000}`)
		s.call("plugins.ticker.callback.on_text_message", `{"connectionId":"none","message":"hello"}`)
	})
	s.step("calls that fail", func() {
		s.ask("plugins.probe.get_artist_mbid", "", nil, 1)
		s.call("plugins.probe.get_artist_mbid", `{"name":""}`)
		s.call("plugins.probe.get_artist_url", `{"name":"Nina"}`)
		s.call("plugins.probe.get_artist_biography", `{"name":"error of several\nlines"}`)
		s.call("plugins.probe.get_artist_biography", `{"name":"crash panic: asked to"}`)
		s.call("plugins.probe.get_artist_biography", `{"name":"nil"}`)
		s.call("plugins.services.get_artist_mbid", `{"name":"Nina"}`)
		s.call("plugins.services.scrobble", `{}`)
		s.call("plugins.probe.callback.on_close", `{}`)
		s.ask("plugins.probe.get_nothing", nina, nil, 1)
		s.call("plugins.probe.get_artist_mbid", `{"name":`)
		s.call("plugins.probe.get_artist_mbid", `{"nom":"Nina"}`)
		s.ask("plugins.probe.get_artist_mbid", "\xff\xff", nil, 1)
		s.ask("plugins.probe.get_artist_biography", `{"name":"loop"}`, nats.Header{"Pluginhost-Timeout": {"300ms"}}, 1)
		s.ask("plugins.probe.get_artist_mbid", nina, nats.Header{"Pluginhost-Timeout": {"soon"}}, 1)
		s.ask("plugins.probe.get_artist_mbid", nina, nats.Header{"Pluginhost-Timeout": {"1s"}, "pluginhost-timeout": {"2s"}}, 1)
		s.ask("plugins.probe.get_artist_mbid", nina, nats.Header{"Content-Type": {"application/json", "application/json"}}, 1)
		s.ask("plugins.probe.get_artist_mbid", nina, nats.Header{"Pluginhost-Via": {"other,probe"}}, 1)
		s.ask("plugins.probe.get_artist_mbid", nina, nats.Header{"Pluginhost-Via": {"a,b,c,d,e,f,g,h,i"}}, 1)
		s.ask("plugins.probe.get_artist_mbid", nina, nats.Header{"Pluginhost-Via": {"=zz"}}, 1)
		s.ask("plugins.probe.get_artist_biography", `{"name":"big 1048577"}`, nil, 1)
		s.ask("$SRV.STATS.probe", "", nil, 1)
		s.ask("pluginhost.ctl.info.probe", "{}", nil, 1)
	})
}

// value is a command for the guest services.
type value struct {
	Do    string `json:"do"`
	Key   []byte `json:"key,omitempty"`
	Value string `json:"value,omitempty"`
	TTL   int64  `json:"ttl,omitempty"`
	ID    string `json:"id,omitempty"`
	Size  int32  `json:"size,omitempty"`
	URL   string `json:"url,omitempty"`
}

func cached(s *session) {
	key := []byte("k1")
	s.step("a plugin caches", func() {
		s.have("services", value{Do: "get", Key: key})
		s.have("services", value{Do: "set", Key: key, Value: "v", TTL: 90})
		s.await(1, "$KV.pluginhost-cache.")
		s.have("services", value{Do: "get", Key: key})
		s.have("services", value{Do: "getInt", Key: key})
		s.have("services", value{Do: "set", Key: []byte("k2"), Value: "of the default time"})
		s.have("services", value{Do: "remove", Key: key})
		s.have("services", value{Do: "has", Key: key})
		s.await(3, "$KV.pluginhost-cache.")
	})
}

func schedules(s *session) {
	s.step("a one-time schedule fires", func() {
		s.have("ticker", journal.Command{Do: "once", ID: []byte("soon"), Delay: 1, Payload: []byte("later")})
		s.journal.AwaitAbout(s.t, "fire", "soon", 1)
		s.awaitRemoval(1, "$KV.pluginhost-schedules.")
	})
	s.step("a recurring schedule fires twice and is cancelled", func() {
		var fires atomic.Int32
		s.journal.On("often", func(e journal.Event) ([]journal.Command, error) {
			if e.Event == "fire" && fires.Add(1) == 2 {
				return []journal.Command{{Do: "cancel", ID: []byte("often")}}, nil
			}
			return nil, nil
		})
		s.have("ticker", journal.Command{Do: "every", ID: []byte("often"), Expression: "@every 1s", Payload: []byte("again")})
		s.journal.AwaitAbout(s.t, "fire", "often", 2)
		s.awaitRemoval(1, "$KV.pluginhost-schedules.")
	})
	s.step("a callback fails", func() {
		s.journal.On("faulty", func(journal.Event) ([]journal.Command, error) { return nil, journal.GoError("not today") })
		s.have("ticker", journal.Command{Do: "once", ID: []byte("faulty"), Delay: 1})
		s.journal.AwaitAbout(s.t, "fire", "faulty", 1)
		s.awaitRemoval(1, "$KV.pluginhost-schedules.")
	})
	s.step("schedules are listed and cancelled by the command line", func() {
		s.have("ticker", journal.Command{Do: "once", ID: []byte("far"), Delay: 3600})
		s.have("ticker", journal.Command{Do: "every", ID: []byte("nightly"), Expression: "0 3 * * *"})
		s.await(2, "$KV.pluginhost-schedules.")
		s.run("schedule", "list", "--json")
		s.run("schedule", "cancel", "ticker", "far")
		s.awaitRemoval(1, "$KV.pluginhost-schedules.")
	})
}

func sockets(s *session) {
	digest := sha256.Sum256([]byte("gate"))
	owner := "pluginhost.socket.ticker." + hex.EncodeToString(digest[:])
	s.step("a WebSocket is opened, used and closed", func() {
		s.have("ticker", journal.Command{Do: "connect", ID: []byte("gate"), URL: s.gateway.url()})
		s.ask("pluginhost.ctl.info.ticker", "", nil, 1)
		s.have("ticker", journal.Command{Do: "text", ID: []byte("gate"), Text: "hello"})
		s.journal.AwaitAbout(s.t, "text", "gate", 1)
		// As another replica would for its guest.
		s.askFrom(hostInbox+"."+nuid.Next(), owner, "from elsewhere", nats.Header{"Pluginhost-Socket": {"text"}}, 1)
		s.journal.AwaitAbout(s.t, "text", "gate", 2)
		s.askFrom(hostInbox+"."+nuid.Next(), owner, "x", nats.Header{"Pluginhost-Socket": {"sing"}}, 1)
		s.have("ticker", journal.Command{Do: "close", ID: []byte("gate"), Code: 1000, Text: "bye"})
		s.journal.AwaitAbout(s.t, "close", "gate", 1)
		s.awaitRemoval(1, "$KV.pluginhost-state.socket.")
	})
	s.step("the server of a WebSocket closes it", func() {
		s.have("ticker", journal.Command{Do: "connect", ID: []byte("door"), URL: s.gateway.url()})
		s.have("ticker", journal.Command{Do: "binary", ID: []byte("door"), Payload: []byte("leave")})
		s.journal.AwaitAbout(s.t, "close", "door", 1)
		s.awaitRemoval(1, "$KV.pluginhost-state.socket.")
	})
}

// navidrome answers as Navidrome.
func navidrome(s *session) {
	answer := func(subject string, replies ...*nats.Msg) {
		var asked atomic.Int32
		sub, err := s.conn.Subscribe(subject, func(m *nats.Msg) {
			at := int(asked.Add(1)) - 1
			if at < len(replies) {
				_ = m.RespondMsg(replies[at])
			}
		})
		if err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(func() { _ = sub.Unsubscribe() })
	}
	failure := nats.Header{"Nats-Service-Error-Code": {"404"}, "Nats-Service-Error": {"no such picture"}}
	answer("navidrome.subsonic", &nats.Msg{Data: []byte(`{"subsonic-response":{"status":"ok"}}`)})
	answer("navidrome.artwork", &nats.Msg{Data: []byte(`{"v":1,"url":"https://music.example.com/share/img/x"}`)}, &nats.Msg{Header: failure})
	if err := s.conn.Flush(); err != nil {
		s.t.Fatal(err)
	}
	s.step("a plugin asks Navidrome", func() {
		s.have("services", value{Do: "call", URL: "/rest/ping?u=joe&x=a b"})
		s.have("services", value{Do: "album", ID: "al1", Size: 300})
		s.have("services", value{Do: "artist", ID: "ar1"})
	})
}

func settings(s *session) {
	s.step("settings of a plugin change", func() {
		s.configure("more = \"yes\"\n")
		s.await(1, "pluginhost.event.loaded.ticker")
		s.await(2, "$KV.pluginhost-state.init.ticker.")
	})
	s.step("a configuration is refused and mended", func() {
		s.configure("more = \"yes\"\n[Runtime]\nPoolSize = 0\n")
		s.replica.Signal(syscall.SIGHUP)
		s.await(1, "pluginhost.event.config_refused.")
		s.ask("pluginhost.ctl.status", "", nil, 1)
		s.configure("more = \"yes\"\n")
		s.replica.Signal(syscall.SIGHUP)
		s.await(1, "pluginhost.event.config_applied.")
	})
	later := journal.Command{Do: "once", Delay: 3600} // without an id
	s.step("an OnInit fails: what it has set goes", func() {
		s.onInit(later, journal.Command{Do: "cancel", ID: []byte("none")})
		s.configure("more = \"no\"\n")
		s.await(1, "pluginhost.event.failed.ticker")
		s.await(2, "$KV.pluginhost-state.init.ticker.")
		s.knowInitSchedules(1)
		s.awaitRemoval(1, "$KV.pluginhost-schedules.ticker.")
		s.ask("pluginhost.ctl.info.ticker", "", nil, 1)
		s.heartbeat()
	})
	s.step("it succeeds when the plugin is refreshed", func() {
		s.onInit(later)
		s.ask("pluginhost.ctl.refresh.ticker", "", nil, 1)
		s.await(1, "pluginhost.event.loaded.ticker")
		s.knowInitSchedules(2)
		s.heartbeat()
	})
}

// onInit has the plugin carry out commands in OnInit from now on.
func (s *session) onInit(commands ...journal.Command) {
	s.journal.On("", func(e journal.Event) ([]journal.Command, error) {
		if e.Event != "init" {
			return nil, nil
		}
		return commands, nil
	})
}

// knowInitSchedules puts a name for the ids that the host gave to schedules which so many OnInits have
// set first.
func (s *session) knowInitSchedules(count int) {
	s.t.Helper()
	done := s.journal.AwaitAbout(s.t, "done", "", count)[count-1]
	digest := sha256.Sum256(done.Results[0].ID)
	s.transcript.know(fmt.Sprintf("schedule of OnInit %d", count), base64.StdEncoding.EncodeToString(done.Results[0].ID))
	s.transcript.know(fmt.Sprintf("digest of the schedule of OnInit %d", count), hex.EncodeToString(digest[:]))
}

// pack writes the package of a version of echo, and returns the file.
func pack(s *session, version string) string {
	s.t.Helper()
	var manifest map[string]any
	if err := json.Unmarshal(testenv.Manifest(nil, plugin.MetadataAgent), &manifest); err != nil {
		s.t.Fatal(err)
	}
	manifest["name"], manifest["version"] = "echo", version
	content, err := json.Marshal(manifest)
	if err != nil {
		s.t.Fatal(err)
	}
	folder := s.t.TempDir()
	testenv.AddPlugin(s.t, folder, "echo", content, guests.Handmade{Body: guests.Echo}.Bytes())
	path := filepath.Join(s.t.TempDir(), "echo"+plugin.PackageExt)
	file, err := os.Create(path)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := plugin.Pack(s.t.Context(), filepath.Join(folder, "echo"), file); err != nil {
		s.t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		s.t.Fatal(err)
	}
	packed, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	digest := sha256.Sum256(packed)
	name := hex.EncodeToString(digest[:])
	s.transcript.know("digest of "+version, name)
	s.transcript.know("digest of "+version+" in the name", base64.URLEncoding.EncodeToString([]byte(name)))
	s.transcript.know("digest of "+version+" in base64", base64.URLEncoding.EncodeToString(digest[:]))
	s.transcript.know("package "+version, path)
	return path
}

func packages(s *session) {
	one, two := pack(s, "1.0.0"), pack(s, "2.0.0")
	s.step("a package is installed for the cluster", func() {
		s.run("plugin", "install", one, "--cluster", "--json")
		s.await(1, "pluginhost.event.loaded.echo")
		s.call("plugins.echo.get_artist_url", `{"id":"hello"}`)
	})
	s.step("it is updated", func() {
		s.run("plugin", "update", two, "--cluster", "--yes", "--json")
		s.await(1, "pluginhost.event.loaded.echo")
		s.run("plugin", "info", "echo", "--json")
		s.heartbeat()
	})
	s.step("it is removed", func() {
		s.run("plugin", "remove", "echo", "--cluster", "--json")
		s.await(1, "pluginhost.event.unloaded.echo")
	})
	s.step("a package is installed into the folder, broken and removed", func() {
		s.run("plugin", "install", one, "--plugins", s.folder, "--json")
		s.await(1, "pluginhost.event.loaded.echo")
		testenv.AddPlugin(s.t, s.folder, "echo", nil, []byte("no module"))
		s.await(1, "pluginhost.event.failed.echo")
		s.ask("pluginhost.ctl.info.echo", "", nil, 1)
		s.run("plugin", "remove", "echo", "--plugins", s.folder, "--json")
		s.await(1, "pluginhost.event.unloaded.echo")
	})
}
