package replica

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/subjects"
)

// leadership is this replica's part in the election of a leader.
type leadership struct {
	log      *slog.Logger
	announce func(term uint64, leads bool) // as an event
	election *cluster.Election
	cancel   context.CancelFunc
	done     sync.WaitGroup
}

// startLeadership takes part in the election and announces when this replica
// gains or loses the lead. The caller stops it.
func (r *Replica) startLeadership(ctx context.Context) (*leadership, error) {
	election, err := cluster.StartElection(ctx, r.bus.Jet(), r.id)
	if err != nil {
		return nil, err
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l := &leadership{log: r.log, announce: r.announceLead, election: election, cancel: cancel}
	l.done.Go(func() { l.run(running) })
	return l, nil
}

func (l *leadership) run(ctx context.Context) {
	led := false
	for {
		changed := l.election.Changed()
		term, ends, leads := l.election.Term()
		if leads != led {
			led = leads
			l.tell(term, leads)
		}
		over := time.NewTimer(time.Until(ends))
		if !leads {
			over.Stop()
		}
		select {
		case <-changed:
		case <-over.C:
		case <-ctx.Done():
			over.Stop()
			return
		}
		over.Stop()
	}
}

func (l *leadership) tell(term uint64, leads bool) {
	message := "this replica leads"
	if !leads {
		message = "this replica no longer leads"
	}
	l.log.Info(message, "term", term)
	l.announce(term, leads)
}

func (r *Replica) announceLead(term uint64, leads bool) {
	kind := subjects.EventLeaderGained
	if !leads {
		kind = subjects.EventLeaderLost
	}
	r.publish(kind, r.id, subjects.LeaderEvent{V: subjects.Version, Replica: r.id, Time: time.Now().UTC(), Term: term})
}

// leader is the identity of the replica that leads; empty is nobody, or not known.
func (l *leadership) leader() string {
	if l == nil {
		return ""
	}
	return l.election.Leader()
}

// stop resigns, so that another replica takes over at once.
func (l *leadership) stop(ctx context.Context) {
	if l == nil {
		return
	}
	term, _, led := l.election.Term()
	l.cancel()
	l.done.Wait()
	if err := l.election.Stop(ctx); err != nil {
		l.log.Warn("another replica can lead only after a lease", "error", err)
	}
	if led {
		l.tell(term, false)
	}
}
