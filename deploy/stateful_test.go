package deploy_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/testenv/journal"
)

// startStateful runs a replica as the user host, with the plugin p, which schedules
// and connects. Nothing must have been refused to it.
func startStateful(t *testing.T, url, journalURL string) {
	t.Helper()
	plugins := t.TempDir()
	testenv.AddPlugin(t, plugins, "p", journal.Manifest(), guests.Wasm(t, guests.Stateful))
	config := testenv.Config(t, url, plugins)
	config.PluginConfig = map[string]map[string]string{"p": {"journal": journalURL}}
	log := new(testenv.Log)
	t.Cleanup(func() { // after the replica has left
		for line := range strings.Lines(log.String()) {
			if strings.Contains(line, nats.ErrPermissionViolation.Error()) {
				t.Error(line)
			}
		}
	})
	testenv.Start(t, config, log)
}

func TestPermissionsAreEnoughForSchedulesAndSockets(t *testing.T) {
	as := testenv.DeployedNATS(t)
	told := journal.Start(t, nil)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		upgrader := websocket.Upgrader{}
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		for {
			kind, message, err := conn.ReadMessage()
			if err != nil || conn.WriteMessage(kind, message) != nil {
				return
			}
		}
	}))
	t.Cleanup(server.Close)
	startStateful(t, as("host"), told.URL())
	startStateful(t, as("host"), told.URL())
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	c := client.New(connectAs(t, as("navidrome"), nats.CustomInboxPrefix("_INBOX_navidrome")))
	do := func(command journal.Command) {
		t.Helper()
		name, err := json.Marshal(command)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := c.MetadataAgent("p").GetArtistBiography(ctx, &api.ArtistBiographyRequest{Name: string(name)})
		if err != nil || !strings.Contains(answer.Biography, `"ok":true`) {
			t.Fatalf("%+v: %v, %v", command, answer, err)
		}
	}
	do(journal.Command{Do: "once", ID: []byte("now")})
	told.AwaitCount(t, "fire", 1)
	do(journal.Command{Do: "connect", ID: []byte("c"), URL: "ws" + strings.TrimPrefix(server.URL, "http")})
	for n := range 16 { // on either replica
		do(journal.Command{Do: "text", ID: []byte("c"), Text: "hello"})
		told.AwaitCount(t, "text", n+1)
	}
	do(journal.Command{Do: "close", ID: []byte("c")})
	told.AwaitCount(t, "close", 1)
	do(journal.Command{Do: "every", ID: []byte("yearly"), Expression: "@yearly"})

	operator := connectAs(t, as("operator"))
	o := client.New(operator)
	if schedules, err := o.Schedules(ctx, "p"); err != nil || len(schedules) != 1 {
		t.Errorf("an operator sees %+v, %v", schedules, err)
	}
	if found, err := o.CancelSchedule(ctx, "p", "yearly"); !found || err != nil {
		t.Errorf("an operator cancels: %v, %v", found, err)
	}
	if refused(t, operator) {
		t.Error(operator.LastError())
	}
}
