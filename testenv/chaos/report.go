//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pluginhost/pluginhost/bus/cluster"
)

// report is what was counted.
type report struct {
	Seed        uint64
	Without     string `json:",omitempty"`
	Interrupted bool   `json:",omitempty"`
	Seconds     float64
	// Happened counts what went wrong, by kind.
	Happened map[string]int
	Leaders  int // kills and pauses of the leader
	// Acknowledged one-time schedules, those among them that were cancelled, and
	// calls of which nobody knows what became.
	Schedules, Cancelled, Unknown int
	// Lost one-time fires, fires of cancelled schedules.
	Lost, CancelledRan []string
	// Runs of one-time fires; those beyond the first of a schedule, and those of
	// them that no host has announced.
	Runs, Again int
	Unmatched   []string
	// Announced reruns, of which Unexplained name a replica to which nothing had
	// happened.
	Announced   int
	Unexplained []string
	// RecurringRuns of recurring schedules, of at most RecurringMost.
	RecurringRuns, RecurringMost int
	// Still are recurring schedules that had stopped to fire at the end.
	Still []string
	// Recovered is how often hosts had fires handed out anew that NATS would never have
	// delivered.
	Recovered int
	// Late are the latest fires after faults of replicas, of servers, and after those from which the
	// stream of fires came back older, from when they
	// were due or the last fault of that sort that delayed them; Recovery is the longest time in which
	// JetStream took no writes, or had no leader for the consumer of fires.
	Late, LateServer, LateOlder, Recovery time.Duration
	// LateIs and its like tell what became of these fires.
	LateIs, LateServerIs, LateOlderIs string
	// Unfenced runs of fires of former leaders.
	Unfenced []string
	// Connections, those without a final callback, those with more than one, and
	// those with a message that the plugin began with after it had begun with the end.
	Connections           int
	Silent                []string
	ToldAgain, SpokeAfter int
	// SpokeLatest is how long after the end the latest of these messages began.
	SpokeLatest time.Duration
	// Overtaken are connections whose end was heard before a message that the plugin had begun
	// with earlier: it was held up in between, as with its replica.
	Overtaken int
	// ToldMost is how often the plugin was told of one end, at most.
	ToldMost int
	// Retold are ends that hosts have logged to tell again, as the replica that told
	// it died or stalled.
	Retold int
	Inits  int
	// Controls are runs without one of the checks, and what was noticed.
	Controls map[string][]string `json:",omitempty"`
	// Faults are what is not good.
	Faults []string
}

// control does it again, a little, with replicas that lack a check: it must be
// noticed.
func (r *report) control(ctx context.Context, o options, log io.Writer) {
	r.Controls = make(map[string][]string)
	o.leaders, o.others = o.controls, 0
	for _, without := range []string{"unclaimed", "unfenced"} {
		if ctx.Err() != nil {
			return
		}
		o.without = without
		_, _ = fmt.Fprintf(log, "with %s replicas, to see that it is noticed:\n", without)
		if found := r.notice(ctx, o, log); found != nil {
			r.Controls[without] = found
		}
	}
}

// controlRounds is how often a control is run at most. A leader that wakes without a fence
// does harm only where a fire is due in the milliseconds until it hears of the next one.
const controlRounds = 5

// notice runs a control until what its replicas lack is noticed, and says how it was.
func (r *report) notice(ctx context.Context, o options, log io.Writer) []string {
	faults := 0
	for range controlRounds {
		noticed, err := run(ctx, o, log)
		faults += o.leaders
		switch {
		case err != nil:
			r.Faults = append(r.Faults, fmt.Sprintf("%s: %v", o.without, err))
			return nil
		case ctx.Err() != nil:
			return nil
		case len(noticed.Unmatched)+len(noticed.Unfenced) > 0:
			return append([]string{fmt.Sprintf("after %d faults of the leader:", faults)}, noticed.Faults...)
		}
		o.seed++
	}
	r.Faults = append(r.Faults, fmt.Sprintf("replicas were %s, and in %d faults nothing was noticed", o.without, faults))
	return nil
}

// isKept says whether everything that was promised has happened.
func (l *load) isKept(heard *diary) bool {
	lost, _, _ := l.lost(heard)
	return len(lost) == 0 && len(l.silent(heard)) == 0
}

