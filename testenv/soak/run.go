package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/pluginhost/pluginhost/testenv/soak/abuse"
)

// run is many rounds and what came of them.
type run struct {
	caller abuse.Caller

	mu      sync.Mutex
	results map[string]*result // by the kind's name
}

// result is what came of one kind.
type result struct {
	kind   abuse.Kind
	rounds int
	codes  map[int]int // how often each code came
	wrong  int         // outcomes that are not what the kind wants
	broken int         // next good calls that failed
	first  error       // the first of both
}

func newRun(caller abuse.Caller) *run {
	return &run{caller: caller, results: make(map[string]*result)}
}

// do does the rounds in their order, several at once, until ctx is over.
func (r *run) do(ctx context.Context, rounds []abuse.Kind, workers int) {
	next := make(chan abuse.Kind)
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for kind := range next {
				r.round(ctx, kind)
			}
		})
	}
	for _, kind := range rounds {
		select {
		case next <- kind:
		case <-ctx.Done():
		}
	}
	close(next)
	running.Wait()
}

// round goes wrong once and makes the next good call.
func (r *run) round(ctx context.Context, kind abuse.Kind) {
	failure, wrong := kind.Check(ctx, r.caller)
	broken := abuse.Good(ctx, r.caller, kind.Plugin)
	r.mu.Lock()
	defer r.mu.Unlock()
	of, ok := r.results[kind.Name]
	if !ok {
		of = &result{kind: kind, codes: make(map[int]int)}
		r.results[kind.Name] = of
	}
	of.rounds++
	of.codes[abuse.Code(failure)]++
	if wrong != nil {
		of.wrong++
	}
	if broken != nil {
		of.broken++
	}
	if of.first == nil {
		of.first = errors.Join(wrong, broken)
	}
}

// report writes the table, what the process uses and the verdict, which it
// returns: false if anything is wrong. more are faults that are no kind's.
func (r *run) report(out io.Writer, before, after abuse.Usage, more []string) bool {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	say(table, "kind\trounds\twant\tgot\twrong\tnext call failed\n")
	rounds := 0
	var faults []string
	for _, kind := range abuse.Kinds() {
		of, ok := r.results[kind.Name]
		if !ok {
			continue
		}
		rounds += of.rounds
		say(table, "%s\t%d\t%s\t%s\t%d\t%d\n", kind.Name, of.rounds, codeName(kind.Code()), of.got(), of.wrong, of.broken)
		if of.first != nil {
			faults = append(faults, fmt.Sprintf("%s: %v", kind.Name, of.first))
		}
	}
	say(table, "all\t%d\n\n", rounds)
	say(table, "in use\tbefore\tafter\n")
	say(table, "goroutines\t%d\t%d\n", before.Goroutines, after.Goroutines)
	say(table, "open files\t%d\t%d\n", before.Files, after.Files)
	say(table, "heap\t%s\t%s\n", megabytes(before.Heap), megabytes(after.Heap))
	say(table, "resident\t%s\t%s\n", megabytes(before.RSS), megabytes(after.RSS))
	if err := table.Flush(); err != nil {
		return false
	}
	faults = append(faults, more...)
	if len(faults) > 0 {
		say(out, "\nNOT good:\n  %s\n", strings.Join(faults, "\n  "))
		return false
	}
	say(out, "\ngood: every kind was answered as it should be, every next call worked, nothing grew\n")
	return true
}

// got lists the codes that came: one that is alone, or each with its count.
func (r *result) got() string {
	var parts []string
	for _, code := range slices.Sorted(maps.Keys(r.codes)) {
		part := codeName(code)
		if len(r.codes) > 1 {
			part += fmt.Sprintf(" (%d)", r.codes[code])
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

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
