package watch

import (
	"context"
	"log/slog"
	"time"
)

const (
	defaultQuiet = 500 * time.Millisecond
	defaultPoll  = 2 * time.Second
	defaultCheck = 30 * time.Second
	// patience is how long something may keep changing before the log says so.
	patience = 5 * time.Second
)

// Subject is what is watched.
type Subject interface {
	// Folders are those in which changes can happen. What is below them is not
	// watched.
	Folders() []string
	// Changed returns what differs from what was taken up last, by a key of the
	// subject's. The value is another one whenever it has changed again.
	Changed() map[string]string
	// Settled takes up a change: its value has been the same for a quiet
	// period. It does not wait for anything.
	Settled(key string)
}

// Pace says how often a Watcher looks. The zero value has the defaults.
type Pace struct {
	// Quiet is how long nothing may have changed before a change is taken up. Defaults
	// to half a second.
	Quiet time.Duration
	// Poll is how often is looked where the system does not tell. Defaults to 2 seconds.
	Poll time.Duration
	// Check is how often is looked where it does: it says nothing about changes
	// that other machines make on a network file system. Defaults to 30 seconds.
	Check time.Duration
}

func (p Pace) withDefaults() Pace {
	for _, d := range []struct {
		value *time.Duration
		usual time.Duration
	}{{&p.Quiet, defaultQuiet}, {&p.Poll, defaultPoll}, {&p.Check, defaultCheck}} {
		if *d.value <= 0 {
			*d.value = d.usual
		}
	}
	return p
}

// Watcher watches one Subject. Everything of the Subject is called by its one
// goroutine.
type Watcher struct {
	subject Subject
	pace    Pace
	log     *slog.Logger
	hint    chan struct{}
	cancel  context.CancelFunc
	done    chan struct{}

	notices *notices
	moving  map[string]movement
}

// movement is a change that has not settled.
type movement struct {
	value  string
	since  time.Time
	logged bool
}

// Start watches until Stop.
func Start(subject Subject, pace Pace, log *slog.Logger) *Watcher {
	return start(subject, pace, log, newNotices(log))
}

func start(subject Subject, pace Pace, log *slog.Logger, notices *notices) *Watcher {
	ctx, cancel := context.WithCancel(context.Background())
	w := &Watcher{
		subject: subject,
		pace:    pace.withDefaults(),
		log:     log,
		hint:    make(chan struct{}, 1),
		cancel:  cancel,
		done:    make(chan struct{}),
		notices: notices,
	}
	w.Look()
	go w.run(ctx)
	return w
}

// Look has the subject looked at soon, for a change that no file tells of. It
// does not wait.
func (w *Watcher) Look() {
	select {
	case w.hint <- struct{}{}:
	default: // it will be
	}
}

// Stop ends the watch and waits for what it does at the time.
func (w *Watcher) Stop() {
	w.cancel()
	<-w.done
}

// run looks at once when there is a reason to, and then every quiet period as
// long as there is another: a file that is written without a break costs no more
// looks than that.
func (w *Watcher) run(ctx context.Context) {
	defer close(w.done)
	defer w.notices.close()
	regular := time.NewTicker(w.pace.Poll)
	defer regular.Stop()
	rest := time.NewTimer(0)
	rest.Stop()
	resting, again := false, false
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.hint:
			again = true
		case <-w.notices.hint:
			again = true
		case err := <-w.notices.faults:
			w.notices.report(err)
			again = true
		case <-regular.C:
			again = true
		case <-rest.C:
			resting = false
		}
		if resting || !again && len(w.moving) == 0 {
			continue
		}
		again = false
		w.look()
		regular.Reset(w.interval())
		rest.Reset(w.pace.Quiet)
		resting = true
	}
}

// interval is the time to the next look that nothing gives a reason for.
func (w *Watcher) interval() time.Duration {
	if w.notices.complete {
		return w.pace.Check
	}
	return w.pace.Poll
}

func (w *Watcher) look() {
	// In this order: what changes between the two is told of.
	w.notices.follow(w.subject.Folders())
	moving := make(map[string]movement)
	for key, value := range w.subject.Changed() {
		before, known := w.moving[key]
		switch {
		case known && before.value == value:
			w.subject.Settled(key)
			continue
		case !known:
			before.since = time.Now()
		case !before.logged && time.Since(before.since) > patience:
			before.logged = true
			w.log.Info("files keep changing: they are taken up when they are done", "what", key, "quiet", w.pace.Quiet)
		}
		before.value = value
		moving[key] = before
	}
	w.moving = moving
}
