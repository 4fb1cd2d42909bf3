package gateway_test

import (
	"net/http"
	"testing"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

func TestAgentsAreAskedUntilOneHasAnAnswer(t *testing.T) {
	t.Parallel()
	h := open(t, func(c *config.Config) {
		add(t, c, "a-empty", guests.Handmade{}.Bytes(), "MetadataAgent")
		add(t, c, "b echo", echo, "MetadataAgent")
		add(t, c, "c-echo", echo, "MetadataAgent")
	})
	for name, kind := range map[string]string{"JSON": asJSON, "protobuf": protobuf} {
		body, want := `{"id":"x"}`, `{"biography":"x"}`
		if kind == protobuf {
			body, want = "\x0a\x01x", "\x0a\x01x"
		}
		got := h.ask(request{path: subjects.HTTPAgents + "/" + biography, kind: kind, body: body})
		if got.status != http.StatusOK || got.body != want || got.header.Get(subjects.HeaderPlugin) != "b%20echo" || got.header.Get("Content-Type") != kind {
			t.Errorf("%s: %d %v %q", name, got.status, got.header, got.body)
		}
	}
	// An echo of nothing is empty.
	h.refuses(request{path: subjects.HTTPAgents + "/" + biography, kind: asJSON, body: `{}`}, 404, "plugin:not_found", "")
}

func TestTheOrderOfAgentsIsSet(t *testing.T) {
	t.Parallel()
	h := open(t, func(c *config.Config) {
		for _, id := range []string{"a", "b", "c"} {
			add(t, c, id, echo, "MetadataAgent")
		}
		c.Agents = config.Agents{Order: []string{"c", "b"}}
	})
	got := h.ask(request{path: subjects.HTTPAgents + "/" + biography, kind: asJSON, body: `{"id":"x"}`})
	if got.status != http.StatusOK || got.header.Get(subjects.HeaderPlugin) != "c" {
		t.Errorf("%d %v %s", got.status, got.header, got.body)
	}
}

// A 404 would be remembered for a day, so nobody says it who cannot know.
func TestOnlyThoseWhoKnowSayNotFound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		prepare func(*config.Config)
		status  int
		failure string
	}{
		{"there is none", func(*config.Config) {}, 503, "unavailable"},
		{"one is named that is not there", func(c *config.Config) {
			add(t, c, "empty", guests.Handmade{}.Bytes(), "MetadataAgent")
			c.Agents.Order = []string{"gone"}
		}, 503, "unavailable"},
		{"one does not load", func(c *config.Config) {
			add(t, c, "empty", guests.Handmade{}.Bytes(), "MetadataAgent")
			add(t, c, "broken", []byte("no wasm"), "MetadataAgent")
		}, 503, "unavailable"},
		{"one that does not load is not asked", func(c *config.Config) {
			add(t, c, "empty", guests.Handmade{}.Bytes(), "MetadataAgent")
			add(t, c, "broken", []byte("no wasm"), "MetadataAgent")
			c.Agents = config.Agents{Order: []string{"empty"}, Only: true}
		}, 404, "plugin:not_found"},
		{"one crashes", func(c *config.Config) {
			add(t, c, "empty", guests.Handmade{}.Bytes(), "MetadataAgent")
			add(t, c, "traps", guests.Handmade{Body: guests.Trap}.Bytes(), "MetadataAgent")
		}, 503, "unavailable"},
		{"one fails", func(c *config.Config) {
			add(t, c, "empty", guests.Handmade{}.Bytes(), "MetadataAgent")
			add(t, c, "fails", guests.Handmade{Body: guests.EmptyError}.Bytes(), "MetadataAgent")
		}, 503, "unavailable"},
		{"one is slow", func(c *config.Config) {
			add(t, c, "empty", guests.Handmade{}.Bytes(), "MetadataAgent")
			add(t, c, "loops", guests.Handmade{Body: guests.Loop}.Bytes(), "MetadataAgent")
		}, 504, "deadline_exceeded"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := open(t, c.prepare)
			h.refuses(request{path: subjects.HTTPAgents + "/" + biography, kind: asJSON, body: `{}`, header: map[string]string{subjects.HeaderTimeout: "2s"}}, c.status, c.failure, "")
		})
	}
}

func TestASlowAgentLeavesTimeToTheOthers(t *testing.T) {
	t.Parallel()
	h := open(t, func(c *config.Config) {
		add(t, c, "a-loops", guests.Handmade{Body: guests.Loop}.Bytes(), "MetadataAgent")
		add(t, c, "b-traps", guests.Handmade{Body: guests.Trap}.Bytes(), "MetadataAgent")
		add(t, c, "c-echo", echo, "MetadataAgent")
	})
	got := h.ask(request{path: subjects.HTTPAgents + "/" + biography, kind: asJSON, body: `{"id":"x"}`, header: map[string]string{subjects.HeaderTimeout: "3s"}})
	if got.status != http.StatusOK || got.header.Get(subjects.HeaderPlugin) != "c-echo" {
		t.Errorf("%d %v %s", got.status, got.header, got.body)
	}
}
