package abuse

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/replica"
	"github.com/pluginhost/pluginhost/testenv/soak/report"
	"github.com/pluginhost/pluginhost/testenv/soak/usage"
)

// Sizes say how much there is to do.
type Sizes struct {
	// Rounds is how often something cheap goes wrong; something dear does once in
	// fifty.
	Rounds int
	// Callers is how many there are at once.
	Callers int
	// Seed decides the order.
	Seed uint64
	// Progress, if it is not nil, is told how many rounds are done.
	Progress func(done, all int)
}

// dearShare is how many cheap rounds there are for a dear one.
const dearShare = 50

// settleTime bounds how long what is on its way out may take to be gone.
const settleTime = 30 * time.Second

// Result is what came of many rounds.
type Result struct {
	Rounds int
	Kinds  []KindResult
	Before usage.Usage
	After  usage.Usage
	Faults []string
}

// KindResult is what came of one kind.
type KindResult struct {
	Kind         string
	Rounds, Want int
	Codes        map[int]int // how often each code came
	Wrong        int         // outcomes that are not what the kind wants
	Broken       int         // next good calls that failed
	first        error       // the first of both
}

// Run makes the rounds on a replica that has what Install adds, until they are
// done or ctx is over.
func Run(ctx context.Context, host *replica.Replica, sizes Sizes) (Result, error) {
	conn, err := nats.Connect(host.URL())
	if err != nil {
		return Result{}, err
	}
	defer conn.Close()
	warmUp, rounds := order(sizes)
	progress := sizes.Progress
	sizes.Progress = nil
	newRun(conn).do(ctx, warmUp, sizes)
	sizes.Progress = progress
	before := usage.Measure()
	r := newRun(conn)
	r.do(ctx, rounds, sizes)
	settling, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	after, faults := Settle(settling, before)
	for _, plugin := range host.Status().Plugins {
		if calls := plugin.Calls; calls == nil || calls.Running != 0 || calls.Waiting != 0 {
			faults = append(faults, fmt.Sprintf("%s: is %s and still has calls: %+v", plugin.ID, plugin.State, calls))
		}
	}
	return r.result(before, after, faults), nil
}

// order returns every kind as often as there are callers, after which what is
// kept for later calls is there, and then the rounds: kinds in turn, so that
// each has its share, mixed by the seed.
func order(sizes Sizes) (warmUp, rounds []Kind) {
	var cheap, dear []Kind
	for _, kind := range Kinds() {
		if kind.Dear {
			dear = append(dear, kind)
		} else {
			cheap = append(cheap, kind)
		}
		for range sizes.Callers {
			warmUp = append(warmUp, kind)
		}
	}
	for i := range sizes.Rounds {
		rounds = append(rounds, cheap[i%len(cheap)])
	}
	for i := range sizes.Rounds / dearShare {
		rounds = append(rounds, dear[i%len(dear)])
	}
	random := rand.New(rand.NewPCG(sizes.Seed, 0))
	random.Shuffle(len(rounds), func(i, j int) { rounds[i], rounds[j] = rounds[j], rounds[i] })
	return warmUp, rounds
}

// run is many rounds and what came of them.
type run struct {
	caller Caller

	mu      sync.Mutex
	results map[string]*KindResult
}

func newRun(conn *nats.Conn) *run {
	return &run{caller: NewCaller(conn), results: make(map[string]*KindResult)}
}

// do makes the rounds in their order, several at once, until ctx is over. What
// has begun is finished.
func (r *run) do(ctx context.Context, rounds []Kind, sizes Sizes) {
	next := make(chan Kind)
	var running sync.WaitGroup
	for range sizes.Callers {
		running.Go(func() {
			for kind := range next {
				r.round(context.WithoutCancel(ctx), kind)
			}
		})
	}
	for i, kind := range rounds {
		if ctx.Err() != nil {
			break
		}
		next <- kind
		if sizes.Progress != nil {
			sizes.Progress(i, len(rounds))
		}
	}
	close(next)
	running.Wait()
}

// round goes wrong once and makes the next good call.
func (r *run) round(ctx context.Context, kind Kind) {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	failure, wrong := kind.Check(ctx, r.caller)
	broken := Good(ctx, r.caller, kind.Plugin)
	r.mu.Lock()
	defer r.mu.Unlock()
	of, ok := r.results[kind.Name]
	if !ok {
		of = &KindResult{Kind: kind.Name, Want: kind.Code(), Codes: make(map[int]int)}
		r.results[kind.Name] = of
	}
	of.Rounds++
	of.Codes[Code(failure)]++
	if wrong != nil {
		of.Wrong++
	}
	if broken != nil {
		of.Broken++
	}
	if of.first == nil {
		of.first = errors.Join(wrong, broken)
	}
}

func (r *run) result(before, after usage.Usage, grown []string) Result {
	result := Result{Before: before, After: after}
	var faults report.Faults
	for _, kind := range Kinds() {
		of, ok := r.results[kind.Name]
		if !ok {
			continue
		}
		result.Rounds += of.Rounds
		result.Kinds = append(result.Kinds, *of)
		if of.first != nil {
			faults.Addf("%s: %v", kind.Name, of.first)
		}
	}
	faults.Add(grown...)
	result.Faults = faults.List()
	return result
}

// Bad lists what is not good.
func (r Result) Bad() []string { return r.Faults }

// Text is the report.
func (r Result) Text() string {
	var t report.Table
	t.Row("kind", "rounds", "want", "got", "wrong", "next call failed")
	for _, of := range r.Kinds {
		t.Row(of.Kind, of.Rounds, codeName(of.Want), of.got(), of.Wrong, of.Broken)
	}
	t.Row("all", r.Rounds)
	return t.String() + "\n" + report.BeforeAfter(r.Before, r.After)
}

// got lists the codes that came: one that is alone, or each with its count.
func (k KindResult) got() string {
	var parts []string
	for _, code := range slices.Sorted(maps.Keys(k.Codes)) {
		part := codeName(code)
		if len(k.Codes) > 1 {
			part += fmt.Sprintf(" (%d)", k.Codes[code])
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

func codeName(code int) string {
	switch code {
	case 0:
		return "answer"
	case -1:
		return "no reply"
	default:
		return strconv.Itoa(code)
	}
}
