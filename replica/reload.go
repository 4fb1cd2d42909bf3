package replica

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/wasmrt"
)

var (
	errLeaving = errors.New("the replica is leaving")
	// errMoved says that the files of a plugin changed while they were read:
	// the watch comes back to them.
	errMoved = errors.New("the files are being changed")
	// errOutdated says that OnInit was given up because there is another version of the
	// plugin to be loaded.
	errOutdated = errors.New("another version came while OnInit ran")
	// errUnchanged says that what is on disk is served.
	errUnchanged = errors.New("nothing has changed")
)

// maxRetiring bounds how many former generations of a plugin finish their calls
// at once: each keeps its guests in memory.
const maxRetiring = 8

// reload makes a plugin anew, for all who asked for it before it began.
type reload struct {
	always bool          // also where nothing has changed
	done   chan struct{} // closed when it is over
	err    error         // what it ended with; set before that
	// long is closed when its OnInit has taken initPatience.
	long     chan struct{}
	longOnce sync.Once
}

// initPatience is how long a replica that starts waits for the OnInit of a plugin before
// it is ready without.
const initPatience = 10 * time.Second

func newReload() *reload {
	return &reload{done: make(chan struct{}), long: make(chan struct{})}
}

// takesLong says that its OnInit does.
func (l *reload) takesLong() { l.longOnce.Do(func() { close(l.long) }) }

