package call

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"

	"github.com/pluginhost/pluginhost/subjects"
)

const (
	// smallJSON is how long a body may be that is converted without waiting for a turn
	// and without being charged, in bytes: how many calls are here at once is bound.
	smallJSON = 4 << 10
	// maxWaitingJSON is how many bytes of JSON may be here of one plugin, waiting to be
	// converted or being converted. A single body may have more.
	maxWaitingJSON = 64 << 20
	// jsonCost is how many times its own bytes a body takes until it is converted: itself,
	// the message that it is decoded to, and that as it is encoded.
	jsonCost = 4
)

// Turns has the plugins of a host take turns in converting JSON, which takes the processor for
// long and many times the memory of the body: no more conversions run at once than there are
// processors, and one plugin leaves a place to others.
type Turns struct {
	mu      sync.Mutex
	free    int
	share   int           // of one plugin
	waiting []*converting // those of whom somebody waits, the next first
}

// NewTurns has a turn for each processor, and two at least.
func NewTurns() *Turns {
	places := max(2, runtime.GOMAXPROCS(0))
	return &Turns{free: places, share: places - 1}
}

// converting is the JSON of one plugin.
type converting struct {
	turns *Turns // nil converts at once
	// hold charges the plugin for memory until release is called; nil charges nobody.
	hold func(bytes int64) (release func(), err error)

	// Guarded by the mu of Turns.
	running int
	queue   []chan struct{} // each is closed when it is its turn
	bytes   int64           // that have arrived and are not converted yet
}

// arrive takes a body of JSON in, which left ends, or refuses it at once.
func (c *converting) arrive(bytes int64) (left func(), err error) {
	t := c.turns
	if bytes <= smallJSON || t == nil {
		return func() {}, nil
	}
	t.mu.Lock()
	if c.bytes > 0 && c.bytes+bytes > maxWaitingJSON {
		waiting := c.bytes
		t.mu.Unlock()
		return nil, subjects.Errorf(subjects.ErrOverloaded, "%d bytes of JSON wait to be converted: try again later, or send protobuf", waiting)
	}
	c.bytes += bytes
	t.mu.Unlock()
	gone := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		c.bytes -= bytes
	}
	if c.hold == nil {
		return gone, nil
	}
	release, err := c.hold(jsonCost * bytes)
	if err != nil {
		gone()
		return nil, err
	}
	return func() {
		release()
		gone()
	}, nil
}

// convert runs a conversion when it is the plugin's turn. What ctx has no time for any
// more is not converted.
func (c *converting) convert(ctx context.Context, conversion func([]byte) ([]byte, error), body []byte) ([]byte, error) {
	if c.turns == nil {
		return conversion(body)
	}
	if len(body) > smallJSON {
		if err := c.begin(ctx); err != nil {
			return nil, err
		}
		defer c.end()
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return conversion(body)
}

// begin waits for a turn, which end ends.
func (c *converting) begin(ctx context.Context) error {
	t := c.turns
	turn := make(chan struct{})
	t.mu.Lock()
	c.queue = append(c.queue, turn)
	if len(c.queue) == 1 {
		t.waiting = append(t.waiting, c)
	}
	t.grant()
	t.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if at := slices.Index(c.queue, turn); at >= 0 {
		c.queue = slices.Delete(c.queue, at, at+1)
		if len(c.queue) == 0 {
			t.waiting = slices.DeleteFunc(t.waiting, func(w *converting) bool { return w == c })
		}
	} else {
		c.pass() // its turn came at the same time
	}
	return ctx.Err()
}

func (c *converting) end() {
	c.turns.mu.Lock()
	defer c.turns.mu.Unlock()
	c.pass()
}

// pass gives a turn back; mu is held.
func (c *converting) pass() {
	c.running--
	c.turns.free++
	c.turns.grant()
}

// grant gives free turns to those that wait, one to each plugin after the other; mu is
// held.
func (t *Turns) grant() {
	for at := 0; t.free > 0 && at < len(t.waiting); {
		c := t.waiting[at]
		if c.running >= t.share {
			at++
			continue
		}
		t.free--
		c.running++
		close(c.queue[0])
		c.queue = slices.Delete(c.queue, 0, 1)
		t.waiting = slices.Delete(t.waiting, at, at+1)
		if len(c.queue) > 0 {
			t.waiting = append(t.waiting, c)
		}
	}
}

// notConverted is why there is no conversion: it had to wait too long, says itself what it
// failed with, or just failed.
func notConverted(err, failed error, text string) error {
	var said *subjects.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return subjects.Errorf(subjects.ErrDeadlineExceeded, "the deadline passed while JSON waited to be converted")
	case errors.As(err, &said):
		return said
	default:
		return subjects.Errorf(failed, "%s: %w", text, err)
	}
}
