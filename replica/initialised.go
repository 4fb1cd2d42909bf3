package replica

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/pluginhost/pluginhost/bus/cluster"
)

// initialised is the run of OnInit by which a generation is initialised, for its host
// services.
type initialised struct{ run atomic.Pointer[string] }

// by is the run; empty is none, or that it is not known.
func (i *initialised) by() string {
	if run := i.run.Load(); run != nil {
		return *run
	}
	return ""
}

// of is the run of OnInit that a call of the generation counts for: the one that it is, or
// the one that has initialised the generation.
func (i *initialised) of(ctx context.Context) string {
	if run := cluster.InitRun(ctx); run != "" {
		return run
	}
	return i.by()
}

// markOf is the run of OnInit that what a call makes is marked with: what OnInit makes
// without an id, a later OnInit cannot replace.
func markOf(ctx context.Context, isMade bool) string {
	if isMade {
		return cluster.InitRun(ctx)
	}
	return ""
}

// hold notes which run of OnInit a generation is initialised by that is about to serve;
// empty is that it is not.
func (r *Replica) hold(g *generation, run string) {
	h := r.hosted(g.entry.ID)
	if run == "" {
		h.letGo(g)
		return
	}
	g.services.init.run.Store(&run)
	h.holds.Store(&run)
}

// letGo notes that a generation is not about to serve any more.
func (h *hosted) letGo(g *generation) { h.holds.CompareAndSwap(g.services.init.run.Load(), nil) }

// initialisedHere is what bus.InitsConfig.Own asks for.
func (r *Replica) initialisedHere(id string) (generation, run, holds string) {
	h := r.find(id)
	if h == nil {
		return "", "", ""
	}
	return h.initialised()
}

// initialised is the generation that is served, the run of OnInit by which it is
// initialised, and the run of one that is about to serve. Empty is none.
func (h *hosted) initialised() (generation, run, holds string) {
	if held := h.holds.Load(); held != nil { // before current, in whose place it is put after that
		holds = *held
	}
	if current := h.current.Load(); current != nil {
		generation, run = current.id, current.services.init.by()
	}
	return generation, run, holds
}

// forgetting removes what a run of OnInit of a plugin has set without an id.
func (r *Replica) forgetting(id string) func(ctx context.Context, run string) error {
	return func(ctx context.Context, run string) error {
		schedules, failed := r.schedules.DropRun(ctx, id, run, r.heartbeat.Alive)
		connections, err := r.sockets.bus.DropRun(ctx, id, run)
		if schedules+connections > 0 {
			r.log.Info("what an OnInit set without an id is removed: it has failed, or another is in force", "plugin", id,
				"schedules", schedules, "connections", connections)
		}
		return errors.Join(failed, err)
	}
}