// waitAtStart is wait that ends without an error when OnInit takes long.
func (l *reload) waitAtStart(ctx context.Context) error {
	select {
	case <-l.long:
		return nil
	case <-l.done:
		return l.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// wait waits for the reload or for ctx.
func (l *reload) wait(ctx context.Context) error {
	select {
	case <-l.done:
		return l.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// askReload has the plugin loaded with what is there now; without always only
// if that is something else than what is served. A reload that has begun may
// have read the disk already: whoever asks meanwhile shares the one after it.
//
// An OnInit that runs for what is not there any more is given up.
func (h *hosted) askReload(always bool) *reload {
	asked := h.putReload(always)
	if running := h.initialising.Load(); running != nil && h.isOutdated(running) {
		running.giveUp(cluster.ErrInitGivenUp)
	}
	return asked
}

func (h *hosted) putReload(always bool) *reload {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.asked == nil {
		h.asked = newReload()
	}
	asked := h.asked
	asked.always = asked.always || always
	if h.reloading {
		return asked
	}
	h.reloading = h.replica.background.start(func(context.Context) { h.reloads() })
	if !h.reloading {
		h.asked = nil
		asked.err = errLeaving
		close(asked.done)
	}
	return asked
}

// reloads does what is asked for until nothing is.
func (h *hosted) reloads() {
	for {
		h.mu.Lock()
		next := h.asked
		h.asked = nil
		h.reloading = next != nil
		h.mu.Unlock()
		if next == nil {
			h.replica.lookAgain()
			return
		}
		next.err = h.reload(h.replica.running, next)
		close(next.done)
	}
}

// reload makes a generation of what is there, serves it and retires the one
// before. If it cannot be made, the one before goes on serving. A plugin that is
// neither in the folder nor installed for the cluster any more is unloaded.
func (h *hosted) reload(ctx context.Context, asked *reload) error {
	h.changing.Lock()
	defer h.changing.Unlock()
	if h.replica.draining.Load() {
		return errLeaving
	}
	config := h.replica.config.Load()
	before := h.shown()
	at := h.replica.locate(h.id)
	if at.kept != "" {
		return h.keep(before, at.kept)
	}
	loading := func(entry plugin.Entry) {
		during := view{entry: entry, loading: true}
		if h.current.Load() != nil {
			during.err = before.err // until we know better
		}
		h.show(during, at.Print)
	}
	if at.record != nil { // to fetch it may take a while
		loading(h.replica.packages.entry(at))
		h.replica.removals.back(ctx, h.id)
	}
	entry, release := h.replica.packages.open(ctx, at)
	defer release()
	if at.record == nil && errors.Is(entry.Err, plugin.ErrNotFound) {
		if at.Print != "" { // it has gone since it was located
			if at = h.replica.locate(h.id); at.kept != "" {
				return h.keep(before, at.kept)
			}
			if at.Print != "" {
				h.show(before, "")
				return errMoved
			}
		}
		return h.vanish(ctx)
	}
	loading(entry)
	h.replica.scrobbles.look(ctx, h.id, entry.Manifest)
	next, err := h.next(ctx, config, entry, asked, at.Print)
	switch {
	case errors.Is(err, errMoved), errors.Is(err, errOutdated):
		h.replica.log.Info("plugin not loaded yet", "plugin", h.id, "reason", err)
		h.show(before, "") // whatever it looks like next has not been read
		return err
	case errors.Is(err, errUnchanged):
		h.show(view{entry: entry}, at.Print)
		if before.err != nil {
			h.recovered()
		}
		return nil
	case errors.As(err, new(*waitingError)):
		h.show(view{entry: entry, err: err}, at.Print)
		return err
	case err == nil:
		err = h.serve(ctx, next)
	}
	h.show(view{entry: entry, err: err}, at.Print)
	if ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), err)
	}
	if err != nil {
		h.tellFailure(err)
		h.replica.beat(ctx)
		return err
	}
	h.replica.beat(ctx)
	return nil
}

// keep has a plugin go on whose files are away; changing is held. What was to be loaded is,
// once they are back.
func (h *hosted) keep(before view, reason string) error {
	err := fmt.Errorf("%w: %s. It goes on as it is; pluginhost plugin remove %s --purge ends it", errFolderAway, reason, h.id)
	if before.loading = false; h.current.Load() == nil {
		before.err = err
	}
	h.show(before, "")
	return err
}

// next makes a generation of entry. It is errUnchanged if the current one is the same
// and none was asked for, errMoved if the plugin does not look so any more,
// errOutdated if its OnInit was given up, and a *waitingError if it has failed before
// and is tried again. One that failed just now is kept to be tried again.
func (h *hosted) next(ctx context.Context, config *config.Config, entry plugin.Entry, asked *reload, look string) (*generation, error) {
	h.unloading.Store(false)
	h.replica.removals.back(ctx, h.id)
	moved := func() bool { return !asked.always && h.looksOtherwise(look) }
	s, err := readSource(h.replica.generations.Bytes(), config, entry)
	if moved() || err != nil && h.replica.locate(h.id).kept != "" {
		return nil, errMoved
	}
	if err != nil {
		h.dropCandidate(ctx)
		return nil, err
	}
	current := h.current.Load()
	if s.served = current != nil && current.id == s.id; s.served && !asked.always {
		h.dropCandidate(ctx)
		return nil, errUnchanged
	}
	if g, waiting := h.takeCandidate(ctx, s.id, asked.always); g != nil || waiting != nil {
		return g, waiting
	}
	if failed := h.initFailure.Load(); failed != nil && failed.generation == s.id && (asked.always || failed.givenUp) {
		s.retry = failed.revision
	}
	// While the replica starts, what takes too long must not keep it from getting ready.
	s.again, s.progress = asked.always && h.replica.ready.Load(), &wasmrt.CompileProgress{}
	h.compiling.Store(s.progress)
	g, err := h.replica.newGeneration(ctx, s)
	h.compiling.Store(nil)
	if err == nil {
		if err = h.initialise(ctx, g, s, asked, look); err == nil {
			return g, nil
		}
		var failed *cluster.InitError
		if errors.As(err, &failed) && !errors.Is(err, errOutdated) && !moved() {
			h.keepCandidate(g, s, failed, err)
			return nil, err
		}
		h.discard(ctx, g)
	}
	if moved() {
		return nil, errMoved
	}
	return nil, err
}

// initialising is an OnInit that runs for a reload.
type initialising struct {
	config *config.Config
	look   string // how the plugin looked from outside
	giveUp context.CancelCauseFunc
}

// looksOtherwise says whether there is something else to be loaded than what looked like
// before. Files that are away are nothing else.
func (h *hosted) looksOtherwise(before string) bool {
	at := h.replica.locate(h.id)
	return at.kept == "" && at.Print != before
}

// isOutdated says whether an OnInit runs for what is not there any more.
func (h *hosted) isOutdated(running *initialising) bool {
	return h.looksOtherwise(running.look) || h.isAffected(running.config, h.replica.config.Load())
}

// initialise has OnInit run for a reload. It is errOutdated as well if it was given up.
func (h *hosted) initialise(ctx context.Context, g *generation, s source, asked *reload, look string) error {
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	h.initialising.Store(&initialising{s.config, look, giveUp})
	defer h.initialising.Store(nil)
	defer time.AfterFunc(initPatience, asked.takesLong).Stop()
	err := h.replica.initialise(ctx, g, s)
	givenUp := errors.Is(context.Cause(ctx), cluster.ErrInitGivenUp)
	var failed *cluster.InitError
	switch {
	case errors.As(err, &failed):
		h.initFailure.Store(&initFailure{generation: s.id, revision: failed.Revision, givenUp: givenUp})
	case err == nil:
		h.initFailure.Store(nil)
		return nil
	}
	if givenUp {
		return errors.Join(errOutdated, err)
	}
	return err
}

// initFailure is an OnInit that has failed.
type initFailure struct {
	generation string
	revision   uint64 // which tells it apart from others
	givenUp    bool   // here, for another version
}

// discard closes a generation that has never served.
func (h *hosted) discard(ctx context.Context, g *generation) {
	h.letGo(g)
	if err := g.close(ctx); err != nil {
		h.replica.log.Warn("a version that was not ready could not be closed cleanly", "plugin", h.id, "generation", g.id, "error", err)
	}
}

// tellFailure logs and announces why the newest version does not serve.
func (h *hosted) tellFailure(err error) {
	h.replica.log.Error("plugin failed to load", "plugin", h.id, "error", cut(err.Error(), maxErrorText))
	h.announce(subjects.EventFailed, "", err)
}

// recovered tells that what is on disk serves, after a version that did not.
func (h *hosted) recovered() {
	current := h.current.Load()
	h.replica.log.Info("plugin is again what is served", "plugin", h.id, "generation", current.id)
	h.announce(subjects.EventLoaded, current.id, nil)
}

// vanish unloads a plugin that is gone; changing is held.
func (h *hosted) vanish(ctx context.Context) error {
	wasHere := !h.isGone()
	h.replica.folder.forget(h.id)
	h.show(view{gone: true}, "")
	// Its calls are finished also if the replica is told to leave meanwhile.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.replica.LongestTimeout()+time.Second)
	defer cancel()
	err := h.remove(ctx)
	h.initFailure.Store(nil)
	h.callbacks.reset()
	ctx, cancel = h.replica.lingering(context.WithoutCancel(ctx)) // which may have taken all the time
	defer cancel()
	if wasHere {
		h.replica.removals.removed(ctx, h.id)
		h.replica.rememberMarks(h.replica.config.Load())
	} else {
		h.replica.beat(ctx)
	}
	return err
}

// retire closes a generation once its last call is over. Nobody waits for that,
// unless too many are being retired.
func (h *hosted) retire(old *generation) {
	h.retiring <- struct{}{}
	task := func(cutOff context.Context) {
		defer func() { <-h.retiring }()
		ctx, cancel := context.WithTimeout(cutOff, h.replica.LongestTimeout()+time.Second)
		defer cancel()
		if err := old.close(ctx); err != nil {
			h.replica.log.Warn("old generation could not be closed cleanly", "plugin", h.id, "generation", old.id, "error", err)
		}
	}
	if !h.replica.background.start(task) {
		task(h.replica.background.cutOff)
	}
}
