package replica

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/bus/schedule"
	"github.com/pluginhost/pluginhost/sdk/jet"
)

const (
	// removalGrace is how long a plugin may be away, as while its folder is
	// replaced, before what it has left behind goes.
	removalGrace = 10 * time.Second
	removalPause = cluster.Lease / 3
	// backTimeout bounds how long a plugin that is back waits for that to be noted.
	backTimeout = 5 * time.Second
)

// removals has what removed plugins have left behind removed, while this replica
// leads: schedules and fires, records of connections and of OnInit.
type removals struct {
	removalsConfig
	bus    *cluster.Removals
	cancel context.CancelFunc
	done   sync.WaitGroup

	// takingBack is since when the removal of a plugin that is there could not be taken
	// back; the goroutine's own.
	takingBack map[string]time.Time

	mu     sync.Mutex
	unsaid map[string]bool // plugins whose removal could not be noted yet
}

// removalsConfig is what removals know of their replica. All fields must be set.
type removalsConfig struct {
	id        string // the replica's
	log       *slog.Logger
	jet       *jet.Handle
	heartbeat *cluster.Heartbeat
	election  *cluster.Election
	schedules *schedule.Schedules
	// pluginParts have what plugins leave behind, besides records of OnInit.
	pluginParts []pluginPart
	// grace is how long a plugin may be away. anybodyHas says whether a replica that may be alive
	// has it, and has whether this one does.
	grace           func() time.Duration
	anybodyHas, has func(id string) bool
}

func (r *Replica) removalsConfig() removalsConfig {
	return removalsConfig{
		id: r.id, log: r.log, jet: r.bus.Jet(), heartbeat: r.heartbeat, election: r.leadership.election, schedules: r.schedules,
		pluginParts: r.pluginParts, grace: r.grace, anybodyHas: r.anybodyHas,
		has: func(id string) bool { h := r.find(id); return h != nil && !h.isGone() },
	}
}

// startRemovals begins to look for removed plugins. The caller stops it.
func startRemovals(ctx context.Context, config removalsConfig) (_ *removals, err error) {
	s := &removals{removalsConfig: config, takingBack: make(map[string]time.Time), unsaid: make(map[string]bool)}
	if s.bus, err = cluster.OpenRemovals(ctx, s.jet, s.id); err != nil {
		return nil, err
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	s.done.Go(func() { s.run(running) })
	return s, nil
}

func (s *removals) stop() {
	s.cancel()
	s.done.Wait()
	s.bus.Stop()
}

func (s *removals) run(ctx context.Context) {
	ticker := time.NewTicker(removalPause)
	defer ticker.Stop()
	unserved := make(map[string]time.Time) // since when, as we have seen it
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		s.noteUnsaid(ctx)
		known := s.bus.Known()
		maps.DeleteFunc(unserved, func(id string, _ time.Time) bool { return !slices.Contains(known, id) })
		maps.DeleteFunc(s.takingBack, func(id string, _ time.Time) bool { return !slices.Contains(known, id) })
		if _, _, leads := s.election.Term(); !leads {
			clear(unserved)
			clear(s.takingBack)
			continue
		}
		for _, id := range known {
			if err := s.look(ctx, id, unserved); err != nil && ctx.Err() == nil {
				s.log.Warn("what a removed plugin has left behind could not be removed yet", "plugin", id, "error", err)
			}
		}
	}
}

// grace is how long a plugin may be away.
func (r *Replica) grace() time.Duration {
	if away := time.Duration(r.away.Load()); away > 0 {
		return away
	}
	return removalGrace
}

// look removes what a plugin has left behind, if nobody has had it all the while.
func (s *removals) look(ctx context.Context, id string, unserved map[string]time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, removalGrace)
	defer cancel()
	if s.anybodyHas(id) {
		delete(unserved, id)
		return s.takeBack(ctx, id)
	}
	delete(s.takingBack, id)
	since, known := unserved[id]
	if !known {
		unserved[id] = time.Now()
		return nil
	}
	if time.Since(since) < s.grace() {
		return nil
	}
	return s.bus.Clean(ctx, id, func(ctx context.Context) error { return s.cleanUp(ctx, id) })
}

// takeBack notes that a plugin is there after all. A former leader may still remove what
// it had left, for no longer than removalGrace.
func (s *removals) takeBack(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, removalPause)
	defer cancel()
	since, known := s.takingBack[id]
	if !known {
		since = time.Now()
		s.takingBack[id] = since
	}
	isLong := time.Since(since) > removalGrace
	err := s.bus.Undo(ctx, id, func(cleaner string) bool {
		return cleaner == s.id || !s.heartbeat.Alive(cleaner) || isLong // we look at one after the other
	})
	if err == nil {
		delete(s.takingBack, id)
	} else if !isLong {
		return nil // it is looked at again
	}
	return err
}

func (s *removals) cleanUp(ctx context.Context, id string) error {
	schedules := s.schedules.Count(id)
	err := s.heartbeat.ForgetInits(ctx, id)
	for _, part := range s.pluginParts {
		err = errors.Join(err, part.forget(ctx, id))
	}
	if err == nil {
		s.log.Info("what a removed plugin has left behind is removed", "plugin", id, "schedules", schedules)
	}
	return err
}

// ownerless are plugins that own something, of which no replica that may be alive has any,
// sorted.
func (r *Replica) ownerless() []string {
	var ids []string
	for _, id := range slices.Concat(r.schedules.Plugins(), r.scrobbles.queues.Installed(), r.removals.bus.Owners()) {
		if !slices.Contains(ids, id) && !r.anybodyHas(id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// removed notes that a plugin is gone, now or as soon as that can be.
func (s *removals) removed(ctx context.Context, id string) {
	if err := s.note(ctx, id); err != nil {
		s.log.Warn("a removed plugin keeps its schedules until that can be noted", "plugin", id, "error", err)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.unsaid[id] = true
	}
}

// note notes a removal once the heartbeat does not list the plugin any more: the leader
// takes back what is noted of a plugin that a replica has.
func (s *removals) note(ctx context.Context, id string) error {
	if err := s.heartbeat.Beat(ctx); err != nil {
		return err
	}
	return s.bus.Add(ctx, id)
}

// noteUnsaid notes the removals that could not be noted before, but for plugins that are
// back.
func (s *removals) noteUnsaid(ctx context.Context) {
	s.mu.Lock()
	unsaid := slices.Collect(maps.Keys(s.unsaid))
	s.mu.Unlock()
	for _, id := range unsaid {
		if !s.has(id) && s.note(ctx, id) != nil {
			continue
		}
		s.mu.Lock()
		delete(s.unsaid, id)
		s.mu.Unlock()
	}
}

// back notes that a plugin is there, before anything is made of it. Where that fails, the
// leader notes it once a replica has the plugin.
func (s *removals) back(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(ctx, backTimeout)
	defer cancel()
	isOver := func(cleaner string) bool { return !s.heartbeat.Alive(cleaner) }
	if err := s.bus.Undo(ctx, id, isOver); err != nil {
		s.log.Warn("a plugin that is back may still count as removed", "plugin", id, "error", err)
	}
}
