package plugintest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pluginhost/pluginhost/sdk/api/schema"
)

// Advance moves the clock of the host on. Schedules that are due on the way run, in the
// order of their times and each at its time, one after the other, recurring ones as often
// as they are due. Nothing else has a schedule run: one without a delay waits for an
// Advance, of 0 at least.
//
// It returns the errors of the callbacks, the first 10 of them, each as that of Call; a host
// would log them. What is due afterwards runs all the same. After 100,000 callbacks it ends
// with an error: a plugin that plans itself without a delay would go on for ever.
func (h *Host) Advance(ctx context.Context, by time.Duration) error {
	if by < 0 {
		return fmt.Errorf("the clock does not go back by %v", -by)
	}
	h.advancing.Lock()
	defer h.advancing.Unlock()
	until := h.clock.now().Add(by)
	var errs []error
	for range h.callbacks {
		if ctx.Err() != nil {
			return errors.Join(append(errs, context.Cause(ctx))...)
		}
		due := h.schedules.take(until)
		if due == nil {
			h.clock.move(until)
			return errors.Join(errs...)
		}
		h.clock.move(due.next)
		if err := h.fire(ctx, due); err != nil && len(errs) < maxErrors {
			errs = append(errs, fmt.Errorf("schedule %q at %s: %w", due.ID, h.clock.now().Format(time.RFC3339), err))
		}
	}
	return errors.Join(append(errs, fmt.Errorf("%d callbacks have run and more are due: does one plan itself without a delay?", h.callbacks))...)
}

// fire calls the plugin back for a schedule.
func (h *Host) fire(ctx context.Context, due *planned) error {
	h.serving.RLock()
	err := h.callBack(ctx, schema.Fire{Schedule: due.ID, Payload: due.Payload, Recurring: due.Due.IsZero()}, maxCallTimeout)
	h.serving.RUnlock()
	return errors.Join(err, h.settle(ctx))
}