// lost are the acknowledged one-time schedules that have not fired, those that have
// although they were cancelled, and how many nobody knows of.
func (l *load) lost(heard *diary) (lost, cancelledRan []string, unknown int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	heard.mu.Lock()
	defer heard.mu.Unlock()
	for id, p := range l.schedules {
		switch {
		case p.unsure:
			unknown++
		case p.cancelled && len(heard.fires[id]) > 0:
			cancelledRan = append(cancelledRan, id)
		case !p.cancelled && (len(heard.fires[id]) == 0 || heard.newest[id] != p.payload):
			lost = append(lost, id)
		}
	}
	slices.Sort(lost)
	slices.Sort(cancelledRan)
	return lost, cancelledRan, unknown
}

// silent are the connections of whose end the plugin was not told.
func (l *load) silent(heard *diary) (silent []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	heard.mu.Lock()
	defer heard.mu.Unlock()
	for id := range l.connected {
		if len(heard.ends[id]) == 0 {
			silent = append(silent, id)
		}
	}
	slices.Sort(silent)
	return silent
}

// fill counts.
func (r *report) fill(l *load, heard *diary, w *witness, b *breaker, lasted time.Duration, o options) {
	r.Seconds, r.Happened = lasted.Seconds(), make(map[string]int)
	for _, f := range b.faults {
		if !f.Vain {
			r.Happened[f.Kind]++
		}
		r.Recovery = max(r.Recovery, f.Recovery)
	}
	r.Leaders = r.Happened["kill the leader"] + r.Happened["pause the leader"]
	w.readLogs(b.started)
	r.Lost, r.CancelledRan, r.Unknown = l.lost(heard)
	r.Silent = l.silent(heard)
	for _, run := range w.unfenced() {
		r.Unfenced = append(r.Unfenced, fmt.Sprintf("%s at %s", run.schedule, run.planned.Format(time.TimeOnly)))
	}
	l.mu.Lock()
	heard.mu.Lock()
	w.mu.Lock()
	r.count(l, heard, w, b.faults)
	for i, id := range r.CancelledRan {
		r.CancelledRan[i] = w.story(id, l.schedules[id], heard.fires[id])
	}
	w.mu.Unlock()
	heard.mu.Unlock()
	l.mu.Unlock()
	r.RecurringMost = o.recurring*(int(lasted/time.Second)+2) + r.Announced
	r.judge(o)
}

// count counts what needs the locks of all three.
func (r *report) count(l *load, heard *diary, w *witness, faults []fault) {
	r.Connections, r.Inits, r.Retold = len(l.connected), heard.inits, w.retold
	r.Recovered = w.recovered
	for id, p := range l.schedules {
		runs := heard.fires[id]
		r.Schedules++
		if p.cancelled {
			r.Cancelled++
		}
		r.Runs += len(runs)
		// A schedule that was replaced while it ran runs again, as another.
		allowed := 1 + len(w.reruns[id])
		if strings.HasSuffix(p.payload, "again") {
			allowed++
		}
		r.Again += max(len(runs)-1, 0)
		if len(runs) > allowed {
			r.Unmatched = append(r.Unmatched, id)
		}
		if len(runs) > 0 && !p.unsure && !p.cancelled && !strings.HasSuffix(p.payload, "again") {
			r.late(w.story(id, p, runs), p.due, runs[0], faults)
		}
	}
	for id, events := range w.reruns {
		r.Announced += len(events)
		for _, event := range events {
			if !isFaulty(faults, event.lost, event.at.Add(time.Second)) {
				r.Unexplained = append(r.Unexplained, fmt.Sprintf("%s, lost by %s", id, event.lost))
			}
		}
	}
	for id, runs := range heard.fires {
		if l.schedules[id] == nil {
			r.RecurringRuns += len(runs)
		}
	}
	for id, ends := range heard.ends {
		r.ToldAgain += len(ends) - 1
		r.ToldMost = max(r.ToldMost, len(ends))
		switch ended := heard.begun[id]; {
		case heard.last[id].After(ended):
			r.SpokeAfter++
			r.SpokeLatest = max(r.SpokeLatest, heard.last[id].Sub(ended))
		case heard.heard[id].After(ends[0]):
			r.Overtaken++
		}
	}
}

