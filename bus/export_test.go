package bus

import (
	"context"
	"time"
)

// Records are those of the schedules' bucket.
type Records struct{ records }

// OpenRecords opens the schedules' bucket. Its removals are told for a while.
func (b *Bus) OpenRecords(ctx context.Context, told time.Duration) (Records, error) {
	if _, err := b.ensureBucket(ctx, scheduleBucket); err != nil {
		return Records{}, err
	}
	r, err := b.records(ctx, scheduleBucket)
	r.told = told
	return Records{r}, err
}

// Update writes a record in the place of that at a revision.
func (r Records) Update(ctx context.Context, key, value string, revision uint64) (uint64, error) {
	return r.update(ctx, key, value, revision)
}

// Remove removes the record at a revision.
func (r Records) Remove(ctx context.Context, key string, revision uint64) error {
	return r.remove(ctx, key, revision)
}

// Messages is how many messages the bucket has.
func (r Records) Messages(ctx context.Context) (uint64, error) {
	info, err := r.stream.Info(ctx)
	if err != nil {
		return 0, err
	}
	return info.State.Msgs, nil
}

// Wrote counts a schedule that was set, as Set does at its end.
func (s *Schedules) Wrote(key, id string, revision uint64) { s.index.wrote(key, id, revision) }
