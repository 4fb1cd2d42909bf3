package scrobble

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/excerpt"
	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

const (
	// turnPlays and turnTime bound how long one queue is worked on while others wait.
	turnPlays = 64
	turnTime  = 2 * time.Second
	// maxErrorText is how much of an error goes into a record, in bytes.
	maxErrorText = 512
)

// errLost says that somebody else works on a queue by now.
var errLost = errors.New("the queue is another replica's")

// delivery is one turn of a replica with a queue.
type delivery struct {
	worker *Worker
	queues *Queues
	lane   *lane

	record   subjects.QueueRecord
	revision uint64
	nonce    string // of the claim that we have; empty is none
	// former is the claim of a replica that is gone, whose play still waits and may have been taken; nil is none.
	former *subjects.PlayClaim
	// pending is what has happened and is not in the record yet.
	pending []change
}

// change is something that happens to the record of a queue.
type change func(record *subjects.QueueRecord)

// waitingPlay is a play of the queue that is to be tried.
type waitingPlay struct {
	*inQueue
	subject  string
	sequence uint64
	tries    subjects.PlayTries // what it has come to
	aside    bool
	from     uint64 // where it was looked for
}

// run delivers plays until the turn is over, nothing is to be done, or something fails. wanted ends when nothing more is to
// be begun, and running when what runs is cut off.
func (d *delivery) run(wanted, running context.Context) error {
	d.record, d.revision = d.queues.index.queue(d.lane.key)
	if d.revision == 0 { // the bucket is told anew
		return jet.Pause(wanted, jet.RetryPause)
	}
	writing, end := d.lingering(wanted)
	defer end()
	err := d.deliver(wanted, running, writing)
	if errors.Is(err, errLost) {
		return nil
	}
	return err
}

// lingering is a context for what is written about what has run: it goes on for a little when nothing more is wanted.
func (d *delivery) lingering(wanted context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(wanted))
	unhook := context.AfterFunc(wanted, func() {
		timer := time.AfterFunc(d.queues.handle.LeavePatience(), cancel)
		context.AfterFunc(ctx, func() { timer.Stop() })
	})
	return ctx, func() { unhook(); cancel() }
}

func (d *delivery) deliver(wanted, running, writing context.Context) error {
	begun := time.Now()
	if err := d.adopt(wanted); err != nil {
		return err
	}
	for n := 0; n < turnPlays && time.Since(begun) < turnTime && wanted.Err() == nil; n++ {
		p, err := d.find(wanted)
		if err != nil {
			return errors.Join(err, d.release(writing))
		}
		if p == nil {
			break
		}
		if err := d.claim(wanted, writing, p); err != nil {
			return err
		}
		goesOn, err := d.try(running, writing, p)
		if err != nil {
			return err
		}
		if !goesOn {
			return d.release(writing)
		}
	}
	return d.release(writing)
}

// view is the record as it will be.
func (d *delivery) view() subjects.QueueRecord {
	view := clone(d.record)
	for _, c := range d.pending {
		c(&view)
	}
	return view
}

// will notes a change, which goes into the record with the next write.
func (d *delivery) will(c change) { d.pending = append(d.pending, c) }

// adopt looks what became of the play that a replica had claimed which is gone, or this one before it was started
// again: one that has its mark is done.
func (d *delivery) adopt(ctx context.Context) error {
	claim := d.record.Claim
	if claim == nil {
		return nil
	}
	is, err := d.queues.streams.newest(ctx, d.queues.streams.plays, subjects.Play(d.record.Plugin, d.record.User, claim.ID))
	if err != nil {
		return err
	}
	fate, from := subjects.PlayDelivered, uint64(0) // and its mark has gone with its time
	if is != nil {
		p, err := is.read()
		if err != nil || p.isWaiting() && is.sequence == claim.Play {
			d.former = claim
			return nil //nolint:nilerr // it is tried again; what cannot be read is skipped then
		}
		if fate = p.Became; is.sequence > claim.Play { // it took the place of that play, and of none of a former stream
			from = d.record.From
		}
	}
	d.will(func(r *subjects.QueueRecord) {
		r.Claim = nil
		finish(r, from, claim.Play, fate)
	})
	return nil
}

