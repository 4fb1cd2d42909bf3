//go:build unix

// Command chaos shows that what plugins own survives: on three NATS servers and
// three replicas, each a process of its own, it kills, pauses and cuts off replicas,
// the leader first of all, kills NATS servers and fills the disk of one, while a plugin has
// hundreds of one-time schedules, recurring ones every second, and WebSockets. Then it counts
// what was lost and what ran twice, and prints a report.
//
// It exits with 1 where something is not good, and with 130 where it was
// interrupted, after a report on what was done.
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
	var o options
	o.define(flag.CommandLine)
	flag.Parse()
	if err := o.check(); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(2)
	}
	report, err := run(ctx, o, os.Stderr)
	if err != nil {
		report.Faults = append(report.Faults, err.Error())
	}
	if o.without == "" && o.controls > 0 {
		report.control(ctx, o, os.Stderr)
	}
	report.Interrupted = ctx.Err() != nil
	if !report.Interrupted {
		report.judgeKinds(o)
	}
	if err := report.write(os.Stdout, o.json); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
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
	leaders, others       int
	controls              int
	without, logs         string
	kinds                 []string
	json, punctual        bool
	schedules             int
	recurring, sockets    int
	pauseLeast, pauseMost time.Duration
}

func (o *options) define(flags *flag.FlagSet) {
	flags.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "what decides who is killed when")
	flags.IntVar(&o.leaders, "leaders", 500, "how often the leader is killed or paused")
	flags.IntVar(&o.others, "others", 50, "how often something else goes wrong: another replica, its connection, a NATS server, its disk")
	o.kinds = kinds
	flags.Func("kinds", "what else goes wrong, in turn, separated by commas; each must happen (default all: "+strings.Join(kinds, ", ")+")", o.setKinds)
	flags.IntVar(&o.controls, "controls", 20, "how often the leader is killed or paused in each of two more runs, whose replicas lack a check that should be missed, and at most five times as often until it is; 0 is none")
	flags.StringVar(&o.without, "without", "", "leave out a check, to see that it is missed: unclaimed or unfenced")
	flags.StringVar(&o.logs, "logs", "", "write the logs of all replicas into this folder, which is made")
	flags.BoolVar(&o.json, "json", false, "print the report as JSON")
	flags.BoolVar(&o.punctual, "punctual", true, "whether fires that are too late are a fault")
	flags.IntVar(&o.schedules, "schedules", 20, "how many one-time schedules are set each second")
	flags.IntVar(&o.recurring, "recurring", 5, "how many schedules recur every second")
	flags.IntVar(&o.sockets, "sockets", 10, "how many WebSockets there are at once")
	flags.DurationVar(&o.pauseLeast, "pause-least", 3500*time.Millisecond, "the shortest pause")
	flags.DurationVar(&o.pauseMost, "pause-most", 6*time.Second, "the longest pause")
}

// setKinds takes the kinds of faults from a flag.
func (o *options) setKinds(list string) error {
	o.kinds = strings.Split(list, ",")
	for i, kind := range o.kinds {
		o.kinds[i] = strings.TrimSpace(kind)
		if !slices.Contains(kinds, o.kinds[i]) {
			return fmt.Errorf("%q is none of %s", kind, strings.Join(kinds, ", "))
		}
	}
	return nil
}

// check says what is wrong with the options.
func (o *options) check() error {
	switch {
	case flag.NArg() > 0:
		return fmt.Errorf("unexpected %q: see -help", flag.Arg(0))
	case o.without != "" && o.without != "unclaimed" && o.without != "unfenced":
		return fmt.Errorf("-without %s: it takes unclaimed or unfenced", o.without)
	case min(o.leaders, o.others, o.controls) < 0 || min(o.schedules, o.recurring, o.sockets) < 1 || o.pauseLeast <= 0 || o.pauseMost < o.pauseLeast:
		return errors.New("every size must be above 0")
	}
	if o.fillsDisks() {
		if err := canFill(); err != nil {
			return fmt.Errorf("%s: no file system can be mounted that could be filled: %w: run it as root, or as `unshare --map-root-user --mount make chaos`, or name the other kinds with -kinds", fullDisk, err)
		}
	}
	return nil
}

// fillsDisks says whether NATS servers need disks that can be filled.
func (o *options) fillsDisks() bool { return o.others > 0 && slices.Contains(o.kinds, fullDisk) }

// write writes the report.
func (r report) write(out io.Writer, asJSON bool) error {
	if asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	}
	_, err := io.WriteString(out, r.Text())
	return err
}
