// Command bench measures what a plugin call costs beyond a bare NATS echo, and
// what running a guest costs alone. See README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// plan says how much is measured.
type plan struct {
	rounds   int
	length   time.Duration // of one row in one round
	loads    int           // how often a guest is loaded
	profiled time.Duration // of the profile of one row
	profiles string        // folder of profiles; empty is none
}

var (
	fullPlan  = plan{rounds: 25, length: 250 * time.Millisecond, loads: 5, profiled: 5 * time.Second}
	quickPlan = plan{rounds: 3, length: 150 * time.Millisecond, loads: 1, profiled: time.Second}
)

// Exit codes.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

func main() { os.Exit(run()) }

func run() int {
	quick := flag.Bool("quick", false, "a short run, to see that everything works")
	asJSON := flag.Bool("json", false, "print JSON instead of a table")
	profiles := flag.String("profiles", "", "also write a CPU profile of each call over NATS into this folder")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "bench takes no arguments, got %q: see -help\n", flag.Args())
		return exitUsage
	}
	p := fullPlan
	if *quick {
		p = quickPlan
	}
	p.profiles = *profiles

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends it at once.
	context.AfterFunc(ctx, stop)
	results, err := benchmark(ctx, p)
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "interrupted")
		return exitInterrupted
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		return exitFailed
	}
	if err := write(os.Stdout, newReport(p, results), *asJSON); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return exitFailed
	}
	return 0
}

func write(w io.Writer, r report, asJSON bool) error {
	if asJSON {
		return r.writeJSON(w)
	}
	return r.writeTable(w)
}

// benchmark measures everything, in a folder that it removes.
func benchmark(ctx context.Context, p plan) (_ []result, err error) {
	dir, err := os.MkdirTemp("", "pluginhost-bench")
	if err != nil {
		return nil, fmt.Errorf("folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	guests, err := buildGuests(ctx, dir)
	if err != nil {
		return nil, err
	}
	var results []result
	for _, part := range []func(context.Context, string, guestSet, plan) ([]result, error){benchmarkBus, benchmarkWasm, benchmarkLoad} {
		more, err := part(ctx, dir, guests, p)
		if err != nil {
			return nil, err
		}
		results = append(results, more...)
	}
	return results, nil
}