// pass has a queue go on behind a play that was looked for from a sequence on. Where plays have come before that since, as in
// a stream that was made anew, it stays there. From 0 on nothing was looked for.
func pass(r *subjects.QueueRecord, from, sequence uint64) {
	if r.Head = nil; from > 0 && r.From >= from {
		r.From = max(r.From, sequence+1)
	}
}

// finish takes a play out of a queue that is done.
func finish(r *subjects.QueueRecord, from, sequence uint64, fate subjects.PlayFate) {
	r.Done++
	switch fate {
	case subjects.PlayDelivered:
		r.Delivered++
	case subjects.PlayDead:
		r.Dead++
	case subjects.PlaySkipped:
		r.Skipped++
	case subjects.PlayRouted:
	}
	before := len(r.Aside)
	r.Aside = slices.DeleteFunc(r.Aside, func(t subjects.PlayTries) bool { return t.Play == sequence })
	if len(r.Aside) == before {
		pass(r, from, sequence)
	}
}

// find is the play that is to be tried now; nil is none.
func (d *delivery) find(ctx context.Context) (*waitingPlay, error) {
	view, now, longest := d.view(), time.Now(), d.queues.times.Longest
	if honest(view.Wait, longest, now).After(now) && !d.worker.asks(d.lane) {
		return nil, nil
	}
	for _, tries := range view.Aside {
		if honest(tries.Wait, longest, now).After(now) {
			continue
		}
		p, err := d.read(ctx, view, tries.Play)
		switch {
		case err != nil:
			return nil, err
		case p == nil || p.sequence != tries.Play: // it was purged
			d.will(func(r *subjects.QueueRecord) { finish(r, 0, tries.Play, subjects.PlayRouted) })
		default:
			p.tries, p.aside = tries, true
			return p, nil
		}
	}
	return d.findNext(ctx, view)
}

// findNext is the first play that was not set aside; nil is none.
func (d *delivery) findNext(ctx context.Context, view subjects.QueueRecord) (*waitingPlay, error) {
	for from := view.From; hasNext(&view) && from <= view.Last; {
		p, err := d.read(ctx, view, from)
		if err != nil {
			return nil, err
		}
		if p == nil {
			break
		}
		isAside := slices.ContainsFunc(view.Aside, func(t subjects.PlayTries) bool { return t.Play == p.sequence })
		if p.inQueue == nil || !p.isWaiting() || isAside {
			from = p.sequence + 1
			continue
		}
		p.tries, p.from = subjects.PlayTries{Play: p.sequence}, view.From
		if view.Head != nil && view.Head.Play == p.sequence {
			p.tries = *view.Head
		}
		return p, nil
	}
	if hasNext(&view) {
		d.will(func(r *subjects.QueueRecord) {
			if r.Last == view.Last && r.Routed == view.Routed { // no other has come
				pass(r, view.From, view.Last)
			}
		})
	}
	return nil, nil
}

// read reads the first message of the queue from a sequence on; nil is none. One that cannot be read has no inQueue.
func (d *delivery) read(ctx context.Context, view subjects.QueueRecord, from uint64) (*waitingPlay, error) {
	msg, err := d.queues.streams.first(ctx, d.queues.streams.plays, subjects.Plays(view.Plugin, view.User), from)
	if err != nil || msg == nil {
		return nil, err
	}
	p := &waitingPlay{subject: msg.subject, sequence: msg.sequence}
	if p.inQueue, err = msg.read(); err != nil {
		d.queues.handle.Logger().Warn("a play cannot be read", "error", err)
	}
	return p, nil
}

