package schedule

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/pluginhost/pluginhost/sdk/jet"
)

// maxRemoving is how many records are removed at once.
const maxRemoving = 32

// Runs are the runs of OnInit of which there are schedules that they set without an id,
// by plugin.
func (s *Schedules) Runs() map[string][]string { return s.index.runs() }

// DropRun removes the schedules that a run of OnInit has set without an id, and says how
// many those were. One that has changed meanwhile stays, and a one-time schedule that
// runs on a replica that isAlive: it goes by itself.
func (s *Schedules) DropRun(ctx context.Context, id, run string, isAlive func(replica string) bool) (int, error) {
	var dropped atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxRemoving)
	for key, known := range s.index.of(id) {
		if known.run != run || known.claimed != "" && isAlive(known.claimed) {
			continue
		}
		group.Go(func() error {
			err := s.records.Remove(ctx, key, known.revision)
			switch {
			case err == nil:
				s.index.removed(key, known.revision)
				dropped.Add(1)
			case errors.Is(err, jet.ErrMoved): // the watch tells what became of it
			default:
				return fmt.Errorf("schedule: %w", err)
			}
			return nil
		})
	}
	err := group.Wait()
	return int(dropped.Load()), err
}
