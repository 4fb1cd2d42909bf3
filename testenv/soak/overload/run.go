package overload

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pluginhost/pluginhost/replica"
	"github.com/pluginhost/pluginhost/testenv/soak/report"
	"github.com/pluginhost/pluginhost/testenv/soak/usage"
)

// errInterrupted ends Run after what has been done.
var errInterrupted = errors.New("interrupted")

// Sizes say how much there is to do.
type Sizes struct {
	// Duration is how long each load lasts.
	Duration time.Duration
	// Callers is how many find out what the plugin can answer.
	Callers int
	// Times is how often that is then offered.
	Times float64
	// Patient and Hasty are the deadlines of calls: one that is longer than what
	// the queue takes, one that is shorter.
	Patient, Hasty time.Duration
	// Share is the least part of what it can answer that must be answered in time
	// when more is offered by patient callers.
	Share float64
	// Progress, if it is not nil, is told how many loads are done.
	Progress func(done, all int)
}

// Result is what came of all loads.
type Result struct {
	// Peak is how many calls are answered in a second if no more are made, on
	// average before and after the first overload.
	Peak   float64
	Loads  []LoadResult
	Faults []string
}

// LoadResult is what came of one load.
type LoadResult struct {
	Name string
	Load
	Outcome
	// BeganLate is how many workers complained that they began after their
	// caller's deadline, LateBy how late the latest was.
	BeganLate int
	LateBy    time.Duration
	// HostCPU is the processor time that the process of the replica has used, the
	// NATS server included; it is that of the callers too where they are in the
	// same process.
	HostCPU time.Duration
}

// cores is how many processors that were on average.
func cores(cpu, took time.Duration) string {
	return fmt.Sprintf("%.2f", cpu.Seconds()/max(took.Seconds(), 1e-9))
}

// Run offers the loads to a replica that has what Install adds and logs to
// record, until that is done or ctx is over. bear is Bear, or has another process
// do what Bear does.
func Run(ctx context.Context, host *replica.Replica, record *Record, sizes Sizes, bear func(context.Context, Load) (Outcome, error)) (result Result, err error) {
	var faults report.Faults
	defer func() { result.Faults = faults.List() }()
	// do offers one load, and returns how many calls a second were answered in time.
	do := func(name string, load Load) (perSecond float64, err error) {
		if ctx.Err() != nil {
			return 0, errInterrupted
		}
		load.URL = host.URL()
		before := usage.CPU()
		outcome, err := bear(ctx, load)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		l := LoadResult{Name: name, Load: load, Outcome: outcome, HostCPU: usage.CPU() - before}
		l.BeganLate, l.LateBy = record.late()
		result.Loads = append(result.Loads, l)
		faults.Add(l.faults(ctx.Err() == nil)...)
		if sizes.Progress != nil {
			sizes.Progress(len(result.Loads), 6)
		}
		if ctx.Err() != nil {
			return 0, errInterrupted // half a load tells no rate
		}
		return l.perSecond(l.Good), nil
	}
	peak := Load{Callers: sizes.Callers, Duration: sizes.Duration, Timeout: patience}
	name := fmt.Sprintf("%d callers", sizes.Callers)
	if _, err = do("to warm up", peak); err != nil {
		return result, err
	}
	if _, err = do("none", Load{Duration: sizes.Duration, Timeout: patience}); err != nil {
		return result, err
	}
	before, err := do(name, peak)
	if err != nil {
		return result, err
	}
	result.Peak = before
	tooMuch := Load{Rate: sizes.Times * before, Duration: sizes.Duration, Timeout: sizes.Patient}
	goodput, err := do(fmt.Sprintf("%.3g × the peak, for %v", sizes.Times, sizes.Patient), tooMuch)
	if err != nil {
		return result, err
	}
	// Once more: others may take processors from us at one time and not at another.
	after, err := do(name+" again", peak)
	if err != nil {
		return result, err
	}
	result.Peak = (before + after) / 2
	if share := goodput / max(result.Peak, 1e-9); share < sizes.Share {
		faults.Addf("%.0f %% of the peak are answered in time, less than %.0f %%", 100*share, 100*sizes.Share)
	}
	tooMuch.Timeout = sizes.Hasty
	_, err = do(fmt.Sprintf("%.3g × the peak, for %v", sizes.Times, sizes.Hasty), tooMuch)
	return result, err
}

// perSecond is so many by the time in which calls were sent.
func (l LoadResult) perSecond(n int) float64 { return float64(n) / max(l.Took.Seconds(), 1e-9) }

// faults say what is not good; one that was not interrupted must have refused
// what is too much.
func (l LoadResult) faults(complete bool) []string {
	var faults report.Faults
	faults.Add(l.Complaints...)
	for _, bad := range []struct {
		what string
		n    int
	}{{"got no reply", l.Lost}, {"got a reply that is wrong", l.Wrong}} {
		if bad.n > 0 {
			faults.Addf("%s: %d calls %s", l.Name, bad.n, bad.what)
		}
	}
	// A deadline goes over the wire as a duration: to the host it is later by what
	// the call was on its way, which is less than what the slowest reply took that
	// nobody worked for.
	if allowed := max(l.Refusals.Longest, l.Bystander.Longest); l.LateBy > allowed {
		faults.Addf("%s: a call began %v after its caller's deadline; on their way calls were %v at most", l.Name, l.LateBy, allowed)
	}
	if l.Rate > 0 && complete && l.Refused == 0 {
		faults.Addf("%s: no call was refused", l.Name)
	}
	return faults.List()
}

// Bad lists what is not good.
func (r Result) Bad() []string { return r.Faults }

// Text is the report.
func (r Result) Text() string {
	var calls, beside, work report.Table
	calls.Row("calls of the plugin", "sent/s", "in time/s", "of the peak", "refused/s", "408", "late", "lost", "began late", "latest by")
	beside.Row("meanwhile", "another plugin")
	work.Row("meanwhile", "refusals came after", "callers' processors", "host's", "sent behind time by")
	for _, l := range r.Loads {
		share := "-"
		if l.Rate > 0 || l.Callers > 0 {
			share = fmt.Sprintf("%.0f %%", 100*l.perSecond(l.Good)/max(r.Peak, 1e-9))
		}
		calls.Row(l.Name, fmt.Sprintf("%.0f", l.perSecond(l.Sent)), fmt.Sprintf("%.0f", l.perSecond(l.Good)), share,
			fmt.Sprintf("%.0f", l.perSecond(l.Refused)), l.Over, l.Late, l.Lost, l.BeganLate, l.LateBy)
		beside.Row(l.Name, l.Bystander)
		work.Row(l.Name, l.Refusals, cores(l.CPU, l.Took), cores(l.HostCPU, l.Took), l.Behind.Round(time.Microsecond))
	}
	return calls.String() + "\n" + beside.String() + "\n" + work.String()
}
