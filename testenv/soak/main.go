//go:build unix

// Command soak does to a replica, over and over, what wears hosts out, and prints
// a report. Each part has a replica and a NATS server of its own in this process:
//
//   - abuse: bad callers and bad plugins; each is answered as the contract says,
//     and the next good call works
//   - calls: calls of every sort; every answer is checked, and what the process
//     uses does not grow
//   - reloads: other versions, broken ones and other configurations under load; no
//     call fails
//   - many: hundreds of plugins that come and go
//   - overload: three times the calls that a plugin can answer, from a process of
//     their own; what can be answered is, the rest is refused, another plugin goes on
//   - memory: plugins and callers that take all the memory they can get, in every way at
//     once; the replica, in a process of its own, stays within what deploy/ gives it
//   - floods: headers and bodies of megabytes, to each subject on which a replica hears
//     others; another plugin goes on, the lead stays, no fire is missed
//   - crash: plugins that crash at every call; afterwards the process is idle
//
// Progress is told on the standard error. It exits with 1 where something is not
// good, and with 130 where it was interrupted, after a report on what was done.
// The short forms are among the tests of package replica.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if slices.Equal(os.Args[1:], []string{loadArgument}) {
		if err := bearLoad(ctx, os.Stdin, os.Stdout); err != nil {
			fail(err)
		}
		return
	}
	var o options
	o.define(flag.CommandLine)
	flag.Parse()
	if err := o.check(); err != nil {
		fail(err)
	}
	report := soak(ctx, o, os.Stderr)
	if err := report.write(os.Stdout, o.json); err != nil {
		fail(err)
	}
	switch {
	case !report.Good:
		os.Exit(1)
	case report.Interrupted:
		os.Exit(130)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "soak:", err)
	os.Exit(1)
}

// options are what the command line says.
type options struct {
	only                           string
	seed                           uint64
	json                           bool
	rounds, calls, callers         int
	samples, reloads, plugins      int
	crashes, rate                  int
	load, timeout, hastily, nobody time.Duration
	greed, flood, worst            time.Duration
}

func (o *options) define(flags *flag.FlagSet) {
	flags.StringVar(&o.only, "only", "", "parts to do, separated by commas: "+strings.Join(partNames(), ", ")+"; empty is all")
	flags.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "what decides who calls what")
	flags.BoolVar(&o.json, "json", false, "print the report as JSON")
	flags.IntVar(&o.rounds, "rounds", 10_000, "abuse: how often something cheap goes wrong; something dear does once in fifty")
	flags.IntVar(&o.calls, "calls", 1_000_000, "calls: how many")
	flags.IntVar(&o.callers, "callers", 64, "calls: how many callers there are at once")
	flags.IntVar(&o.samples, "samples", 40, "calls: how often it is measured what the process uses")
	flags.IntVar(&o.reloads, "reloads", 1000, "reloads: how many")
	flags.IntVar(&o.plugins, "plugins", 200, "many: how many plugins")
	flags.DurationVar(&o.load, "load", 5*time.Second, "overload: how long each load lasts")
	flags.DurationVar(&o.timeout, "timeout", time.Second, "overload: the deadline of patient calls")
	flags.DurationVar(&o.hastily, "hasty", 100*time.Millisecond, "overload: the deadline of hasty calls")
	flags.DurationVar(&o.greed, "greed", 30*time.Second, "memory: how long it is wanted")
	flags.DurationVar(&o.flood, "flood", 30*time.Second, "floods: how long each of the twenty lasts")
	flags.IntVar(&o.rate, "rate", 40, "floods: how many megabytes a second each sends at the most")
	flags.DurationVar(&o.worst, "worst", 250*time.Millisecond, "floods: what a call of another plugin may take at the most")
	flags.IntVar(&o.crashes, "crashes", 5000, "crash: how many calls")
	flags.DurationVar(&o.nobody, "idle", 3*time.Second, "crash: how long the process is watched while nobody calls")
}

// check says what is wrong with the options.
func (o *options) check() error {
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected %q: see -help", flag.Arg(0))
	}
	for _, name := range o.chosen() {
		if !slices.Contains(partNames(), name) {
			return fmt.Errorf("-only %s: there is no such part, but %s", name, strings.Join(partNames(), ", "))
		}
	}
	if min(o.rounds, o.calls, o.callers, o.samples, o.reloads, o.plugins, o.crashes, o.rate) < 1 || min(o.load, o.timeout, o.hastily, o.nobody, o.greed, o.flood, o.worst) <= 0 {
		return errors.New("every size must be above 0")
	}
	return nil
}

// chosen are the names of the parts to do.
func (o *options) chosen() []string {
	if o.only == "" {
		return partNames()
	}
	return strings.Split(o.only, ",")
}

// outcome is what a part returns.
type outcome interface {
	// Text is for people; it ends with a line break.
	Text() string
	// Bad lists what is not good.
	Bad() []string
}

// document is the report.
type document struct {
	Seed        uint64
	Good        bool
	Interrupted bool
	Parts       []chapter
}

// chapter is the report on one part.
type chapter struct {
	Part    string
	Title   string
	Seconds float64
	Result  outcome
	Faults  []string
}

// soak does the parts one after the other; progress is told on log.
func soak(ctx context.Context, o options, log io.Writer) document {
	report := document{Seed: o.seed, Good: true}
	for _, p := range parts() {
		if !slices.Contains(o.chosen(), p.name) || ctx.Err() != nil {
			continue
		}
		_, _ = fmt.Fprintf(log, "%s: %s\n", p.name, p.title)
		start := time.Now()
		result, err := p.do(ctx, o, progress(log, p.name))
		c := chapter{Part: p.name, Title: p.title, Seconds: time.Since(start).Seconds(), Result: result}
		if result != nil {
			c.Faults = result.Bad()
		}
		if err != nil && ctx.Err() == nil {
			c.Faults = append(c.Faults, err.Error())
		}
		report.Good = report.Good && len(c.Faults) == 0
		report.Parts = append(report.Parts, c)
	}
	report.Interrupted = ctx.Err() != nil
	return report
}

// progress returns a function that says on log how far a part is, now and then.
func progress(log io.Writer, name string) func(done, all int) {
	const pause = 5 * time.Second
	said := make(chan time.Time, 1)
	said <- time.Now()
	return func(done, all int) {
		select {
		case last := <-said:
			if time.Since(last) > pause {
				last = time.Now()
				_, _ = fmt.Fprintf(log, "%s: %d of %d\n", name, done, all)
			}
			said <- last
		default: // another is at it
		}
	}
}

// write writes the report.
func (d document) write(out io.Writer, asJSON bool) error {
	if asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(d)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d\n", d.Seed)
	for _, c := range d.Parts {
		fmt.Fprintf(&b, "\n== %s: %s (%.0f s)\n\n", c.Part, c.Title, c.Seconds)
		if c.Result != nil {
			b.WriteString(c.Result.Text())
		}
		if len(c.Faults) > 0 {
			fmt.Fprintf(&b, "\nNOT good:\n  %s\n", strings.Join(c.Faults, "\n  "))
		} else {
			b.WriteString("\ngood\n")
		}
	}
	if d.Interrupted {
		b.WriteString("\ninterrupted: this is what was done until then\n")
	}
	_, err := io.WriteString(out, b.String())
	return err
}
