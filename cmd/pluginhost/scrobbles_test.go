package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/testenv/playlog"
)

func TestPlaysThatWaitAreListedTriedAgainMovedAndPurged(t *testing.T) {
	t.Parallel()
	var answer atomic.Value
	answer.Store("unrecoverable: it is no music")
	service := playlog.Start(t)
	service.Answers(func(playlog.Play) (int, string) {
		if text := answer.Load().(string); text != "down" {
			return http.StatusOK, text
		}
		return http.StatusServiceUnavailable, ""
	})
	folder, file := t.TempDir(), filepath.Join(t.TempDir(), "pluginhost.toml")
	testenv.AddPlugin(t, folder, "p", playlog.Manifest(), guests.Wasm(t, guests.Scrobbler))
	if err := os.WriteFile(file, []byte(testenv.SharedCache+"[PluginConfig.p]\nservice = \""+service.URL()+"\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	url := serveProcess(t, folder, "--listen", "127.0.0.1:0", "--config", file).NATS
	caller := client.New(testenv.Connect(t, url))
	submit := func(plugin string, second int64) {
		t.Helper()
		to := caller.Scrobbles()
		if plugin != "" {
			to = to.To(plugin)
		}
		track := &api.TrackInfo{Name: "Sinnerman", Album: "Pastel Blues", Artists: []*api.Artist{{Name: "Nina Simone"}}}
		if err := to.Submit(t.Context(), client.User{Name: "joe"}, track, time.Unix(second, 0)); err != nil {
			t.Fatal(err)
		}
	}
	command := func(args ...string) result {
		return pluginhost(t.Context(), "", append([]string{"scrobbles"}, append(args, "--nats", url)...)...)
	}
	await := func(want string, args ...string) result {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; {
			got := command(args...)
			if got.code == exitDone && strings.Contains(got.out, want) {
				return got
			}
			if time.Now().After(deadline) {
				t.Fatalf("%v prints %+v, want %q", args, got, want)
			}
		}
	}

	submit("", 1_700_000_000)
	dead := await("refused", "dead")
	for _, want := range []string{"p", "joe", "Sinnerman", "Nina Simone", "it is no music"} {
		if !strings.Contains(dead.out, want) {
			t.Errorf("the dead letters lack %q: %s", want, dead.out)
		}
	}
	var letters scrobblesDeadDocument
	if got := command("dead", "p", "--user", "JOE", "--json"); json.Unmarshal([]byte(got.out), &letters) != nil || len(letters.Dead) != 1 || letters.Dead[0].Album != "Pastel Blues" || !letters.Dead[0].Played.Equal(time.Unix(1_700_000_000, 0)) {
		t.Errorf("as JSON: %+v", got)
	}
	answer.Store("")
	if got := command("retry", "p"); got.code != exitDone || got.out != "1 are tried again\n" {
		t.Errorf("retry: %+v", got)
	}
	await("empty", "list", "--all", "--user", "joe")
	if got := command("dead", "--json"); !strings.Contains(got.out, `"dead": []`) {
		t.Errorf("after the retry: %+v", got)
	}

	answer.Store("down")
	submit("", 1_700_000_100)
	submit("gone", 1_700_000_200)
	await("was tried", "list", "p")
	var queues scrobblesListDocument
	if got := command("list", "--json"); json.Unmarshal([]byte(got.out), &queues) != nil || len(queues.Queues) != 2 || queues.Queues[0].Plugin != "gone" || queues.Queues[0].Waiting() != 1 {
		t.Errorf("as JSON: %+v", got)
	}
	if got := command("move", "p", "gone"); got.code != exitFailure || !strings.Contains(got.err, "installed") {
		t.Errorf("a plugin that is there: %+v", got)
	}
	if got := command("move", "gone", "p"); got.code != exitDone || got.out != "moved 1 from gone to p\n" {
		t.Errorf("move: %+v", got)
	}
	if got := command("purge", "p"); got.code != exitFailure || !strings.Contains(got.err, "--yes") {
		t.Errorf("without an answer: %+v", got)
	}
	await("joe   2", "list", "p")
	if got := command("purge", "p", "--user", "joe", "--yes"); got.code != exitDone || got.out != "dropped 2 of p\n" {
		t.Errorf("purge: %+v", got)
	}
	if got := command("list"); got.code != exitDone || strings.Count(got.out, "\n") != 1 {
		t.Errorf("in the end: %+v", got)
	}
	for _, args := range [][]string{{"retry"}, {"retry", "p", "--all"}, {"purge"}, {"move", "p"}, {"list", "p", "q"}} {
		if got := command(args...); got.code != exitUsage {
			t.Errorf("%v: %+v", args, got)
		}
	}
}
