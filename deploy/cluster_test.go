package deploy_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/replica"
	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

// startReplica runs a replica as the user host, with the plugins echo, which
// answers requests with themselves, services, which uses the host's services, and
// broken, which does not load. When the test ends nothing must have been refused
// to it.
func startReplica(t *testing.T, url string) *replica.Replica {
	t.Helper()
	plugins := t.TempDir()
	testenv.AddPlugin(t, plugins, "echo", testenv.Manifest(nil, plugin.MetadataAgent, plugin.SchedulerCallback),
		guests.Handmade{Capabilities: []string{plugin.MetadataAgent, plugin.SchedulerCallback}, Body: guests.Echo}.Bytes())
	testenv.AddPlugin(t, plugins, "services", testenv.Manifest(map[string]any{
		"cache":       map[string]any{"reason": "test"},
		"artwork":     map[string]any{"reason": "test"},
		"subsonicapi": map[string]any{"reason": "test", "allowAdmins": true},
	}, plugin.MetadataAgent), guests.Wasm(t, guests.Services))
	testenv.AddPlugin(t, plugins, "broken", testenv.Manifest(nil, plugin.MetadataAgent), []byte("no module"))
	host := testenv.Config(t, url, plugins)
	host.Navidrome.Subsonic, host.Navidrome.Artwork = config.SubsonicBus, config.ArtworkBus
	host.HTTP.Listen = "127.0.0.1:0"
	log := new(testenv.Log)
	t.Cleanup(func() { // after the replica has left
		for line := range strings.Lines(log.String()) {
			if strings.Contains(line, nats.ErrPermissionViolation.Error()) {
				t.Error(line)
			}
		}
	})
	return testenv.Start(t, host, log)
}

