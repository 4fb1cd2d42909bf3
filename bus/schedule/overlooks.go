package schedule

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/subjects"
)

const (
	// overlookGrace is for how long fires of a schedule are published and not claimed until
	// the consumer of its plugin is looked at.
	overlookGrace = cluster.Lease / 3
	// overlookPause is between two looks, overlookLooks how many have to find the same. A leader
	// that is about to die, too, has come so far: the next one knows nothing of its looks.
	overlookPause = cluster.Lease / 3
	overlookLooks = 3
	// overlookPatience is how long one look takes at most.
	overlookPatience = cluster.Lease
	// unclaimedFor is how long a schedule counts whose fires are not published any more.
	unclaimedFor = 10 * cluster.Lease
	// maxToldFires is how many fires an event names.
	maxToldFires = 10
)

// overlooks finds, while this replica leads, fires that NATS will never deliver, and has
// them handed out anew. Their sign is that fires of a schedule are published over and over,
// whether the stream takes them or has one already, and nobody claims one.
type overlooks struct {
	log       *slog.Logger
	recovered func(subjects.FiresEvent)

	mu        sync.Mutex
	unclaimed map[string]unclaimed               // by the keys of schedules
	counts    map[string]subjects.RecoveredFires // by the ids of plugins

	// suspects are of the goroutine that runs, by the ids of plugins.
	suspects map[string]suspicion
}

// unclaimed is a schedule whose fires are published and not claimed.
type unclaimed struct {
	plugin      string
	first, last time.Time // when they were published
}

// suspicion is what so many looks in a row have found.
type suspicion struct {
	looks int
	found Overlooked
	// begun says that the fires may have been handed out anew, without an answer.
	begun bool
}

func newOverlooks(log *slog.Logger, recovered func(subjects.FiresEvent)) *overlooks {
	return &overlooks{log: log, recovered: recovered, unclaimed: make(map[string]unclaimed), counts: make(map[string]subjects.RecoveredFires), suspects: make(map[string]suspicion)}
}

// published notes that a fire of a schedule was published, or the stream has one already.
func (o *overlooks) published(key, plugin string, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	is, known := o.unclaimed[key]
	if !known {
		is = unclaimed{plugin: plugin, first: now}
	}
	is.last = now
	o.unclaimed[key] = is
}

// claimed notes that a replica has claimed a fire of a schedule.
func (o *overlooks) claimed(key string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.unclaimed, key)
}

// doubtful are the plugins with a schedule of which no fire was claimed for long. It forgets
// what is not published any more.
func (o *overlooks) doubtful(now time.Time) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	maps.DeleteFunc(o.unclaimed, func(_ string, is unclaimed) bool { return now.Sub(is.last) > unclaimedFor })
	ids := make(map[string]bool)
	for _, is := range o.unclaimed {
		if now.Sub(is.first) >= overlookGrace {
			ids[is.plugin] = true
		}
	}
	return slices.Sorted(maps.Keys(ids))
}

// forget forgets the schedules of one plugin.
func (o *overlooks) forget(plugin string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	maps.DeleteFunc(o.unclaimed, func(_ string, is unclaimed) bool { return is.plugin == plugin })
}

// forgetAll forgets all schedules.
func (o *overlooks) forgetAll() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.unclaimed)
}

// run looks at the plugins in doubt as long as this replica leads.
func (o *overlooks) run(ctx context.Context, schedules *Schedules, election *cluster.Election) {
	ticker := time.NewTicker(overlookPause)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if _, _, leads := election.Term(); !leads {
			o.forgetAll()
			// What may have been done is still to be told of.
			maps.DeleteFunc(o.suspects, func(_ string, is suspicion) bool { return !is.begun })
			continue
		}
		ids := o.doubtful(time.Now())
		maps.DeleteFunc(o.suspects, func(id string, is suspicion) bool { return !is.begun && !slices.Contains(ids, id) })
		for id, is := range o.suspects {
			if is.begun && !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
		for _, id := range ids {
			if err := o.look(ctx, schedules, id); err != nil && ctx.Err() == nil {
				o.log.Warn("fires that nobody claims cannot be looked into yet", "plugin", id, "error", err)
			}
		}
	}
}

// look compares the fires of a plugin with its consumer, and has them handed out anew once
// enough looks have found the same.
func (o *overlooks) look(ctx context.Context, schedules *Schedules, id string) error {
	ctx, cancel := context.WithTimeout(ctx, overlookPatience)
	defer cancel()
	is := o.suspects[id]
	found, err := schedules.Overlooked(ctx, id, is.found.Fires)
	if err != nil {
		return err
	}
	if found.IsAny() {
		is.looks, is.found = is.looks+1, found
		o.suspects[id] = is
		if is.looks < overlookLooks {
			return nil
		}
		is.begun = true
		o.suspects[id] = is
		if err := schedules.Redeliver(ctx, id); err != nil {
			return err
		}
	}
	delete(o.suspects, id)
	if is.begun {
		o.forget(id)
		o.announce(id, is.found)
	}
	return nil
}

// announce counts and tells that fires of a plugin are handed out anew.
func (o *overlooks) announce(id string, found Overlooked) {
	now := time.Now().UTC()
	o.mu.Lock()
	o.counts[id] = subjects.RecoveredFires{ID: id, Times: o.counts[id].Times + 1, Last: now}
	o.mu.Unlock()
	told := found.Fires[:min(len(found.Fires), maxToldFires)]
	o.log.Warn("NATS would never have delivered fires of a plugin: they are handed out anew", "plugin", id,
		"fires", told, "ack_floor", found.AckFloor, "stream", subjects.FireStream)
	o.recovered(subjects.FiresEvent{V: subjects.Version, ID: id, Time: now, Fires: told, AckFloor: found.AckFloor})
}

// Recovered tells how often the Planner has had fires handed out anew, of each plugin.
func (p *Planner) Recovered() []subjects.RecoveredFires {
	p.overlooks.mu.Lock()
	defer p.overlooks.mu.Unlock()
	return slices.SortedFunc(maps.Values(p.overlooks.counts), func(a, b subjects.RecoveredFires) int { return strings.Compare(a.ID, b.ID) })
}
