package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// section is a part of the run with a table of its own.
type section struct {
	// name chooses it on the command line.
	name  string
	title string
	// baseline names the row that others are compared with.
	baseline string
	shows    []quantity
	run      func(ctx context.Context, b *bench) ([]*row, error)
}

// sections are all there are, in the order in which they run.
func sections() []section {
	return []section{busSection(), gatewaySection(), neighbourSection(), wasmSection(), instanceSection(), workSection(), stopSection(), cacheSection(), scheduleSection(), socketSection(), scrobbleSection(), deliverySection(), memorySection(), extismSection(), bridgeSection(), loadSection(), developSection()}
}

// selected are the sections whose name or title contains part, whatever its case.
func selected(part string) ([]section, error) {
	all := sections()
	var names []string
	chosen := slices.DeleteFunc(slices.Clone(all), func(s section) bool {
		names = append(names, s.name)
		return !strings.Contains(s.name+"\n"+strings.ToLower(s.title), strings.ToLower(part))
	})
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no section contains %q: there are %s", part, strings.Join(names, ", "))
	}
	return chosen, nil
}

// plan says how much is measured.
type plan struct {
	// quick is to see that everything works.
	quick bool
	// plays is how many wait where memory is measured.
	plays int
	// profiles is the folder for profiles; empty is none.
	profiles string
}

// bench is what the sections share.
type bench struct {
	plan plan
	// dir holds everything that the run writes, and is removed at its end.
	dir    string
	guests map[string][]byte // by package, once they are built
}

// openBench makes the folder. The caller closes the bench.
func openBench(p plan) (*bench, error) {
	dir, err := os.MkdirTemp("", "pluginhost-bench")
	if err != nil {
		return nil, fmt.Errorf("folder: %w", err)
	}
	return &bench{plan: p, dir: dir, guests: make(map[string][]byte)}, nil
}

func (b *bench) close() error { return os.RemoveAll(b.dir) }

// cache is the folder of compiled code.
func (b *bench) cache() string { return filepath.Join(b.dir, "compiled") }

// measure measures rows in so many rounds of such a length, or in less where the
// run is to be quick.
func (b *bench) measure(ctx context.Context, rows []*row, rounds int, length time.Duration) error {
	if b.plan.quick {
		rounds, length = min(rounds, 2), length/4
	}
	return measureRows(ctx, rows, rounds, length)
}

// measured runs the section and sums it up.
func (s section) measured(ctx context.Context, b *bench) (outcome, error) {
	start := time.Now()
	rows, err := s.run(ctx, b)
	if err != nil {
		return outcome{}, fmt.Errorf("%s: %w", s.name, err)
	}
	o := outcome{Name: s.name, Title: s.title, Baseline: s.baseline, Seconds: time.Since(start).Seconds(), section: s}
	for _, r := range rows {
		o.Rounds = max(o.Rounds, len(r.samples))
		o.Rows = append(o.Rows, r.result(s.shows, s.baseline))
	}
	return o, nil
}

// benchmark measures sections and hands on each when it is over.
func benchmark(ctx context.Context, chosen []section, p plan, over func(outcome) error) (err error) {
	b, err := openBench(p)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	for _, s := range chosen {
		o, err := s.measured(ctx, b)
		if err != nil {
			return err
		}
		if err := over(o); err != nil {
			return err
		}
	}
	return nil
}
