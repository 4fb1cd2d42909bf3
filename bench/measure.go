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

// sample is what one round of one row measured.
type sample struct {
	round         int
	calls         int
	p50, p99, max time.Duration
	elapsed       time.Duration
	cpu           time.Duration // of the whole process
	held          held
}

// source measures one round, which takes about as long as length.
type source func(ctx context.Context, length time.Duration) (sample, error)

// call makes one call; n is the number of the caller.
type call func(ctx context.Context, n int) error

// timed does something once and tells how long that part of it took that is to
// be measured.
type timed func(ctx context.Context) (time.Duration, error)

// calls lets callers make one call after the other and measures each from its
// begin to its end.
func calls(callers int, do call) source {
	return measure(callers, func(ctx context.Context, n int) (time.Duration, error) {
		begin := time.Now()
		err := do(ctx, n)
		return time.Since(begin), err
	})
}

// events does something again and again.
func events(do timed) source {
	return measure(1, func(ctx context.Context, _ int) (time.Duration, error) { return do(ctx) })
}

// maxCalls bounds how many calls of one caller are kept in a round.
const maxCalls = 1 << 20

// measure lets callers do something again and again, at least once each, until
// the time is over. The first error ends it.
func measure(callers int, do func(ctx context.Context, n int) (time.Duration, error)) source {
	return func(ctx context.Context, length time.Duration) (sample, error) {
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
					d, err := do(ctx, n)
					if err != nil {
						failed[n] = err
						stop()
						return
					}
					took[n] = append(took[n], d)
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
			max:     all[len(all)-1],
			elapsed: elapsed,
			cpu:     after - cpu,
		}, nil
	}
}

// beside measures next while disturbances run at the same time, each once and
// then again until it is over; they end soon after their context is. They have a part
// of the time for themselves first. An error of theirs fails the round.
func beside(disturbances int, disturb func(ctx context.Context, n int) error, next source) source {
	return func(ctx context.Context, length time.Duration) (_ sample, err error) {
		running, stop := context.WithCancel(ctx)
		failed := make([]error, disturbances)
		var group sync.WaitGroup
		for n := range disturbances {
			group.Go(func() {
				for done := false; !done; done = running.Err() != nil || failed[n] != nil {
					failed[n] = disturb(running, n)
				}
			})
		}
		defer func() {
			stop()
			group.Wait()
			err = cmp.Or(slices.Concat(failed, []error{err})...)
		}()
		if _, err := next(ctx, length/5); err != nil {
			return sample{}, err
		}
		return next(ctx, length)
	}
}

// processCPU is the processor time that this process has used so far.
func processCPU() (time.Duration, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, fmt.Errorf("processor time of the process: %w", err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), nil
}
