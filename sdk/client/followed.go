package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/subjects"
)

const (
	// followInterval is how often replicas are asked for their plugins though no event came.
	followInterval = 5 * time.Second
	// staleInterval is the same while nobody answers.
	staleInterval = time.Second
	// settleTime is how long events are waited for after one, so that many cost one question.
	settleTime = 100 * time.Millisecond
	// silentGrace is how long a replica's plugins stay that is said to be alive, and does not answer.
	silentGrace = 15 * time.Second
)

// FollowedPlugins is a list of the plugins of all replicas that keeps itself up to date, so that a look costs nothing. It is safe
// for concurrent use. While NATS or all replicas are away it stays as it was, also while the last of them leaves; what one that has
// begun anew has not loaded yet stays, too.
type FollowedPlugins struct {
	client *Client
	stop   context.CancelFunc
	done   sync.WaitGroup
	wake   chan struct{}
	asks   chan chan struct{} // of Refresh; each is closed once replicas have been asked
	now    atomic.Pointer[followed]

	// Of the goroutine alone.
	replicas map[string]heardReplica
	heard    int // how many have answered the last question
}

// followed is what is known at a time.
type followed struct {
	listed  []Listed
	all     []Plugin
	able    map[string][]Plugin // by capability
	changed chan struct{}       // closed by what comes after
	since   time.Time
	err     error // why there was no answer since
}

// heardReplica is what a replica has said.
type heardReplica struct {
	subjects.PluginList
	at time.Time
}

// FollowPlugins asks all replicas for their plugins, and follows what becomes of them: it asks anew when one tells of a change by an event, when a lost
// connection is back, and every few seconds, which has to do for a user who may not subscribe to pluginhost.event.loaded.*, .failed.*
// and .unloaded.*. ctx bounds the first question only, which has DefaultTimeout without a deadline. That nobody answers it is no error: the list
// is empty, Stale says why, and it goes on. The error is that of ctx, or nats.ErrConnectionClosed. The caller stops the FollowedPlugins.
func (c *Client) FollowPlugins(ctx context.Context) (*FollowedPlugins, error) {
	running, stop := context.WithCancel(context.Background())
	f := &FollowedPlugins{client: c, stop: stop, wake: make(chan struct{}, 1), asks: make(chan chan struct{}), replicas: make(map[string]heardReplica)}
	f.now.Store(&followed{listed: []Listed{}, all: []Plugin{}, changed: make(chan struct{}), since: time.Now(), err: ErrNoReplica})
	subscribed, err := f.subscribe()
	if err == nil {
		err = f.first(ctx)
	}
	if err != nil {
		unsubscribe(subscribed)
		stop()
		return nil, err
	}
	f.done.Go(func() {
		defer unsubscribe(subscribed)
		f.follow(running)
	})
	return f, nil
}

// Stop ends it, and waits for that. The list stays as it is.
func (f *FollowedPlugins) Stop() {
	f.stop()
	f.done.Wait()
}

// Listed returns all plugins in any state, in the order of their ids. Others read what is returned, too: it must not be changed.
func (f *FollowedPlugins) Listed() []Listed { return f.now.Load().listed }

// Plugins returns the plugins that can be called and have a capability, or all for an empty one, in the order of their ids, as
// [Client.Plugins] does. One that could be called and is being loaded on all replicas that have it is there, too, without Replicas. Others read what is returned, too: it must not be changed.
func (f *FollowedPlugins) Plugins(capability string) []Plugin {
	now := f.now.Load()
	if capability == "" {
		return now.all
	}
	return now.able[capability]
}

// Stale returns since when nobody has answered, and why: ErrNoReplica, ErrNoAnswer, subjects.ErrUnavailable while the connection is lost and others.
// The list is what was known then. A zero time and nil are that it is up to date, but for a few seconds.
func (f *FollowedPlugins) Stale() (since time.Time, err error) {
	now := f.now.Load()
	return now.since, now.err
}

