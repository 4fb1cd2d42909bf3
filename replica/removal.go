package replica

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/pluginhost/pluginhost/bus"
)

const (
	// removalGrace is how long a plugin may be away, as while its folder is
	// replaced, before what it has left behind goes.
	removalGrace = 10 * time.Second
	removalPause = bus.Lease / 3
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
	if s.bus, err = r.bus.OpenRemovals(ctx); err != nil {
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
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if _, _, leads := s.replica.leadership.election.Term(); !leads {
			continue
		}
		for _, id := range s.bus.Since(s.replica.config.Load().grace()) {
			if s.replica.isServed(id) {
				continue
			}
			if err := s.cleanUp(ctx, id); err != nil && ctx.Err() == nil {
				s.replica.log.Warn("what a removed plugin has left behind could not be removed yet", "plugin", id, "error", err)
			}
		}
	}
}

func (s *removals) cleanUp(ctx context.Context, id string) error {
	r := s.replica
	ctx, cancel := context.WithTimeout(ctx, removalGrace)
	defer cancel()
	schedules := r.planner.schedules.Count(id)
	err := errors.Join(
		r.planner.schedules.Drop(ctx, id),
		r.sockets.bus.Forget(ctx, id),
		r.heartbeat.ForgetInits(ctx, id),
	)
	if err != nil {
		return err
	}
	r.log.Info("what a removed plugin has left behind is removed", "plugin", id, "schedules", schedules)
	return s.bus.Undo(ctx, id)
}

// removed notes that a plugin's folder is gone, back that it is there again.
func (s *removals) removed(ctx context.Context, id string) {
	if err := s.bus.Add(ctx, id); err != nil {
		s.replica.log.Warn("a removed plugin keeps its schedules", "plugin", id, "error", err)
	}
}

func (s *removals) back(ctx context.Context, id string) {
	if err := s.bus.Undo(ctx, id); err != nil {
		s.replica.log.Warn("a plugin that is back still counts as removed", "plugin", id, "error", err)
	}
}
