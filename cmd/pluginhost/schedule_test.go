package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/testenv/journal"
)

// scheduled puts schedules of a plugin that is not there into the bucket.
func scheduled(t *testing.T, url string, ids ...string) {
	t.Helper()
	js, err := jetstream.New(testenv.Connect(t, url))
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), subjects.ScheduleBucket)
	if err != nil {
		t.Fatal(err)
	}
	for n, id := range ids {
		record := subjects.ScheduleRecord{V: subjects.Version, Plugin: "gone", Schedule: []byte(id), Set: "s", Created: time.Now()}
		if n%2 == 0 {
			record.Due = time.Date(3000, 1, 2, 3, 4, 5, 0, time.UTC)
		} else {
			record.Expression, record.Zone = "0 5 * * *", "Europe/Berlin"
			record.Failures, record.Error = 7, "no luck\nwith it"
		}
		body, err := json.Marshal(record)
		if err == nil {
			_, err = kv.Put(t.Context(), subjects.ScheduleKey("gone", id), body)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestSchedulesAreListedAndCancelled(t *testing.T) {
	t.Parallel()
	url := serveProcess(t, probeFolder(t), "--listen", "127.0.0.1:0").NATS
	command := func(args ...string) result {
		return pluginhost(t.Context(), "", append([]string{"schedule"}, append(args, "--nats", url)...)...)
	}
	if got := command("list"); got.code != exitDone || strings.Count(got.out, "\n") != 1 {
		t.Errorf("without any: %+v", got)
	}
	// The second is that of a named callback.
	scheduled(t, url, "a plain one", "clear\u200bb:c", `"quoted"`, "\xff", "last")
	got := command("list", "gone")
	for _, want := range []string{"a plain one", `"clear\u200bb:c"`, `"\"quoted\""`, `"\xff"`, "0 5 * * * Europe/Berlin", "3000-01-02", "7       -\n", "The last callback of schedule \"clear\\u200bb:c\" of gone failed: no luck with it\n"} {
		if !strings.Contains(got.out, want) {
			t.Errorf("no %s in\n%s", want, got.out)
		}
	}
	var document scheduleListDocument
	if err := json.Unmarshal([]byte(command("list", "--json").out), &document); err != nil || len(document.Schedules) != 5 {
		t.Errorf("as JSON: %+v, %v", document, err)
	}
	if got := command("list", "another"); strings.Count(got.out, "\n") != 1 {
		t.Errorf("of another plugin: %+v", got)
	}
	for _, id := range []string{"a plain one", `"clear\u200bb:c"`, `"\"quoted\""`} {
		if got, want := command("cancel", "gone", id), (result{exitDone, "cancelled 1 of gone\n", ""}); got != want {
			t.Errorf("cancel %s: %+v", id, got)
		}
	}
	if got := command("cancel", "gone", "a plain one"); got.code != exitFailure || !strings.Contains(got.err, "gone has no schedule a plain one") {
		t.Errorf("cancel again: %+v", got)
	}
	if got, want := command("cancel", "gone", "--all", "--json"), fmt.Sprintln(`"cancelled": 2`); !strings.Contains(got.out, strings.TrimSpace(want)) {
		t.Errorf("cancel all: %+v", got)
	}
	if got := command("list"); strings.Count(got.out, "\n") != 1 {
		t.Errorf("afterwards: %+v", got)
	}
	for _, args := range [][]string{{"cancel", "gone"}, {"cancel", "gone", "a", "--all"}, {"list", "a", "b"}} {
		if got := command(args...); got.code != exitUsage {
			t.Errorf("%q: %+v", args, got)
		}
	}
}

func TestStatusTellsOfCallbacksThatFail(t *testing.T) {
	t.Parallel()
	j := journal.Start(t, func(e journal.Event) ([]journal.Command, error) {
		if e.Event == "fire" {
			return nil, errors.New("no luck with it")
		}
		return nil, nil
	})
	folder, file := t.TempDir(), filepath.Join(t.TempDir(), "host.toml")
	testenv.AddPlugin(t, folder, "p", journal.Manifest(), guests.Wasm(t, guests.Stateful))
	if err := os.WriteFile(file, fmt.Appendf(nil, "%s[PluginConfig.p]\njournal = %q\n", testenv.SharedCache, j.URL()), 0o600); err != nil {
		t.Fatal(err)
	}
	url := serveProcess(t, folder, "--config", file, "--listen", "127.0.0.1:0").NATS
	failing := `{"name":"{\"do\":\"once\",\"id\":\"` + base64.StdEncoding.EncodeToString([]byte("on time")) + `\"}"}`
	if got := pluginhost(t.Context(), "", "call", "p", "get_artist_biography", failing, "--nats", url); got.code != exitDone {
		t.Fatalf("%+v", got)
	}
	j.AwaitAbout(t, "fire", "on time", 1)
	const want = "on_scheduler_callback of schedule on time failed at "
	var got result
	for deadline := time.Now().Add(time.Minute); !strings.Contains(got.out, want) && time.Now().Before(deadline); {
		got = pluginhost(t.Context(), "", "status", "--nats", url)
	}
	if !strings.Contains(got.out, want) || !strings.Contains(got.out, "no luck with it") {
		t.Errorf("%+v", got)
	}
	tried := pluginhost(t.Context(), "", "call", "p", "on_scheduler_callback", `{"scheduleId":"tried"}`, "--nats", url)
	if tried != (result{exitDone, `{"error":"no luck with it"}` + "\n", ""}) || len(j.About("fire", "tried")) != 1 {
		t.Errorf("a callback that is tried: %+v", tried)
	}
}
