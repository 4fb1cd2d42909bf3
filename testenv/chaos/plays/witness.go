//go:build unix

package main

import (
	"encoding/json"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// witness hears what the hosts announce of plays.
type witness struct {
	mu     sync.Mutex
	reruns map[string]map[string]bool // the announcements that a play may come twice, by play
	events map[subjects.EventKind]int
}

func startWitness(conn *nats.Conn) (*witness, error) {
	w := &witness{reruns: make(map[string]map[string]bool), events: make(map[subjects.EventKind]int)}
	_, err := conn.Subscribe("pluginhost.event.>", w.event)
	if err == nil {
		err = conn.Flush()
	}
	return w, err
}

func (w *witness) event(msg *nats.Msg) {
	kind := subjects.EventKind(strings.Split(msg.Subject, ".")[2])
	var event subjects.ScrobbleEvent
	if !strings.HasPrefix(string(kind), "scrobble_") || json.Unmarshal(msg.Data, &event) != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events[kind]++
}

// readLogs takes from the hosts' logs which plays may come twice: they have it also of those that were announced to nobody,
// while a connection was down.
func (w *witness) readLogs(processes []*testenv.Process) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, process := range processes {
		for line := range strings.Lines(process.Log()) {
			var record struct{ Msg, Event, Play, Time string }
			if json.Unmarshal([]byte(line), &record) != nil || record.Event != string(subjects.EventScrobbleRerun) {
				continue
			}
			if w.reruns[record.Play] == nil {
				w.reruns[record.Play] = make(map[string]bool)
			}
			w.reruns[record.Play][process.ReplicaID+record.Time] = true
		}
	}
}