func TestPermissionsAreEnough(t *testing.T) {
	as := testenv.DeployedNATS(t)
	replica := startReplica(t, as("host"))
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()

	t.Run("for the gateway", func(t *testing.T) { gatewayWorks(t, as("operator"), replica.HTTPAddress()) })
	t.Run("for a Navidrome", func(t *testing.T) {
		conn := connectAs(t, as("navidrome"), nats.CustomInboxPrefix("_INBOX_navidrome"))
		service, err := client.ServeNavidrome(conn, client.Navidrome{
			Subsonic: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"subsonic":"yes"}`)) }),
			Artwork: func(context.Context, subjects.ArtworkRequest) (string, error) {
				return "http://127.0.0.1/image", nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := service.Stop(ctx); err != nil {
				t.Error(err)
			}
		}()
		c := client.New(conn)
		if answer, err := c.Call(ctx, "echo", "get_artist_url", []byte("abc")); err != nil || string(answer) != "abc" {
			t.Errorf("got %q, %v", answer, err)
		}
		// Why nobody serves it is asked of the hosts.
		if _, err := c.Call(ctx, "broken", "get_artist_url", nil); !errors.Is(err, subjects.ErrUnavailable) || !strings.Contains(err.Error(), "WebAssembly") {
			t.Errorf("got %v", err)
		}
		for command, want := range map[string]string{
			`{"do":"set","key":"aw==","value":"v"}`:  `"ok":true`,
			`{"do":"get","key":"aw=="}`:              `"value":`,
			`{"do":"artist","id":"1"}`:               "http://127.0.0.1/image",
			`{"do":"call","url":"/rest/ping?u=joe"}`: "subsonic",
		} {
			answer, err := c.MetadataAgent("services").GetArtistBiography(ctx, &api.ArtistBiographyRequest{Name: command})
			if err != nil || !strings.Contains(answer.Biography, want) {
				t.Errorf("%s: got %v, %v", command, answer, err)
			}
		}
		if refused(t, conn) {
			t.Error(conn.LastError())
		}
	})

	t.Run("for an operator", func(t *testing.T) {
		conn := connectAs(t, as("operator"))
		events, err := conn.SubscribeSync("pluginhost.event.>")
		if err != nil || refused(t, conn) {
			t.Fatal(err, conn.LastError())
		}
		c := client.New(conn)
		if statuses, err := c.Status(ctx); err != nil || len(statuses) != 1 {
			t.Errorf("status: %v, %v", statuses, err)
		}
		if plugins, err := c.Plugins(ctx, ""); err != nil || len(plugins) != 2 {
			t.Errorf("plugins: %v, %v", plugins, err)
		}
		if _, err := c.Call(ctx, "echo", "on_scheduler_callback", nil); err != nil {
			t.Errorf("callback: %v", err)
		}
		if err := c.PurgeCache(ctx, "services"); err != nil {
			t.Errorf("purge: %v", err)
		}
		if answers, err := c.Refresh(ctx, "echo"); err != nil || len(answers) != 1 || answers[0].Outcome != subjects.OutcomeLoaded {
			t.Errorf("refresh: %v, %v", answers, err)
		}
		if event, err := events.NextMsg(wait); err != nil || event.Subject != subjects.Event(subjects.EventLoaded, "echo") {
			t.Errorf("event: %v, %v", event, err)
		}
		if _, err := conn.Request("$SRV.PING", nil, wait); err != nil {
			t.Errorf("discovery: %v", err)
		}
		js, err := jetstream.New(conn)
		if err != nil {
			t.Fatal(err)
		}
		cached, err := js.KeyValue(ctx, subjects.CacheBucket)
		if err != nil {
			t.Fatal(err)
		}
		keys, err := cached.ListKeys(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for key := range keys.Keys() {
			t.Log(key)
		}
		copyOfKeys(ctx, t, js)
		packageForAll(ctx, t, c)
		stream, err := js.Stream(ctx, "KV_"+subjects.StateBucket)
		if err == nil {
			_, err = js.UpdateStream(ctx, stream.CachedInfo().Config) // as nats stream edit does
		}
		if err != nil {
			t.Errorf("edit a stream: %v", err)
		}
		if refused(t, conn) {
			t.Error(conn.LastError())
		}
	})
}

// packageForAll is what is done with a package for the whole cluster.
func packageForAll(ctx context.Context, t *testing.T, c *client.Client) {
	t.Helper()
	folder := t.TempDir()
	testenv.AddPlugin(t, folder, "packed", testenv.Manifest(nil, plugin.MetadataAgent), guests.Handmade{}.Bytes())
	var content bytes.Buffer
	if _, err := plugin.Pack(ctx, filepath.Join(folder, "packed"), &content); err != nil {
		t.Fatal(err)
	}
	p := client.Package{ID: "packed", Name: "test", Version: "1.0.0", Content: content.Bytes()}
	if err := c.InstallPackage(ctx, p, nil); err != nil {
		t.Fatalf("install: %v", err)
	}
	if err := c.UpdatePackage(ctx, p, nil); err != nil {
		t.Errorf("update: %v", err)
	}
	if answers, err := c.Refresh(ctx, "packed"); err != nil || len(answers) != 1 || answers[0].Outcome != subjects.OutcomeLoaded {
		t.Errorf("refresh: %+v, %v", answers, err)
	}
	if all, err := c.Packages(ctx); err != nil || len(all) != 1 {
		t.Errorf("list: %+v, %v", all, err)
	} else if got, err := c.PackageContent(ctx, all[0]); err != nil || !bytes.Equal(got, p.Content) {
		t.Errorf("content: %d bytes, %v", len(got), err)
	}
	if err := c.RemovePackage(ctx, "packed"); err != nil {
		t.Errorf("remove: %v", err)
	}
}

// copyOfKeys is what docs/operations.md says to keep a key of the cluster, and to have
// another one made.
func copyOfKeys(ctx context.Context, t *testing.T, js jetstream.JetStream) {
	t.Helper()
	state, err := js.KeyValue(ctx, subjects.StateBucket)
	if err != nil {
		t.Fatal(err)
	}
	const copied = `{"v":1,"bytes":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}`
	for _, key := range []string{subjects.ArtworkKey, subjects.GenerationKey} {
		if _, err := state.Put(ctx, key, []byte(copied)); err != nil {
			t.Errorf("put the key: %v", err)
		}
		if entry, err := state.Get(ctx, key); err != nil || string(entry.Value()) != copied {
			t.Errorf("get the key: %v", err)
		}
		if err := state.Delete(ctx, key); err != nil {
			t.Errorf("delete the key: %v", err)
		}
	}
}

// What the cluster keeps and sends, whichever part of a host does it.
func TestPermissionsOfAHostAreEnoughForItsStreams(t *testing.T) {
	as := testenv.DeployedNATS(t)
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	conn := connectAs(t, as("host"), nats.CustomInboxPrefix(subjects.InboxPrefix))
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, bucket := range []string{"pluginhost-schedules", subjects.StateBucket, subjects.CacheBucket} {
		kv, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: bucket})
		if err != nil {
			t.Fatal(err)
		}
		watcher, err := kv.Watch(ctx, ">")
		if err != nil {
			t.Fatal(err)
		}
		_, err = kv.Put(ctx, "p.k", []byte("v"))
		check("put", err)
		_, err = kv.Get(ctx, "p.k")
		check("get", err)
		for entry := range watcher.Updates() {
			if entry != nil && entry.Key() == "p.k" {
				break
			}
		}
		check("stop the watch", watcher.Stop())
		check("purge", kv.Purge(ctx, "p.k"))
	}
	for stream, subject := range map[string]string{"PLUGINHOST_FIRES": "fires.p.s", "PLUGINHOST_SCROBBLES": "scrobbles.p"} {
		_, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
			Name: stream, Subjects: []string{subject}, Retention: jetstream.WorkQueuePolicy,
		})
		check("stream", err)
		consumer, err := js.CreateOrUpdateConsumer(ctx, stream, jetstream.ConsumerConfig{Durable: "p", FilterSubject: subject, AckPolicy: jetstream.AckExplicitPolicy})
		if err != nil {
			t.Fatal(err)
		}
		_, err = js.Publish(ctx, subject, nil)
		check("publish", err)
		msg, err := consumer.Next(jetstream.FetchContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		check("in progress", msg.InProgress())
		check("ack", msg.DoubleAck(ctx))
		check("consumer", js.DeleteConsumer(ctx, stream, "p"))
	}
	plugins, err := js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: "pluginhost-plugins"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = plugins.PutBytes(ctx, "p", bytes.Repeat([]byte("x"), 1<<20))
	check("put", err)
	_, err = plugins.GetBytes(ctx, "p")
	check("get", err)
	check("delete", plugins.Delete(ctx, "p"))
	// The replica that has a socket answers another.
	owner := connectAs(t, as("host"), nats.CustomInboxPrefix(subjects.InboxPrefix))
	_, err = owner.Subscribe("pluginhost.socket.p.c", func(msg *nats.Msg) { check("answer", msg.Respond(nil)) })
	if err != nil || refused(t, owner) {
		t.Fatal(err, owner.LastError())
	}
	_, err = conn.RequestWithContext(ctx, "pluginhost.socket.p.c", nil)
	check("send on a socket", err)
	if refused(t, conn) || refused(t, owner) {
		t.Error(conn.LastError(), owner.LastError())
	}
}

// Three servers with the file of deploy/nats, which know each other by the
// password of routes, and a replica on them.
func TestThreeServersAreACluster(t *testing.T) {
	as := testenv.DeployedNATSCluster(t)
	startReplica(t, strings.Join(as("host"), ","))
	conn := connectAs(t, strings.Join(as("operator"), ","))
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "KV_"+subjects.StateBucket)
	if err != nil {
		t.Fatal(err)
	}
	if info := stream.CachedInfo(); info.Config.Replicas != 3 || info.Cluster == nil || len(info.Cluster.Replicas) != 2 {
		t.Errorf("got %d copies, on %v", info.Config.Replicas, info.Cluster)
	}
	for _, url := range as("navidrome") {
		one := connectAs(t, url, nats.CustomInboxPrefix("_INBOX_navidrome"))
		if answer, err := client.New(one).Call(t.Context(), "echo", "get_artist_url", []byte("abc")); err != nil || string(answer) != "abc" {
			t.Errorf("got %q, %v", answer, err)
		}
	}
}
