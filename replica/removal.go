package replica

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pluginhost/pluginhost/bus"
)

const (
	// removalGrace is how long a plugin may be away, as while its folder is
	// replaced, before what it has left behind goes.
	removalGrace = 10 * time.Second
	removalPause = bus.Lease / 3
	// backTimeout bounds how long a plugin that is back waits for that to be noted.
	backTimeout = 5 * time.Second
)

// removals has what removed plugins have left behind removed, while this replica
// leads: schedules and fires, records of connections and of OnInit.
type removals struct {
	replica *Replica
	bus     *bus.Removals
	cancel  context.CancelFunc
	done    sync.WaitGroup
}

// startRemovals begins to look for removed plugins. The caller stops it.
func (r *Replica) startRemovals(ctx context.Context) (_ *removals, err error) {
	s := &removals{replica: r}
	if s.bus, err = r.bus.OpenRemovals(ctx, r.id); err != nil {
		return nil, err
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	s.done.Go(func() { s.run(running) })
	return s, nil
}

func (s *removals) stop() {
	if s == nil {
		return
	}
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
		known := s.bus.Known()
		maps.DeleteFunc(unserved, func(id string, _ time.Time) bool { return !slices.Contains(known, id) })
		if _, _, leads := s.replica.leadership.election.Term(); !leads {
			clear(unserved)
			continue
		}
		for _, id := range known {
			if err := s.look(ctx, id, unserved); err != nil && ctx.Err() == nil {
				s.replica.log.Warn("what a removed plugin has left behind could not be removed yet", "plugin", id, "error", err)
			}
		}
	}
}

// look removes what a plugin has left behind, if nobody has served it all the while.
func (s *removals) look(ctx context.Context, id string, unserved map[string]time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, removalGrace)
	defer cancel()
	if s.replica.isServed(id) {
		delete(unserved, id)
		return s.bus.Undo(ctx, id)
	}
	since, known := unserved[id]
	if !known {
		unserved[id] = time.Now()
		return nil
	}
	if time.Since(since) < s.replica.config.Load().grace() {
		return nil
	}
	return s.bus.Clean(ctx, id, func(ctx context.Context) error { return s.cleanUp(ctx, id) })
}

func (s *removals) cleanUp(ctx context.Context, id string) error {
	r := s.replica
	schedules := r.planner.schedules.Count(id)
	err := errors.Join(
		r.planner.schedules.Drop(ctx, id),
		r.sockets.bus.Forget(ctx, id),
		r.heartbeat.ForgetInits(ctx, id),
	)
	if err == nil {
		r.log.Info("what a removed plugin has left behind is removed", "plugin", id, "schedules", schedules)
	}
	return err
}

// removed notes that a plugin's folder is gone.
func (s *removals) removed(ctx context.Context, id string) {
	if err := s.bus.Add(ctx, id); err != nil {
		s.replica.log.Warn("a removed plugin keeps its schedules", "plugin", id, "error", err)
	}
}

// back notes that a plugin's folder is there, before anything is made of it. Where that
// fails, the leader notes it once the plugin is served.
func (s *removals) back(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(ctx, backTimeout)
	defer cancel()
	if err := s.bus.Undo(ctx, id); err != nil {
		s.replica.log.Warn("a plugin that is back may still count as removed", "plugin", id, "error", err)
	}
}
