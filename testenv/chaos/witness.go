//go:build unix

package main

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// claimed is one run of a fire: of a schedule, for a planned time, for the nth time.
type claimed struct {
	schedule string
	planned  time.Time
	attempt  int
}

// witness follows what the hosts write and announce.
type witness struct {
	done sync.WaitGroup

	mu     sync.Mutex
	terms  map[uint64]time.Time  // when each began, by the clock of the server
	claims map[claimed]claimSeen // of all fires
	// reruns are those that the hosts have announced or logged, by schedule.
	reruns map[string]map[claimed]rerun
	missed int
	retold int // connections whose end a host has logged to tell again
	// recovered is how often a host has logged to have fires handed out anew.
	recovered int
}

// rerun is a run of a fire that another replica had begun.
type rerun struct {
	lost string
	at   time.Time
}

// claimSeen is when a claim was written, and in which term its fire was published.
type claimSeen struct {
	at      time.Time
	term    uint64
	replica string
}

func startWitness(ctx context.Context, conn *nats.Conn) (*witness, error) {
	w := &witness{terms: make(map[uint64]time.Time), claims: make(map[claimed]claimSeen), reruns: make(map[string]map[claimed]rerun)}
	js, err := jetstream.New(conn)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Subscribe("pluginhost.event.>", w.event); err != nil {
		return nil, err
	}
	for bucket, note := range map[string]func(jetstream.KeyValueEntry){subjects.StateBucket: w.state, subjects.ScheduleBucket: w.schedule} {
		kv, err := js.KeyValue(ctx, bucket)
		if err != nil {
			return nil, err
		}
		w.done.Go(func() { follow(ctx, kv, note) })
	}
	return w, conn.Flush()
}

// follow tells of every change of a bucket, again where a watch ends.
func follow(ctx context.Context, kv jetstream.KeyValue, note func(jetstream.KeyValueEntry)) {
	for ctx.Err() == nil {
		watcher, err := kv.WatchAll(ctx)
		if err != nil {
			await(ctx, cluster.Lease/30)
			continue
		}
		open := true
		for open {
			var entry jetstream.KeyValueEntry
			select {
			case entry, open = <-watcher.Updates():
			case <-ctx.Done():
				open = false
			}
			if entry != nil {
				note(entry)
			}
		}
		_ = watcher.Stop()
	}
}

func (w *witness) state(entry jetstream.KeyValueEntry) {
	var record subjects.LeaderRecord
	if entry.Key() != subjects.LeaderKey || json.Unmarshal(entry.Value(), &record) != nil || record.Replica == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if at, known := w.terms[record.Term]; !known || entry.Created().Before(at) {
		w.terms[record.Term] = entry.Created()
	}
}

func (w *witness) schedule(entry jetstream.KeyValueEntry) {
	var record subjects.ScheduleRecord
	if entry.Operation() != jetstream.KeyValuePut || json.Unmarshal(entry.Value(), &record) != nil || record.Running == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	key := claimed{string(record.Schedule), record.Running.Planned, record.Running.Attempt}
	if _, known := w.claims[key]; !known {
		w.claims[key] = claimSeen{entry.Created(), record.Running.Term, record.Running.Replica}
	}
}

func (w *witness) event(msg *nats.Msg) {
	kind := subjects.EventKind(strings.Split(msg.Subject, ".")[2])
	var event subjects.ScheduleEvent
	if kind != subjects.EventScheduleRerun && kind != subjects.EventScheduleMissed || json.Unmarshal(msg.Data, &event) != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if kind == subjects.EventScheduleMissed {
		w.missed++
		return
	}
	w.rerun(claimed{string(event.Schedule), event.Planned, event.Attempt}, rerun{event.Lost, event.Time})
}

// rerun notes a rerun; mu is held.
func (w *witness) rerun(of claimed, r rerun) {
	if w.reruns[of.schedule] == nil {
		w.reruns[of.schedule] = make(map[claimed]rerun)
	}
	of.planned = of.planned.UTC()
	if _, known := w.reruns[of.schedule][of]; !known {
		w.reruns[of.schedule][of] = r
	}
}

// readLogs takes from the hosts' logs what they have announced to nobody, while a
// connection was down.
func (w *witness) readLogs(processes []*testenv.Process) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, process := range processes {
		for line := range strings.Lines(process.Log()) {
			var record struct {
				Msg, Schedule, Lost string
				Time, Planned       time.Time
				Attempt             int
				Again               bool   `json:"told_again"`
				AckFloor            uint64 `json:"ack_floor"`
			}
			if json.Unmarshal([]byte(line), &record) != nil {
				continue
			}
			switch {
			case record.AckFloor > 0:
				w.recovered++
			case record.Again:
				w.retold++
			case record.Attempt > 1 && record.Lost != "":
				w.rerun(claimed{record.Schedule, record.Planned, record.Attempt}, rerun{record.Lost, record.Time})
			}
		}
	}
}

// unfenced are the runs of fires that a leader published which was none any more: a
// replica learns of a new term within a moment.
func (w *witness) unfenced() (runs []claimed) {
	const moment = cluster.Lease / 2
	w.mu.Lock()
	defer w.mu.Unlock()
	for run, seen := range w.claims {
		for term, began := range w.terms {
			if term > seen.term && seen.at.After(began.Add(moment)) {
				runs = append(runs, run)
				break
			}
		}
	}
	return runs
}
