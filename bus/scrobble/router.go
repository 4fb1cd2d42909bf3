package scrobble

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

const (
	// maxRouting is how many queues are written to at once.
	maxRouting = 64
	// routerPause is between two looks at what could not be routed, or failed.
	routerPause = time.Second
	// hasRoom is the share of MaxQueue under which a queue that was full takes plays again.
	hasRoom = 0.95
)

// errNotLeading ends what a router does that leads no more.
var errNotLeading = errors.New("another replica leads")

// Router moves plays from the intake to the queues while its replica leads. Whatever it does can be done twice: a router
// that does not know yet that it leads no more does no harm.
type Router struct {
	queues   *Queues
	election *cluster.Election
	cancel   context.CancelFunc
	done     sync.WaitGroup

	// full are the plugins whose queues take no more, and the first play that waits for that in the intake. Of the goroutine
	// that runs.
	full map[string]uint64
	// homeless is the first play in the intake for which no plugin is installed; 0 is none.
	homeless uint64
	// hasStreams says that nothing has failed since it was looked whether the streams are there. Of the goroutine that runs.
	hasStreams bool
	// regained is closed when the bucket has become another one since plays were looked for that no record has; nil is that they
	// were not yet. Of the goroutine that does.
	regained <-chan struct{}
}

// StartRouter begins to route whenever the replica leads. The caller stops it.
func (q *Queues) StartRouter(ctx context.Context, election *cluster.Election) *Router {
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &Router{queues: q, election: election, cancel: cancel}
	r.done.Go(func() { r.run(running) })
	return r
}

// Stop ends it and waits for it.
func (r *Router) Stop() {
	r.cancel()
	r.done.Wait()
}

func (r *Router) run(ctx context.Context) {
	failing := r.queues.handle.NewTransient()
	for ctx.Err() == nil {
		changed := r.election.Changed()
		if _, _, leads := r.election.Term(); !leads {
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		err := r.lead(ctx, changed)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errNotLeading), errors.Is(err, errAgain):
			failing.Works()
			continue
		}
		r.hasStreams = false
		failing.Failed(ctx, r.queues.handle.Logger(), time.Now(), "plays cannot be moved to their queues yet", "error", err)
		_ = jet.Pause(ctx, routerPause)
	}
}

// lead routes from the beginning of the intake until this replica leads no more, or something fails.
func (r *Router) lead(ctx context.Context, changed <-chan struct{}) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan struct{})
	defer func() { <-done }()
	defer cancel(nil)
	go func() { // it ends with ctx
		defer close(done)
		select {
		case <-changed:
			cancel(errNotLeading)
		case <-ctx.Done():
		}
	}()
	r.full, r.homeless = make(map[string]uint64), 0
	err := r.route(ctx)
	if cause := context.Cause(ctx); errors.Is(cause, errNotLeading) {
		return cause
	}
	return err
}

// route routes what is in the intake and what comes, until something fails or is to be looked at again.
func (r *Router) route(ctx context.Context) error {
	if err := r.haveStreams(ctx); err != nil {
		return err
	}
	if err := r.routeKnown(ctx); err != nil {
		return err
	}
	reader, err := r.queues.streams.read(ctx)
	if err != nil {
		return err
	}
	defer reader.stop()
	look := time.NewTicker(routerPause)
	defer look.Stop()
	users, plugins := r.queues.users.changes(), r.queues.index.changes()
	defer r.regain(ctx)()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-users:
			users = r.queues.users.changes()
			if err := r.routeKnown(ctx); err != nil {
				return err
			}
		case <-plugins:
			plugins = r.queues.index.changes()
			if r.mayGoOn() {
				return errAgain
			}
		case <-look.C:
			if err := r.routeKnown(ctx); err != nil { // those whom the configuration names
				return err
			}
			if r.mayGoOn() { // as the limits are others by now, or queues were lost
				return errAgain
			}
			if err := reader.check(ctx, r.waits()); err != nil {
				return err
			}
		case <-reader.broken:
			return errAgain
		case msg := <-reader.messages:
			batch := reader.batch(msg)
			if err := r.routeBatch(ctx, batch); err != nil {
				return err
			}
			reader.routed(batch)
		}
	}
}

// haveStreams makes the streams if one is missing: somebody may have removed it.
func (r *Router) haveStreams(ctx context.Context) (err error) {
	if !r.hasStreams {
		_, err = openStreams(ctx, r.queues.handle, r.queues.config.Limits())
		r.hasStreams = err == nil
	}
	return err
}

// regain has plays looked for that no record of a queue has: once, and again when the bucket is another one. The
// function that it returns ends that, and waits.
func (r *Router) regain(ctx context.Context) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var looking sync.WaitGroup
	looking.Go(func() {
		failing := r.queues.handle.NewTransient()
		for ctx.Err() == nil {
			if r.regained == nil {
				renewed := r.queues.index.renewals()
				if err := r.queues.regain(ctx); err != nil {
					failing.Failed(ctx, r.queues.handle.Logger(), time.Now(), "plays that no queue has are not looked for yet", "error", err)
					_ = jet.Pause(ctx, routerPause)
					continue
				}
				failing.Works()
				r.regained = renewed
			}
			select {
			case <-r.regained:
				r.regained = nil
			case <-ctx.Done():
			}
		}
	})
	return func() { cancel(); looking.Wait() }
}

// errAgain has the intake read from its beginning.
var errAgain = errors.New("the intake is read anew")

// waits says whether something in the intake waits on purpose.
func (r *Router) waits() bool { return len(r.full) > 0 || r.homeless != 0 }

