package calls

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/replica"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/testenv/soak/report"
	"github.com/pluginhost/pluginhost/testenv/soak/usage"
)

// Sizes say how much there is to do.
type Sizes struct {
	// Calls is how many are counted; one batch more is made before, after which
	// what is kept for later calls is there.
	Calls int
	// Callers is how many make calls at once, sharing Connections.
	Callers, Connections int
	// Samples is how often it is measured what is used, with no call running.
	Samples int
	// Spare is what may be used more of over the second half.
	Spare usage.Usage
	// Seed decides who calls what.
	Seed uint64
	// Progress, if it is not nil, is told how many calls are done.
	Progress func(done, all int)
}

// patience is a time that no call needs.
const patience = 30 * time.Second

// settleTime bounds how long what is on its way out may take to be gone.
const settleTime = 30 * time.Second

// Result is what came of many calls.
type Result struct {
	Calls   int
	Took    time.Duration // without the measuring
	Kinds   []KindResult
	Samples []usage.Sample
	Trends  []usage.Trend
	Faults  []string
}

// KindResult counts the calls of one kind; those that are Wrong had another
// outcome than they must have.
type KindResult struct {
	Kind         string
	Calls, Wrong int
}

// caller makes one call after the other.
type caller struct {
	client *client.Client
	web    string
	id     int
	calls  int
	random *rand.Rand
	drawn  string // the last random number that probe gave it
}

// name is one that nobody else has or had.
func (c *caller) name() string { return fmt.Sprintf("caller %d call %d", c.id, c.calls) }

// soak is calls that are being made.
type soak struct {
	sizes   Sizes
	kinds   []kind
	callers []*caller
	made    []atomic.Int64 // of each kind
	wrong   []atomic.Int64
	faults  report.Faults
}

// Run makes the calls, to a replica that has the plugins, until they are done or
// ctx is over.
func (p *Plugins) Run(ctx context.Context, host *replica.Replica, sizes Sizes) (Result, error) {
	s := &soak{sizes: sizes, kinds: kinds()}
	s.made, s.wrong = make([]atomic.Int64, len(s.kinds)), make([]atomic.Int64, len(s.kinds))
	var clients []*client.Client
	for range sizes.Connections {
		conn, err := nats.Connect(host.URL())
		if err != nil {
			return Result{}, err
		}
		defer conn.Close()
		clients = append(clients, client.New(conn, client.WithResends(0))) // which would hide a refusal
	}
	for i := range sizes.Callers {
		s.callers = append(s.callers, &caller{
			client: clients[i%len(clients)], web: p.web, id: i, random: rand.New(rand.NewPCG(sizes.Seed, uint64(i))),
		})
	}
	result := s.run(ctx)
	for _, plugin := range host.Status().Plugins {
		if calls := plugin.Calls; calls == nil || calls.Running != 0 || calls.Waiting != 0 {
			s.faults.Addf("%s: is %s and still has calls: %+v", plugin.ID, plugin.State, calls)
		}
	}
	result.Faults = s.faults.List()
	return result, nil
}

// run makes all batches.
func (s *soak) run(ctx context.Context) Result {
	batch := max(s.sizes.Calls/s.sizes.Samples, 1)
	s.batch(ctx, 0, batch)
	for i := range s.kinds {
		s.made[i].Store(0)
	}
	result := Result{Samples: []usage.Sample{{Usage: usage.Measure()}}}
	for result.Calls < s.sizes.Calls && ctx.Err() == nil {
		start := time.Now()
		made := s.batch(ctx, result.Calls, min(batch, s.sizes.Calls-result.Calls))
		result.Took += time.Since(start)
		result.Calls += made
		result.Samples = append(result.Samples, usage.Sample{Calls: int64(result.Calls), Usage: usage.Measure()})
	}
	last := &result.Samples[len(result.Samples)-1]
	settling, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer cancel()
	var grown []string
	last.Usage, grown = usage.Settle(settling, result.Samples[len(result.Samples)/2].Usage, s.sizes.Spare)
	s.faults.Add(grown...)
	result.Trends = usage.Trends(result.Samples)
	s.faults.Add(usage.Grown(result.Trends, s.sizes.Spare)...)
	for i, kind := range s.kinds {
		result.Kinds = append(result.Kinds, KindResult{kind.name, int(s.made[i].Load()), int(s.wrong[i].Load())})
	}
	return result
}

// batch makes so many calls, or fewer where ctx is over, and returns how many.
func (s *soak) batch(ctx context.Context, done, calls int) int {
	var taken, made atomic.Int64
	var running sync.WaitGroup
	for _, c := range s.callers {
		running.Go(func() {
			for ctx.Err() == nil && taken.Add(1) <= int64(calls) {
				s.call(ctx, c)
				if n := made.Add(1); s.sizes.Progress != nil && n%100 == 0 {
					s.sizes.Progress(done+int(n), s.sizes.Calls)
				}
			}
		})
	}
	running.Wait()
	return int(made.Load())
}

// call makes one call, which is finished also if ctx is over meanwhile.
func (s *soak) call(ctx context.Context, c *caller) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	c.calls++
	i := s.draw(c.random)
	s.made[i].Add(1)
	if err := s.kinds[i].call(ctx, c); err != nil {
		s.wrong[i].Add(1)
		s.faults.Addf("%s, %s: %v", c.name(), s.kinds[i].name, err)
	}
}

// draw picks a kind by its share.
func (s *soak) draw(random *rand.Rand) int {
	at := random.IntN(10_000)
	for i, kind := range s.kinds {
		if at -= kind.share; at < 0 {
			return i
		}
	}
	return 0
}

// Bad lists what is not good.
func (r Result) Bad() []string { return r.Faults }

// Text is the report.
func (r Result) Text() string {
	var t report.Table
	t.Row("call", "made", "wrong")
	for _, kind := range r.Kinds {
		t.Row(kind.Kind, kind.Calls, kind.Wrong)
	}
	t.Row("all", r.Calls, "", fmt.Sprintf("%.0f a second", float64(r.Calls)/max(r.Took.Seconds(), 1e-9)))
	return t.String() + "\n" + report.Trends(r.Trends)
}
