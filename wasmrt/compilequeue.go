package wasmrt

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// turnClass is how far behind others a module waits to be compiled.
type turnClass int

const (
	// classUntried are modules of which nothing is known.
	classUntried turnClass = iota
	// classTried are those that took long, and gave way to others.
	classTried
	// classFailed are those that have failed before.
	classFailed
)

// compileQueue decides which modules are compiled now. Modules that have not been tried
// come first, and one that takes longer than its slice gives way to them: it is ended, and
// begins anew behind those who wait. So a module that is made to take long delays others
// by a slice, while honest ones end within theirs. Those that have failed before wait
// until nobody else does.
type compileQueue struct {
	workers int

	mu      sync.Mutex
	waiting []*compileTurn // in the order of their arrival
	running []*compileTurn
}

// compileTurn is a module that is to be compiled.
type compileTurn struct {
	queue *compileQueue
	class turnClass
	slice time.Duration // of the work of one try

	// What follows is guarded by the queue.
	granted  chan struct{} // closed when it may run
	begun    time.Time     // when it did
	worked   time.Duration // what it has taken since
	giveWay  context.CancelCauseFunc
	givesWay bool // it was told to
	tries    int  // how often it gave way
}

var errGaveWay = errors.New("it gave way to modules that were not tried yet")

// sliceOf is how much of a processor a module may take before it gives way: about three
// times what an honest one of its size does.
func sliceOf(module []byte) time.Duration {
	return 750*time.Millisecond + 3*time.Duration(len(module))*time.Microsecond/2
}

func newCompileQueue(workers int) *compileQueue { return &compileQueue{workers: workers} }

// do runs work when it is the turn's time, once more whenever it was made to give way, and
// returns what it ends with. The context of work is over when it is to give way.
func (q *compileQueue) do(ctx context.Context, turn *compileTurn, work func(context.Context) error) error {
	turn.queue = q
	for {
		err := q.once(ctx, turn, work)
		if !errors.Is(err, errGaveWay) || ctx.Err() != nil {
			return err
		}
	}
}

func (q *compileQueue) once(ctx context.Context, turn *compileTurn, work func(context.Context) error) error {
	q.enter(turn)
	defer q.leave(turn)
	select {
	case <-turn.granted:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	q.begin(turn, cancel)
	return work(ctx)
}

func (q *compileQueue) enter(turn *compileTurn) {
	q.mu.Lock()
	turn.granted, turn.begun, turn.worked, turn.giveWay, turn.givesWay = make(chan struct{}), time.Time{}, 0, nil, false
	q.waiting = append(q.waiting, turn)
	q.mu.Unlock()
	q.arrange()
}

func (q *compileQueue) begin(turn *compileTurn, giveWay context.CancelCauseFunc) {
	q.mu.Lock()
	turn.begun, turn.giveWay = time.Now(), giveWay
	q.mu.Unlock()
	q.arrange() // somebody may wait for whom it gives way at once
}

// note notes how much work a turn has taken, and reports whether that is now more than its
// slice.
func (q *compileQueue) note(turn *compileTurn, worked time.Duration) (over bool) {
	q.mu.Lock()
	over = turn.worked < turn.slice && worked >= turn.slice
	turn.worked = worked
	q.mu.Unlock()
	if over {
		q.arrange()
	}
	return over
}

func (q *compileQueue) leave(turn *compileTurn) {
	q.mu.Lock()
	isTurn := func(t *compileTurn) bool { return t == turn }
	q.waiting = slices.DeleteFunc(q.waiting, isTurn)
	q.running = slices.DeleteFunc(q.running, isTurn)
	if turn.givesWay {
		turn.tries++
		turn.class = max(turn.class, classTried)
	}
	q.mu.Unlock()
	q.arrange()
}

// arrange gives turns to whom they belong now.
func (q *compileQueue) arrange() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.running) < q.workers && len(q.waiting) > 0 {
		next := slices.MinFunc(q.waiting, func(a, b *compileTurn) int { return int(a.class - b.class) }) // the first of those
		q.waiting = slices.DeleteFunc(q.waiting, func(t *compileTurn) bool { return t == next })
		q.running = append(q.running, next)
		close(next.granted)
	}
	leaving := 0
	for _, turn := range q.running {
		if turn.givesWay {
			leaving++
		}
	}
	for _, turn := range q.running {
		ahead := 0
		for _, other := range q.waiting {
			if turn.yieldsTo(other) {
				ahead++
			}
		}
		if ahead > leaving && !turn.givesWay && turn.giveWay != nil {
			turn.givesWay = true
			turn.giveWay(errGaveWay)
			leaving++
		}
	}
}

// yieldsTo says whether a turn that runs gives way to one that waits; the queue is locked.
func (t *compileTurn) yieldsTo(other *compileTurn) bool {
	if t.class == classFailed {
		return other.class < classFailed
	}
	return other.class == classUntried && t.worked >= t.slice
}

// CompileProgress tells what becomes of a module while it is being loaded. The zero value is
// ready to be used in Options. Its methods may be called concurrently.
type CompileProgress struct {
	mu   sync.Mutex
	turn *compileTurn
}

func (p *CompileProgress) follow(turn *compileTurn) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turn = turn
}

// Compiling says whether the module is being compiled, and since when, or waits for that,
// behind how many others, and how often it gave way to others.
func (p *CompileProgress) Compiling() (state CompileState) {
	p.mu.Lock()
	turn := p.turn
	p.mu.Unlock()
	if turn == nil {
		return state
	}
	q := turn.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	state.GaveWay = turn.tries
	if slices.Contains(q.running, turn) {
		state.Since = turn.begun
		return state
	}
	place := slices.Index(q.waiting, turn)
	if place < 0 {
		return state
	}
	state.Waits = true
	for i, other := range q.waiting {
		if other.class < turn.class || other.class == turn.class && i < place {
			state.Ahead++
		}
	}
	state.Ahead += len(q.running)
	return state
}

// CompileState is what CompileProgress tells. The zero value is a module that is neither
// being compiled nor waits for that.
type CompileState struct {
	// Since is when compiling it began; zero is a module that is not being compiled.
	Since time.Time
	// Waits says that it waits for that, behind Ahead others.
	Waits bool
	Ahead int
	// GaveWay is how often it began and gave way to others.
	GaveWay int
}
