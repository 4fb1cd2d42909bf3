package replica

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/bus/schedule"
	"github.com/pluginhost/pluginhost/bus/socket"
)

// silenceGrace is how long a replica may be silent before what the OnInit of its own
// version has set without an id goes: as long as the server keeps its record.
const silenceGrace = 10 * cluster.Lease

// silence is how long a replica may be silent before what it alone has in force goes.
func (r *Replica) silence() time.Duration {
	if away := time.Duration(r.away.Load()); away > 0 {
		return max(away, cluster.Lease)
	}
	return silenceGrace
}

// leavings has removed, while this replica leads, what runs of OnInit have set without an
// id that failed, or in whose place there is another one: schedules, and connections whose
// replica is gone.
type leavings struct {
	log       *slog.Logger
	election  *cluster.Election
	inits     *cluster.Inits
	schedules *schedule.Schedules
	sockets   *socket.Sockets
	silence   func() time.Duration
	// forget removes what a run of OnInit of a plugin has set without an id.
	forget func(ctx context.Context, id, run string) error

	cancel context.CancelFunc
	done   sync.WaitGroup
}

// startLeavings begins to look for leavings. The caller stops it.
func (r *Replica) startLeavings(ctx context.Context) *leavings {
	l := &leavings{
		log: r.log, election: r.leadership.election, inits: r.inits, schedules: r.schedules, sockets: r.sockets.bus, silence: r.silence,
		forget: func(ctx context.Context, id, run string) error { return r.forgetting(id)(ctx, run) },
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l.cancel = cancel
	l.done.Go(func() { l.run(running) })
	return l
}

func (l *leavings) stop() {
	l.cancel()
	l.done.Wait()
}

func (l *leavings) run(ctx context.Context) {
	ticker := time.NewTicker(removalPause)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if _, _, leads := l.election.Term(); !leads {
			continue
		}
		for id, runs := range l.known() {
			for _, run := range runs {
				if err := l.look(ctx, id, run); err != nil && ctx.Err() == nil {
					l.log.Warn("what a former OnInit set without an id could not be removed yet", "plugin", id, "error", err)
				}
			}
		}
	}
}

// known are the runs of OnInit of which there is something that they set without an id, by
// plugin.
func (l *leavings) known() map[string][]string {
	known := l.schedules.Runs()
	for id, runs := range l.sockets.Runs() {
		for _, run := range runs {
			if !slices.Contains(known[id], run) {
				known[id] = append(known[id], run)
			}
		}
	}
	return known
}

// look removes what a run of OnInit has set, if that is leaving.
func (l *leavings) look(ctx context.Context, id, run string) error {
	ctx, cancel := context.WithTimeout(ctx, removalGrace)
	defer cancel()
	if !l.inits.IsLeaving(id, run, l.silence()) {
		return nil
	}
	if isRetired, err := l.inits.Retire(ctx, id, run); err != nil || !isRetired {
		return err
	}
	return l.forget(ctx, id, run)
}
