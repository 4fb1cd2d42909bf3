package replica_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/subjects"
)

// events are what the replica has announced since the test listens.
type events struct {
	world        world
	subscription *nats.Subscription
	counts       map[string]map[string]int // by plugin and kind
}

func (w world) events(t *testing.T) *events {
	t.Helper()
	subscription, err := w.caller.Conn.SubscribeSync("pluginhost.event.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.caller.Conn.Flush(); err != nil {
		t.Fatal(err)
	}
	return &events{w, subscription, map[string]map[string]int{}}
}

// of counts what was announced of a plugin, by kind.
func (e *events) of(t *testing.T, id string) map[string]int {
	t.Helper()
	// What the replica published before it answers is here when the answer is.
	if _, err := e.world.caller.Client.Status(e.world.context(t)); err != nil {
		t.Fatal(err)
	}
	pending, _, err := e.subscription.Pending()
	if err != nil {
		t.Fatal(err)
	}
	for range pending {
		msg, err := e.subscription.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		var event subjects.PluginEvent
		if err := json.Unmarshal(msg.Data, &event); err != nil {
			t.Fatal(err)
		}
		if e.counts[event.ID] == nil {
			e.counts[event.ID] = map[string]int{}
		}
		e.counts[event.ID][strings.Split(msg.Subject, ".")[2]]++
	}
	return e.counts[id]
}
