package overload

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/testenv/soak/report"
	"github.com/pluginhost/pluginhost/testenv/soak/usage"
)

// Load is what callers do, in this process or another.
type Load struct {
	// URL is that of the NATS server.
	URL string
	// Callers is how many call the worker, each one call after the other.
	Callers int
	// Rate, if it is above 0, is how many calls there are in a second instead,
	// whatever becomes of those before.
	Rate float64
	// Duration is how long they call, Timeout the deadline of each call.
	Duration, Timeout time.Duration
}

// Outcome is what came of a Load.
type Outcome struct {
	// Sent calls of the worker were answered in time, refused (429), told that
	// their time is over (408), answered too late, not answered at all, or
	// something else came.
	Sent, Good, Refused, Over, Late, Lost, Wrong int
	// Answers, Refusals and Bystander are how long it took until they came; the
	// other plugin is called every few milliseconds.
	Answers, Refusals, Bystander report.Latency
	// Took is how long the calls were sent, CPU the processor time of the process
	// meanwhile, Behind the longest time that a call was sent too late.
	Took, CPU, Behind time.Duration
	// Complaints say what was lost or wrong.
	Complaints []string
}

// pace is how often the other plugin is called.
const pace = 5 * time.Millisecond

// Bear does what load says, until it is done or ctx is over.
func Bear(ctx context.Context, load Load) (outcome Outcome, err error) {
	var conns [2]*nats.Conn
	for i := range conns {
		if conns[i], err = nats.Connect(load.URL); err != nil {
			return Outcome{}, err
		}
		defer conns[i].Close()
	}
	cpu := usage.CPU()
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, load.Duration)
	defer cancel()
	var faults report.Faults
	var beside sync.WaitGroup
	var took []time.Duration
	beside.Go(func() { took = callBystander(ctx, conns[1], &faults) })
	calls, err := newWorkerCalls(conns[0], load, &faults)
	if err != nil {
		return Outcome{}, err
	}
	switch {
	case load.Rate > 0:
		calls.open(ctx)
	case load.Callers > 0:
		calls.closed(ctx)
	default:
		<-ctx.Done()
	}
	outcome.Took = time.Since(start)
	beside.Wait()
	err = calls.finish(&outcome)
	outcome.CPU = usage.CPU() - cpu
	outcome.Bystander = report.LatencyOf(took)
	outcome.Complaints = faults.List()
	return outcome, err
}

// callBystander calls the other plugin every now and then, and returns how long
// each call took.
func callBystander(ctx context.Context, conn *nats.Conn, faults *report.Faults) (took []time.Duration) {
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for n := 0; ; n++ {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return took
		}
		start := time.Now()
		if err := callEcho(conn, n); err != nil {
			faults.Addf("a call of the other plugin: %v", err)
		}
		took = append(took, time.Since(start))
	}
}

// patience is a time that no call needs.
const patience = 30 * time.Second

func callEcho(conn *nats.Conn, n int) error {
	request := fmt.Sprintf("call %d", n)
	reply, err := conn.Request(callSubject(bystander), []byte(request), patience)
	switch {
	case err != nil:
		return err
	case codeOf(reply) != "":
		return errors.New(textOf(reply))
	case string(reply.Data) != request:
		return fmt.Errorf("got %.80q, want %q", reply.Data, request)
	default:
		return nil
	}
}
