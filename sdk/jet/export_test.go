package jet

import (
	"context"
	"time"
)

// TellFor has removals told for a while.
func (r Records) TellFor(told time.Duration) Records {
	r.told = told
	return r
}

// Messages is how many messages the bucket has.
func (r Records) Messages(ctx context.Context) (uint64, error) {
	info, err := r.stream.Info(ctx)
	if err != nil {
		return 0, err
	}
	return info.State.Msgs, nil
}
