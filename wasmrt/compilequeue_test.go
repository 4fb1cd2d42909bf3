package wasmrt

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// queued has modules take turns in a bubble, where waiting for all goroutines is exact.
type queued struct {
	t     *testing.T
	queue *compileQueue
	ctx   context.Context
	turns map[string]*compileTurn
	begun []string // the names of turns, as they begin
}

// withQueue runs a test with one worker; what is left at its end is cut off.
func withQueue(t *testing.T, test func(*queued)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		test(&queued{t: t, queue: newCompileQueue(1), ctx: ctx, turns: make(map[string]*compileTurn)})
		cancel(errors.New("over"))
		synctest.Wait()
	})
}

// enter has a module wait for its turn. An endless one takes that until it is ended.
func (q *queued) enter(name string, class turnClass, endless bool) {
	turn := &compileTurn{class: class, slice: time.Second}
	q.turns[name] = turn
	go func() {
		_ = q.queue.do(q.ctx, turn, func(ctx context.Context) error {
			q.begun = append(q.begun, name) // one at a time: there is one worker
			if !endless {
				return nil
			}
			<-ctx.Done()
			return context.Cause(ctx)
		})
	}()
	synctest.Wait()
}

// work has a module that is being compiled take some time of a processor.
func (q *queued) work(name string, worked time.Duration) {
	q.queue.note(q.turns[name], worked)
	synctest.Wait()
}

func (q *queued) want(names ...string) {
	q.t.Helper()
	if !slices.Equal(q.begun, names) {
		q.t.Errorf("turns have begun for %v, want %v", q.begun, names)
	}
}

func TestModuleThatTakesLongGivesWayToOneThatWasNotTried(t *testing.T) {
	withQueue(t, func(q *queued) {
		q.enter("bomb", classUntried, true)
		q.enter("good", classUntried, false)
		q.work("bomb", 999*time.Millisecond)
		q.want("bomb")
		q.work("bomb", time.Second)
		q.want("bomb", "good", "bomb")
	})
}

func TestModuleThatTakesLongGoesOnWhileOnlyOthersWaitThatDidToo(t *testing.T) {
	withQueue(t, func(q *queued) {
		q.enter("first", classUntried, true)
		q.enter("second", classUntried, true)
		q.work("first", 2*time.Second)
		q.work("second", 2*time.Second)
		q.want("first", "second")
		q.enter("good", classUntried, false)
		q.want("first", "second", "good", "first")
	})
}

func TestModuleThatWasNotTriedIsBeforeThoseThatWait(t *testing.T) {
	withQueue(t, func(q *queued) {
		q.enter("now", classUntried, true)
		q.enter("failed", classFailed, false)
		q.enter("tried", classTried, false)
		q.enter("untried", classUntried, false)
		q.enter("next", classUntried, false)
		q.work("now", time.Second)
		q.want("now", "untried", "next", "tried", "now")
	})
}

func TestModuleThatHasFailedGivesWayAtOnce(t *testing.T) {
	for name, class := range map[string]turnClass{"untried": classUntried, "tried": classTried} {
		t.Run(name, func(t *testing.T) {
			withQueue(t, func(q *queued) {
				q.enter("failed", classFailed, true)
				q.enter("other", classFailed, true)
				q.want("failed")
				q.enter("good", class, false)
				q.want("failed", "good", "other")
			})
		})
	}
}

func TestProgressTellsHowManyAreAhead(t *testing.T) {
	withQueue(t, func(q *queued) {
		q.enter("now", classUntried, true)
		q.enter("failed", classFailed, true)
		q.enter("untried", classUntried, true)
		for name, want := range map[string]CompileState{
			"now":     {Since: time.Now()},
			"failed":  {Waits: true, Ahead: 2},
			"untried": {Waits: true, Ahead: 1},
		} {
			var progress CompileProgress
			if got := progress.Compiling(); got != (CompileState{}) {
				t.Errorf("before it has a turn it tells %+v, want nothing", got)
			}
			progress.follow(q.turns[name])
			if got := progress.Compiling(); got != want {
				t.Errorf("%s: it tells %+v, want %+v", name, got, want)
			}
		}
		q.work("now", time.Second)
		var progress CompileProgress
		progress.follow(q.turns["now"])
		if got, want := progress.Compiling(), (CompileState{Waits: true, Ahead: 1, GaveWay: 1}); got != want {
			t.Errorf("after it gave way it tells %+v, want %+v", got, want)
		}
	})
}

func TestWhoLeavesTheQueueIsNoBurden(t *testing.T) {
	withQueue(t, func(q *queued) {
		q.enter("now", classUntried, true)
		whole := q.ctx
		ctx, cancel := context.WithCancel(whole)
		q.ctx = ctx
		q.enter("leaver", classUntried, true)
		q.ctx = whole
		q.enter("good", classTried, false)
		cancel()
		synctest.Wait()
		q.work("now", time.Second)
		q.want("now") // nobody waits that was not tried
	})
}
