package scheduler

import (
	"context"
	"errors"
	"fmt"

	"github.com/pluginhost/pluginhost/hostsvc/internal/nanoid"
	"github.com/pluginhost/pluginhost/sdk/api/host"
	api "github.com/pluginhost/pluginhost/sdk/api/host/scheduler"
)

// Functions are those that a guest imports. A schedule that is too long ends the call, as
// every error of a new schedule does.
func (s *Service) Functions() []host.Function {
	schedule := nanoid.MaxGiven + int(s.config.MaxPayload) + host.Framing
	refuse := func(kind string) func(context.Context, error) ([]byte, error) {
		return func(_ context.Context, err error) ([]byte, error) {
			if isTooLong(err) {
				err = fmt.Errorf("%w: [Scheduler] MaxPayload is %d, and an id has at most %d bytes", err, s.config.MaxPayload, nanoid.MaxGiven)
			}
			return nil, s.refused(kind, err)
		}
	}
	return host.Limited(api.Functions(s), map[string]host.Limit{
		"schedule_one_time":  {MaxRequest: schedule, Refuse: refuse("one-time")},
		"schedule_recurring": {MaxRequest: schedule + maxExpression, Refuse: refuse("recurring")},
		"cancel_schedule": {MaxRequest: nanoid.MaxGiven + host.Framing, Refuse: host.Answer(func(_ context.Context, err error) (*api.CancelResponse, error) {
			if isTooLong(err) {
				return &api.CancelResponse{Error: notFound}, nil
			}
			return &api.CancelResponse{Error: err.Error()}, nil
		})},
		"time_now": {MaxRequest: host.Framing, Refuse: host.Answer(func(ctx context.Context, _ error) (*api.TimeNowResponse, error) {
			return s.TimeNow(ctx, &api.TimeNowRequest{}) // nothing in the request matters
		})},
	})
}

func isTooLong(err error) bool {
	var tooLong *host.RequestError
	return errors.As(err, &tooLong)
}
