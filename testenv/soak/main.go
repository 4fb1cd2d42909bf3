// Command soak does to a replica, over and over, what bad callers and bad
// plugins do, and reports what came of it: every kind must be answered as the
// contract says, the next good call must work, and in the end the process must
// use no more than before. It exits with 1 where that is not so.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/soak/abuse"
)

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 10_000, "how often something cheap goes wrong; something dear does once in fifty")
	flag.IntVar(&o.workers, "workers", 4, "how many callers there are at once")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "what decides the order")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ok, err := soak(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

type options struct {
	rounds, workers int
	seed            uint64
}

// dearShare is how many cheap rounds there are for a dear one.
const dearShare = 50

// settleTime bounds how long what is on its way out may take to be gone.
const settleTime = 30 * time.Second

// soak runs it all and writes the report; ok is its verdict. The error says why
// there is none.
func soak(ctx context.Context, o options, out io.Writer) (ok bool, err error) {
	e := newEnvironment(ctx)
	defer e.end(&err)
	url := testenv.NATS(e)
	config := testenv.Config(e, url, e.TempDir())
	abuse.Install(e, &config)
	config.Runtime.MaxConcurrent = 2 * o.workers // a good call must not meet a queue
	host := testenv.Start(e, config, nil)
	caller := abuse.NewCaller(testenv.Connect(e, url))

	warmUp, rounds := order(o)
	say(out, "%d cheap and %d dear rounds, %d callers at once, seed %d\n\n", o.rounds, o.rounds/dearShare, o.workers, o.seed)
	if newRun(caller).do(ctx, warmUp, o.workers); ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	before := abuse.Measure()
	r := newRun(caller)
	if r.do(ctx, rounds, o.workers); ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	settling, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	after, faults := abuse.Settle(settling, before)
	for _, plugin := range host.Status().Plugins {
		if calls := plugin.Calls; calls.Running != 0 || calls.Waiting != 0 {
			faults = append(faults, fmt.Sprintf("%s: %d calls are still running and %d waiting", plugin.ID, calls.Running, calls.Waiting))
		}
	}
	return r.report(out, before, after, faults), nil
}

// order returns every kind as often as there are callers, after which what is
// kept for later calls is there, and then the rounds: kinds in turn, so that
// each has its share, mixed by the seed.
func order(o options) (warmUp, rounds []abuse.Kind) {
	var cheap, dear []abuse.Kind
	for _, kind := range abuse.Kinds() {
		if kind.Dear {
			dear = append(dear, kind)
		} else {
			cheap = append(cheap, kind)
		}
		for range o.workers {
			warmUp = append(warmUp, kind)
		}
	}
	for i := range o.rounds {
		rounds = append(rounds, cheap[i%len(cheap)])
	}
	for i := range o.rounds / dearShare {
		rounds = append(rounds, dear[i%len(dear)])
	}
	random := rand.New(rand.NewPCG(o.seed, 0))
	random.Shuffle(len(rounds), func(i, j int) { rounds[i], rounds[j] = rounds[j], rounds[i] })
	return warmUp, rounds
}

// say writes to the report, which has nowhere to tell that it cannot be written.
func say(out io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(out, format, args...) }
