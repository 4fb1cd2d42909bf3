package main

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"
)

// call makes one call; n is the number of the caller.
type call func(ctx context.Context, n int) error

// sample is what one round of one row measured.
type sample struct {
	calls    int
	p50, p99 time.Duration
	elapsed  time.Duration
	cpu      time.Duration // of the whole process
}

// maxCalls bounds how many calls of one caller are kept in a round.
const maxCalls = 1 << 20

// measure lets callers make one call after the other, at least one each, until
// the time is over. The first error ends it.
func measure(ctx context.Context, callers int, length time.Duration, do call) (sample, error) {
	took := make([][]time.Duration, callers)
	failed := make([]error, callers)
	// What the row before has left behind is not this row's.
	runtime.GC()
	cpu, err := processCPU()
	if err != nil {
		return sample{}, err
	}
	running, stop := context.WithTimeout(ctx, length)
	defer stop()
	start := time.Now()
	var group sync.WaitGroup
	for n := range callers {
		group.Go(func() {
			for done := false; !done && len(took[n]) < maxCalls; done = running.Err() != nil {
				begin := time.Now()
				if failed[n] = do(ctx, n); failed[n] != nil {
					stop()
					return
				}
				took[n] = append(took[n], time.Since(begin))
			}
		})
	}
	group.Wait()
	elapsed := time.Since(start)
	after, err := processCPU()
	if err := cmp.Or(slices.Concat(failed, []error{ctx.Err(), err})...); err != nil {
		return sample{}, err
	}
	all := slices.Concat(took...)
	slices.Sort(all)
	return sample{
		calls:   len(all),
		p50:     quantile(all, 0.5),
		p99:     quantile(all, 0.99),
		elapsed: elapsed,
		cpu:     after - cpu,
	}, nil
}

// processCPU is the processor time that this process has used so far.
func processCPU() (time.Duration, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, fmt.Errorf("processor time of the process: %w", err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), nil
}