// claim writes that this replica works on a play, with what has happened before. Nobody else does while it lives.
func (d *delivery) claim(wanted, writing context.Context, p *waitingPlay) error {
	next := &subjects.PlayClaim{
		Replica: d.queues.config.Replica, Nonce: jet.NewNonce(),
		Play: p.sequence, ID: subjects.PlayOf(p.subject), Attempt: 1,
	}
	if d.former != nil && d.former.Play == p.sequence {
		next.Attempt = d.former.Attempt + 1
	}
	ctx := wanted
	if len(d.pending) > 0 { // what has happened is to be written even if nothing more is wanted
		ctx = writing
	}
	d.will(func(r *subjects.QueueRecord) {
		r.Claim = next
		if !p.aside {
			r.Oldest = p.Accepted
		}
	})
	if err := d.write(ctx, next.Nonce); err != nil {
		return err
	}
	d.rerun()
	return nil
}

// rerun says, once, that the play of a claim which is not kept may come twice: now, or when it is its turn.
func (d *delivery) rerun() {
	if d.former == nil {
		return
	}
	d.queues.announce(subjects.EventScrobbleRerun, subjects.ScrobbleEvent{
		ID: d.record.Plugin, User: d.record.User, Play: d.former.ID, Attempt: d.former.Attempt + 1, Lost: d.former.Replica,
	})
	d.former = nil
}

// release writes what has happened, and that nobody works on the queue.
func (d *delivery) release(ctx context.Context) error {
	if d.nonce == "" && len(d.pending) == 0 && d.former == nil {
		return nil
	}
	d.rerun()
	d.will(func(r *subjects.QueueRecord) {
		r.Claim = nil
		if !hasNext(r) && len(r.Aside) == 0 {
			r.Oldest, r.Done = time.Time{}, r.Routed
		}
	})
	return d.write(ctx, "")
}

// write writes what is pending, until that is done; nonce is that of the claim which it makes, empty if it ends
// the one that we have. errLost is that somebody else has the queue.
func (d *delivery) write(ctx context.Context, nonce string) error {
	for {
		next := d.view()
		written, err := d.queues.records.Update(ctx, d.lane.key, next, d.revision)
		if err == nil {
			d.wrote(next, written, nonce)
			return nil
		}
		var is subjects.QueueRecord
		at, failed := d.queues.records.Get(ctx, d.lane.key, &is)
		switch {
		case errors.Is(failed, jet.ErrNoRecord):
			return errLost
		case failed != nil:
			return errors.Join(err, failed)
		case is.Claim != nil && nonce != "" && is.Claim.Nonce == nonce: // an attempt without an answer was carried out
			d.wrote(is, at, nonce)
			return nil
		case d.nonce == "" && (errors.Is(err, jet.ErrMoved) || at != d.revision), d.nonce != "" && (is.Claim == nil || is.Claim.Nonce != d.nonce):
			d.queues.index.wrote(d.lane.key, is, at) // the watch may not have come so far
			return errLost
		}
		d.record, d.revision = is, at
		if !errors.Is(err, jet.ErrMoved) && jet.Pause(ctx, jet.RetryPause) != nil {
			return err
		}
	}
}

// wrote notes that what was pending is in the record.
func (d *delivery) wrote(record subjects.QueueRecord, revision uint64, nonce string) {
	d.record, d.revision, d.nonce, d.pending = record, revision, nonce, nil
	d.queues.index.wrote(d.lane.key, record, revision)
}

// announce publishes an event of a play or, if that is nil, of the queue.
func (d *delivery) announce(kind subjects.EventKind, p *waitingPlay, event subjects.ScrobbleEvent) {
	event.ID, event.User, event.Error = d.record.Plugin, d.record.User, excerpt.Cut(event.Error, maxErrorText)
	if p != nil {
		event.Play = subjects.PlayOf(p.subject)
	}
	d.queues.announce(kind, event)
}

// request is a play as the plugin gets it, with what is known of its user by now.
func (d *delivery) request(p *waitingPlay) (User, []byte, error) {
	request := new(api.ScrobblerScrobbleRequest)
	if err := request.UnmarshalVT(p.Request); err != nil {
		return User{}, nil, err
	}
	user := d.queues.Complete(User{Name: request.Username, ID: request.UserId})
	request.Username, request.UserId = user.Name, user.ID
	body, err := request.MarshalVT()
	return user, body, err
}
