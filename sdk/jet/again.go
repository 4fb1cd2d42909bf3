package jet

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// PatientAttempt is how long Again gives the servers to answer before they are asked again.
const PatientAttempt = 2 * time.Second

// Again carries out one operation, once more while nobody answers, until ctx is over: for who has no
// Handle, such as a client that asks now and then. An operation that may not be carried out late
// checks that the connection is there: nats.go keeps what is sent meanwhile. The error is that of the
// last attempt.
func Again(ctx context.Context, operation func(context.Context) error) error {
	for {
		attempt, cancel := context.WithTimeout(ctx, PatientAttempt)
		err := operation(attempt)
		cancel()
		if err == nil || !nobodyAnswered(err) || Pause(ctx, RetryPause) != nil {
			return err
		}
	}
}

func nobodyAnswered(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) ||
		errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrNoStreamResponse) ||
		errors.Is(err, nats.ErrConnectionReconnecting) || errors.Is(err, nats.ErrReconnectBufExceeded)
}
