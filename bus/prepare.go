package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// codeNoPeers is the server's code for a stream of more copies than there are servers.
const codeNoPeers jetstream.ErrorCode = 10005

// codeNotCreated is the server's code for a stream that it could not make, such as while it removes
// the folder of its last stream.
const codeNotCreated jetstream.ErrorCode = 10049

// prepare makes or opens a stream, a bucket or a consumer, or writes the first record. It tries again while the
// cluster elects who does it, or waits for a server that is to have a copy, for as long
// as a replica that starts is patient: the servers may be starting as well. more are errors after
// which it tries again, too.
func prepare[T any](ctx context.Context, b *Bus, operation func(context.Context) (T, error), more ...error) (made T, err error) {
	ctx, cancel := context.WithTimeout(ctx, b.config.Patience)
	defer cancel()
	waiting := false
	err = b.insist(ctx, func() {
		if !waiting {
			b.config.Logger.Warn("JetStream is not ready yet", "error", err, "waiting", b.config.Patience)
		}
		waiting = true
	}, func() error {
		attempt, cancel := context.WithTimeout(ctx, recordAttempt)
		defer cancel()
		made, err = operation(attempt)
		return err
	}, append([]error{context.DeadlineExceeded, nats.ErrTimeout, &jetstream.APIError{ErrorCode: codeNoPeers}}, more...)...)
	return made, err
}

// ensureStream returns a stream, made if there is none of its name.
func (b *Bus) ensureStream(ctx context.Context, config jetstream.StreamConfig) (jetstream.Stream, error) {
	return prepare(ctx, b, func(ctx context.Context) (jetstream.Stream, error) {
		stream, err := b.js.CreateStream(ctx, config)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			stream, err = b.js.Stream(ctx, config.Name)
		}
		return stream, err
	}, jetstream.ErrStreamNotFound, // that another replica is making, which not every server knows yet
		&jetstream.APIError{ErrorCode: codeNotCreated})
}

// openStream opens a stream that is there.
func (b *Bus) openStream(ctx context.Context, name string) (jetstream.Stream, error) {
	stream, err := prepare(ctx, b, func(ctx context.Context) (jetstream.Stream, error) { return b.js.Stream(ctx, name) })
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", name, err)
	}
	return stream, nil
}