// mayGoOn says whether something that waits in the intake could go to its queue now.
func (r *Router) mayGoOn() bool {
	if r.homeless != 0 && len(r.queues.index.installed()) > 0 {
		return true
	}
	limit := float64(r.queues.config.Limits().MaxQueue) * hasRoom
	for id := range r.full {
		if float64(r.queues.index.waiting(id)) < limit {
			return true
		}
	}
	return false
}

// held is the first play in the intake that must stay there; 0 is none.
func (r *Router) held() uint64 {
	first := r.homeless
	for _, sequence := range r.full {
		if first == 0 || sequence < first {
			first = sequence
		}
	}
	return first
}

// routeBatch moves plays to their queues, each queue's in their order, and removes from the intake what is where it belongs.
func (r *Router) routeBatch(ctx context.Context, batch []published) error {
	if err := r.complete(ctx, batch); err != nil {
		return err
	}
	if err := r.moveAll(ctx, r.plan(batch)); err != nil {
		return err
	}
	for i := range batch {
		if p := &batch[i]; p.err != nil {
			if err := r.unreadable(ctx, p); err != nil {
				return err
			}
		}
	}
	return r.clear(ctx, batch)
}

// complete adds what is known of the users. Plays of a user that waited for the name go before those that follow.
func (r *Router) complete(ctx context.Context, batch []published) error {
	for i := range batch {
		p := batch[i].play
		if batch[i].err != nil {
			continue
		}
		p.user = r.queues.Complete(p.user)
		if p.user.Name == "" || p.user.ID == "" {
			continue
		}
		key := subjects.QueueKey("", subjects.UserKey("", p.user.ID))
		if record, _ := r.queues.index.queue(key); hasNext(&record) {
			if err := r.routeQueue(ctx, key, p.user); err != nil {
				return err
			}
		}
	}
	return nil
}

// move is what goes to one queue.
type move struct {
	id, user string
	plays    []*moving
}

// moving is a play on its way to a queue.
type moving struct {
	of       *published // nil if it does not come from the intake
	id       string     // what tells doubles
	request  []byte
	user     User
	to       string // what it was published for, in the queue of unknown users
	accepted time.Time
	again    bool // it is to be tried though it was a dead letter
}

// plan says what goes where. A play for a plugin whose queues are full stays, and so does one for all plugins if there
// are none.
func (r *Router) plan(batch []published) []*move {
	var moves []*move
	queues := make(map[string]*move)
	installed := r.queues.index.installed()
	for i := range batch {
		p := &batch[i]
		if p.err != nil {
			continue
		}
		user, targets := p.play.user, []string{p.to}
		switch {
		case user.Name == "":
			targets = []string{""}
		case p.to == "":
			if targets = installed; r.homeless != 0 {
				targets = nil // those before it go first
			}
			if len(targets) == 0 {
				p.stays = true
				if p.sequence != 0 { // it comes from the intake
					r.homeless = firstOf(r.homeless, p.sequence)
				}
			}
		}
		key := subjects.UserKey(user.Name, user.ID)
		one := moving{of: p, id: p.play.id(key), user: user, to: p.to, accepted: p.accepted, again: p.again}
		if one.request, p.err = p.play.encode(user); p.err != nil {
			continue
		}
		for _, id := range targets {
			at := subjects.QueueKey(id, key)
			if queues[at] == nil {
				queues[at] = &move{id: id, user: key}
				moves = append(moves, queues[at])
			}
			moving := one
			queues[at].plays = append(queues[at].plays, &moving)
		}
	}
	return moves
}

func firstOf(known, sequence uint64) uint64 {
	if known == 0 || sequence < known {
		return sequence
	}
	return known
}

// moveAll moves to several queues at once.
func (r *Router) moveAll(ctx context.Context, moves []*move) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxRouting)
	var mu sync.Mutex
	for _, m := range moves {
		full := func() bool {
			mu.Lock()
			defer mu.Unlock()
			return r.isFull(m.id)
		}()
		group.Go(func() error {
			stays, err := r.queues.move(ctx, m, full)
			mu.Lock()
			defer mu.Unlock()
			for _, p := range stays {
				if p.of != nil {
					p.of.stays = true
					r.full[m.id] = firstOf(r.full[m.id], p.of.sequence)
				}
			}
			return err
		})
	}
	return group.Wait()
}

// isFull says whether plays for a plugin stay in the intake. Once one does, all that follow do, until there is room again.
func (r *Router) isFull(id string) bool {
	_, full := r.full[id]
	return full
}

// clear removes from the intake what is where it belongs.
func (r *Router) clear(ctx context.Context, batch []published) error {
	last := batch[len(batch)-1].sequence
	held := r.held()
	if held == 0 || held > last {
		return r.queues.streams.purgeIntake(ctx, last+1)
	}
	if held > batch[0].sequence {
		if err := r.queues.streams.purgeIntake(ctx, held); err != nil {
			return err
		}
	}
	for i := range batch {
		if p := &batch[i]; p.sequence >= held && !p.stays {
			if err := r.queues.streams.deleteFromIntake(ctx, p.sequence); err != nil {
				return err
			}
		}
	}
	return nil
}

// maxUnreadable is how much is kept of what could not be read, in bytes.
const maxUnreadable = 4 << 10

// unreadable makes a dead letter of what is no play.
func (r *Router) unreadable(ctx context.Context, p *published) error {
	return r.queues.bury(ctx, p.token(), subjects.DeadRecord{
		PlayRecord: subjects.PlayRecord{Plugin: p.to, Accepted: p.accepted, Request: p.body[:min(len(p.body), maxUnreadable)]},
		Reason:     subjects.DeadUnreadable,
		Error:      p.err.Error(),
	})
}

// token stands for what is no play in the subject of its dead letter.
func (p *published) token() string {
	body, _ := json.Marshal([]any{p.sequence, p.accepted})
	return subjects.PlayKey{Title: string(body)}.ID()
}
