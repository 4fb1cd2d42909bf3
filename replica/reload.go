package replica

import (
	"context"
	"errors"
	"time"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/subjects"
)

var (
	errLeaving = errors.New("the replica is leaving")
	// errMoved says that the files of a plugin changed while they were read:
	// the watch comes back to them.
	errMoved = errors.New("the files are being changed")
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
func (h *hosted) askReload(always bool) *reload {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.asked == nil {
		h.asked = &reload{done: make(chan struct{})}
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
		next.err = h.reload(h.replica.running, next.always)
		close(next.done)
	}
}

// reload makes a generation of what is there, serves it and retires the one
// before. If it cannot be made, the one before goes on serving. A plugin that is
// neither in the folder nor installed for the cluster any more is unloaded.
func (h *hosted) reload(ctx context.Context, always bool) error {
	h.changing.Lock()
	defer h.changing.Unlock()
	if h.replica.draining.Load() {
		return errLeaving
	}
	config := h.replica.config.Load()
	before := h.shown()
	at := h.replica.locate(h.id)
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
		return h.vanish(ctx)
	}
	loading(entry)
	next, err := h.next(ctx, config, entry, always, func() bool {
		return !always && h.replica.locate(h.id).Print != at.Print
	})
	switch {
	case errors.Is(err, errMoved):
		h.replica.log.Info("plugin not loaded yet: its files are being changed", "plugin", h.id)
		h.show(before, "") // whatever it looks like next has not been read
		return err
	case errors.Is(err, errUnchanged):
		h.show(view{entry: entry}, at.Print)
		if before.err != nil {
			h.recovered()
		}
		return nil
	case err == nil:
		err = h.serve(next)
	}
	h.show(view{entry: entry, err: err}, at.Print)
	if ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), err)
	}
	if err != nil {
		h.replica.log.Error("plugin failed to load", "plugin", h.id, "error", cut(err.Error(), maxErrorText))
		h.announce(subjects.EventFailed, "", err)
		h.replica.beat(ctx)
		return err
	}
	h.replica.beat(ctx)
	return nil
}

// next makes a generation of entry. It is errUnchanged where the current one is
// the same and none was asked for, and errMoved where the files are not still.
func (h *hosted) next(ctx context.Context, config *Config, entry plugin.Entry, always bool, moved func() bool) (*generation, error) {
	h.unloading.Store(false)
	h.replica.removals.back(ctx, h.id)
	s, err := readSource(config, entry)
	if moved() {
		return nil, errMoved
	}
	if err != nil {
		return nil, err
	}
	current := h.current.Load()
	if s.served = current != nil && current.id == s.id; s.served && !always {
		return nil, errUnchanged
	}
	if failed := h.initFailure.Load(); always && failed != nil && failed.generation == s.id {
		s.retry = failed.revision
	}
	g, err := h.replica.newGeneration(ctx, s)
	h.noteInit(s.id, err)
	if err != nil && moved() {
		return nil, errMoved
	}
	return g, err
}

// initFailure is an OnInit that has failed.
type initFailure struct {
	generation string
	revision   uint64 // which tells it apart from others
}

// noteInit notes how the making of a generation ended, for the heartbeat and for a
// refresh.
func (h *hosted) noteInit(generation string, err error) {
	var failed *bus.InitError
	switch {
	case errors.As(err, &failed):
		h.initFailure.Store(&initFailure{generation, failed.Revision})
	case err == nil:
		h.initFailure.Store(nil)
	}
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
	h.show(view{gone: true}, "")
	h.initFailure.Store(nil)
	// Its calls are finished also if the replica is told to leave meanwhile.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.replica.LongestTimeout()+time.Second)
	defer cancel()
	err := h.remove(ctx)
	h.callbacks.reset()
	ctx = context.WithoutCancel(ctx) // which may have taken all the time
	if wasHere {
		h.replica.removals.removed(ctx, h.id)
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