// Refresh asks replicas at once, and returns when they have answered, or nobody has: Stale tells. The error is that of ctx.
func (f *FollowedPlugins) Refresh(ctx context.Context) error {
	asked := make(chan struct{})
	select {
	case f.asks <- asked:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-asked:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Changed returns a channel that is closed when replicas have answered anew, or no longer answer.
func (f *FollowedPlugins) Changed() <-chan struct{} { return f.now.Load().changed }

// subscribe has events wake the goroutine, and returns what the caller unsubscribes.
func (f *FollowedPlugins) subscribe() (subscribed []*nats.Subscription, err error) {
	for _, kind := range []subjects.EventKind{subjects.EventLoaded, subjects.EventFailed, subjects.EventUnloaded} {
		subscription, err := f.client.conn.Subscribe(subjects.Events(kind), func(*nats.Msg) {
			select {
			case f.wake <- struct{}{}:
			default: // it is awake
			}
		})
		if err != nil {
			return subscribed, fmt.Errorf("follow plugins: %w", err)
		}
		subscribed = append(subscribed, subscription)
	}
	return subscribed, nil
}

func unsubscribe(subscribed []*nats.Subscription) {
	for _, subscription := range subscribed {
		_ = subscription.Unsubscribe() // the connection closes, and ends it as well
	}
}

// first asks for the first time.
func (f *FollowedPlugins) first(ctx context.Context) error {
	asking, cancel := f.client.bounded(ctx)
	defer cancel()
	err := f.ask(asking)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("follow plugins: %w", ctx.Err())
	case errors.Is(err, nats.ErrConnectionClosed):
		return fmt.Errorf("follow plugins: %w", err)
	case err != nil:
		f.miss(err)
	}
	return nil
}

// follow asks whenever there is reason to, until ctx is over or the connection is closed.
func (f *FollowedPlugins) follow(ctx context.Context) {
	back := f.client.conn.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer f.client.conn.RemoveStatusListener(back)
	for {
		interval := followInterval
		if _, err := f.Stale(); err != nil {
			interval = staleInterval
		}
		next := time.NewTimer(interval)
		var asked chan struct{}
		select {
		case asked = <-f.asks:
		case <-next.C:
		case <-back:
		case <-f.wake:
			settle(ctx, settleTime)
			select {
			case <-f.wake: // what came meanwhile is answered, too
			default:
			}
		case <-ctx.Done():
		}
		next.Stop()
		if ctx.Err() != nil {
			return
		}
		err := f.ask(ctx)
		if asked != nil {
			close(asked)
		}
		if errors.Is(err, nats.ErrConnectionClosed) {
			return // for good
		}
	}
}

func settle(ctx context.Context, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// ask asks all replicas, and takes over what they say. Those that were there last time are waited for, whatever number the
// others tell, which is too small for some seconds after NATS was away.
func (f *FollowedPlugins) ask(ctx context.Context) error {
	expected := f.heard
	answers, err := gather(ctx, f.client, subjects.ControlList, gathering[subjects.PluginList]{
		header: func(l subjects.PluginList) subjects.Header { return l.Header },
		enough: func(answers []subjects.PluginList) bool {
			return len(answers) >= max(expected, answers[len(answers)-1].Replicas)
		},
	})
	if err == nil {
		err = f.take(answers)
	}
	if err != nil && ctx.Err() == nil {
		f.miss(err)
	}
	return err
}

// miss notes that nobody has answered.
func (f *FollowedPlugins) miss(err error) {
	before := f.now.Load()
	now := *before
	now.err = err
	if before.err == nil {
		now.since, now.changed = time.Now(), make(chan struct{})
	}
	f.now.Store(&now)
	if before.err == nil {
		close(before.changed)
	}
}

// take makes the list of what replicas have answered. One that is alive, as the others have it, and has not answered is busy: its
// plugins stay for a while. One that leaves is left out, and changes nothing if there is no other.
func (f *FollowedPlugins) take(answers []subjects.PluginList) error {
	now, alive := time.Now(), 0
	answers = slices.DeleteFunc(answers, func(l subjects.PluginList) bool { return l.Draining })
	f.heard = len(answers)
	if len(answers) == 0 {
		return errLeaving
	}
	for _, answer := range answers {
		f.replicas[answer.Replica] = heardReplica{answer, now}
		alive = max(alive, answer.Replicas)
	}
	var lists []subjects.PluginList
	for id, replica := range f.replicas {
		if replica.at.Equal(now) || len(answers) < alive && now.Sub(replica.at) < silentGrace {
			lists = append(lists, replica.PluginList)
		} else {
			delete(f.replicas, id)
		}
	}
	slices.SortFunc(lists, func(a, b subjects.PluginList) int { return compareReplicas(a.Header, b.Header) })
	f.put(Merge(lists))
	return nil
}

// errLeaving says that all replicas are about to leave.
var errLeaving = fmt.Errorf("%w: those that run are leaving", ErrNoReplica)

// put makes a list that of all who look from now on. What could be called and is only being loaded stays: a music server takes a
// plugin that fails for one to be asked again, and one that is not there for one that knows nothing.
func (f *FollowedPlugins) put(listed []Listed) {
	before := f.now.Load()
	all := callable(listed, "")
	for _, plugin := range before.all {
		i, is := slices.BinarySearchFunc(listed, plugin.ID, func(l Listed, id string) int { return strings.Compare(l.ID, id) })
		if is && listed[i].State == subjects.StateInitialising {
			plugin.Replicas = nil
			all = append(all, plugin)
		}
	}
	slices.SortFunc(all, func(a, b Plugin) int { return strings.Compare(a.ID, b.ID) })
	now := &followed{listed: listed, all: all, able: make(map[string][]Plugin), changed: make(chan struct{})}
	for _, plugin := range now.all {
		for _, capability := range plugin.Capabilities {
			if known := now.able[capability]; len(known) == 0 || known[len(known)-1].ID != plugin.ID {
				now.able[capability] = append(known, plugin)
			}
		}
	}
	close(f.now.Swap(now).changed)
}