// late notes how late a fire was: from when it was due, or from the last fault
// before it came. After a server's fault that is the last one of a server, as what
// JetStream takes to recover is of one.
func (r *report) late(story string, due, came time.Time, faults []fault) {
	since, sinceServer, server, older := due, due, false, false
	for _, f := range faults {
		if f.Start.Before(came) && f.End.Add(cluster.Lease+f.Stuck).After(due) {
			server, older = server || f.Server, older || f.Stuck > 0
			switch {
			case f.Server && f.Start.After(sinceServer):
				sinceServer = f.Start
			case !f.Server && f.Start.After(since):
				since = f.Start
			}
			story += fmt.Sprintf("; %s from %s to %s", f.Kind, f.Start.Format(clock), f.End.Format(clock))
		}
	}
	switch {
	case older && came.Sub(sinceServer) > r.LateOlder:
		r.LateOlder, r.LateOlderIs = came.Sub(sinceServer), story
	case older:
	case server && came.Sub(sinceServer) > r.LateServer:
		r.LateServer, r.LateServerIs = came.Sub(sinceServer), story
	case !server && came.Sub(since) > r.Late:
		r.Late, r.LateIs = came.Sub(since), story
	}
}

// judge lists what is not good.
func (r *report) judge(o options) {
	bad := func(is bool, format string, args ...any) {
		if is {
			r.Faults = append(r.Faults, fmt.Sprintf(format, args...))
		}
	}
	bad(len(r.Lost) > 0, "one-time fires lost: %d: %s", len(r.Lost), first(r.Lost))
	bad(len(r.CancelledRan) > 0, "cancelled schedules that fired: %d: %s", len(r.CancelledRan), first(r.CancelledRan))
	bad(len(r.Unmatched) > 0, "schedules that ran again without a word: %d: %s", len(r.Unmatched), first(r.Unmatched))
	bad(len(r.Unexplained) > 0, "reruns for which there was no reason: %d: %s", len(r.Unexplained), first(r.Unexplained))
	bad(r.RecurringRuns > r.RecurringMost, "recurring schedules ran %d times, at most %d were due", r.RecurringRuns, r.RecurringMost)
	bad(len(r.Still) > 0, "recurring schedules that do not fire any more: %d: %s", len(r.Still), first(r.Still))
	bad(len(r.Unfenced) > 0, "fires of former leaders that ran: %d: %s", len(r.Unfenced), first(r.Unfenced))
	bad(len(r.Silent) > 0, "connections without a final callback: %d: %s", len(r.Silent), first(r.Silent))
	faults := 0
	for _, n := range r.Happened {
		faults += n
	}
	bad(r.ToldAgain > r.Retold, "connections whose end was told again: %d, and hosts know of %d", r.ToldAgain, r.Retold)
	bad(r.SpokeAfter > faults, "connections with a message after their end: %d, and %d faults can have hit a callback", r.SpokeAfter, faults)
	bad(r.Inits != 1, "OnInit ran %d times", r.Inits)
	const grace = cluster.Lease + time.Second
	if o.punctual {
		bad(r.Late > grace, "a fire was %v late after a replica's fault, at most %v is allowed: %s", r.Late.Round(time.Millisecond), grace, r.LateIs)
		bad(r.LateServer > r.Recovery+grace, "a fire was %v late after a server's fault, at most %v is allowed: %s", r.LateServer.Round(time.Millisecond), (r.Recovery + grace).Round(time.Millisecond), r.LateServerIs)
		bad(r.LateOlder > r.Recovery+grace+untilHandedOut, "a fire was %v late after the stream came back older, at most %v is allowed: %s", r.LateOlder.Round(time.Millisecond), (r.Recovery + grace + untilHandedOut).Round(time.Millisecond), r.LateOlderIs)
	}
}

// judgeKinds lists the kinds of faults that were wanted and have not happened: nothing is
// known of what they do.
func (r *report) judgeKinds(o options) {
	var wanted []string
	if o.leaders > 0 {
		wanted = append(wanted, leaderKinds[:min(o.leaders, len(leaderKinds))]...)
	}
	if o.others > 0 {
		wanted = append(wanted, o.kinds...)
	}
	for _, kind := range wanted {
		if r.Happened[kind] == 0 {
			r.Faults = append(r.Faults, fmt.Sprintf("nothing is known of %q: it has not happened", kind))
		}
	}
}

