//go:build unix

// Command plays shows that no play which was accepted is lost: on three NATS servers and three replicas, each a process of
// its own, it submits plays of many users while it kills and pauses replicas and kills NATS servers, the plugin
// crashes, and the service behind it fails, says to come back, hangs, and takes plays without an answer. Half of the plays
// are published, the others come through the ListenBrainz listeners, as Navidrome sends and repeats them. The plugin knows
// nothing of a queue: whatever goes wrong is a plain error. Then it counts what was lost, what came twice and why, and
// what came in another order than it was accepted, and prints a report.
//
// It exits with 1 where something is not good, and with 130 where it was interrupted, after a report on what was done.
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
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var o options
	o.define(flag.CommandLine)
	flag.Parse()
	if err := o.check(); err != nil {
		fmt.Fprintln(os.Stderr, "plays:", err)
		os.Exit(2)
	}
	report, err := run(ctx, o, os.Stderr)
	if err != nil {
		report.Faults = append(report.Faults, err.Error())
	}
	if o.controls > 0 && !o.unkept {
		report.control(ctx, o, os.Stderr)
	}
	report.Interrupted = ctx.Err() != nil
	if err := report.write(os.Stdout, o.json); err != nil {
		fmt.Fprintln(os.Stderr, "plays:", err)
		os.Exit(1)
	}
	switch {
	case len(report.Faults) > 0:
		os.Exit(1)
	case report.Interrupted:
		os.Exit(130)
	}
}

// options are what the command line says.
type options struct {
	seed                  uint64
	plays, users          int
	controls              int
	unkept, json          bool
	every                 time.Duration
	pauseLeast, pauseMost time.Duration
}

func (o *options) define(flags *flag.FlagSet) {
	flags.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "what decides what fails when")
	flags.IntVar(&o.plays, "plays", 100_000, "how many plays are submitted")
	flags.IntVar(&o.users, "users", 50, "of how many users they are")
	flags.IntVar(&o.controls, "controls", 2_000, "how many plays are submitted in one more run, whose replicas acknowledge a play before they call the plugin, which must be noticed; 0 is none")
	flags.BoolVar(&o.unkept, "unkept", false, "build replicas that acknowledge a play before they call the plugin, to see that it is noticed")
	flags.BoolVar(&o.json, "json", false, "print the report as JSON")
	flags.DurationVar(&o.every, "every", 5*time.Second, "how long nothing is broken after something was")
	flags.DurationVar(&o.pauseLeast, "pause-least", 3500*time.Millisecond, "the shortest pause")
	flags.DurationVar(&o.pauseMost, "pause-most", 6*time.Second, "the longest pause")
}

// check says what is wrong with the options.
func (o *options) check() error {
	switch {
	case flag.NArg() > 0:
		return fmt.Errorf("unexpected %q: see -help", flag.Arg(0))
	case min(o.plays, o.users) < 1 || o.controls < 0 || o.every <= 0 || o.pauseLeast <= 0 || o.pauseMost < o.pauseLeast:
		return errors.New("every size must be above 0")
	}
	return nil
}

// write writes the report.
func (r report) write(out io.Writer, asJSON bool) error {
	if asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	}
	_, err := io.WriteString(out, r.text())
	return err
}