// clock is how times are told that are to be found in logs.
const clock = "15:04:05.000"

// story tells what became of a one-time schedule; the locks of all are held.
func (w *witness) story(id string, p *promise, runs []time.Time) string {
	story := fmt.Sprintf("%s due at %s", id, p.due.Format(clock))
	if p.cancelled {
		story += ", cancelled by " + p.settled.Format(clock)
	}
	for _, run := range runs {
		story += ", ran at " + run.Format(clock)
	}
	for run, claim := range w.claims {
		if run.schedule == id {
			story += fmt.Sprintf(", claimed at %s by %s in term %d", claim.at.Format(clock), claim.replica, claim.term)
		}
	}
	return story
}

func first(list []string) string {
	if len(list) > 5 {
		return strings.Join(list[:5], ", ") + ", …"
	}
	return strings.Join(list, ", ")
}

// Text is the report for people.
func (r report) Text() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("seed %d, %.0f s", r.Seed, r.Seconds)
	if r.Without != "" {
		line("the replicas are %s: a check is left out, and it should be missed", r.Without)
	}
	for _, kind := range slices.Concat(leaderKinds, kinds) {
		if r.Happened[kind] > 0 {
			line("  %-34s %6d", kind, r.Happened[kind])
		}
	}
	line("")
	line("%-52s %8s   %s", "", "counted", "aim")
	row := func(what string, is any, aim string) { line("%-52s %8v   %s", what, is, aim) }
	row("one-time schedules", r.Schedules, "")
	row("  cancelled in time", r.Cancelled, "")
	row("  of which nobody knows whether they were set", r.Unknown, "")
	row("  lost", len(r.Lost), "0")
	row("  cancelled, and fired all the same", len(r.CancelledRan), "0")
	row("runs beyond the first", r.Again, "")
	row("  that no host has announced", len(r.Unmatched), "0")
	row("reruns announced", r.Announced, "")
	row("  of replicas to which nothing had happened", len(r.Unexplained), "0")
	row("runs of recurring schedules", r.RecurringRuns, fmt.Sprintf("at most %d", r.RecurringMost))
	row("  that do not fire any more", len(r.Still), "0")
	row("fires handed out anew, undeliverable before", r.Recovered, "")
	row("latest fire after a replica's fault", r.Late.Round(time.Millisecond), fmt.Sprint(cluster.Lease+time.Second))
	line("  %s", r.LateIs)
	row("longest time without JetStream", r.Recovery.Round(time.Millisecond), "")
	row("latest fire after a server's fault", r.LateServer.Round(time.Millisecond), (r.Recovery + cluster.Lease + time.Second).Round(time.Millisecond).String())
	line("  %s", r.LateServerIs)
	row("latest fire after the stream came back older", r.LateOlder.Round(time.Millisecond), (r.Recovery + cluster.Lease + time.Second + untilHandedOut).Round(time.Millisecond).String())
	line("  %s", r.LateOlderIs)
	row("fires of former leaders that ran", len(r.Unfenced), "0")
	row("WebSockets", r.Connections, "")
	row("  without a final callback", len(r.Silent), "0")
	row("  whose end was told again", r.ToldAgain, fmt.Sprintf("at most %d, which hosts have logged", r.Retold))
	row("  how often of one, at most", r.ToldMost, "")
	row("  with a message after their end", r.SpokeAfter, "")
	row("  the latest message after an end", r.SpokeLatest.Round(time.Millisecond), "")
	row("  whose end overtook a message that had begun", r.Overtaken, "")
	row("runs of OnInit", r.Inits, "1")
	for _, without := range slices.Sorted(maps.Keys(r.Controls)) {
		line("\nwith replicas that are %s, as a control, this was noticed:\n  %s", without, strings.Join(r.Controls[without], "\n  "))
	}
	if len(r.Faults) > 0 {
		line("\nNOT good:\n  %s", strings.Join(r.Faults, "\n  "))
	} else {
		line("\ngood")
	}
	if r.Interrupted {
		line("\ninterrupted: this is what was done until then")
	}
	return b.String()
}
