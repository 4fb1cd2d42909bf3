package jet

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

// Prepare makes or opens a stream, a bucket or a consumer, or writes the first record. It tries again while the
// cluster elects who does it, or waits for a server that is to have a copy, for as long
// as a replica that starts is patient: the servers may be starting as well. more are errors after
// which it tries again, too.
func Prepare[T any](ctx context.Context, h *Handle, operation func(context.Context) (T, error), more ...error) (made T, err error) {
	ctx, cancel := context.WithTimeout(ctx, h.config.Patience)
	defer cancel()
	waiting := false
	err = h.Insist(ctx, func() {
		if !waiting {
			h.config.Logger.Warn("JetStream is not ready yet", "error", err, "waiting", h.config.Patience)
		}
		waiting = true
	}, func() error {
		attempt, cancel := context.WithTimeout(ctx, AttemptTimeout)
		defer cancel()
		made, err = operation(attempt)
		return err
	}, append([]error{context.DeadlineExceeded, nats.ErrTimeout, &jetstream.APIError{ErrorCode: codeNoPeers}}, more...)...)
	return made, err
}

// EnsureStream returns a stream, made if there is none of its name.
func (h *Handle) EnsureStream(ctx context.Context, config jetstream.StreamConfig) (jetstream.Stream, error) {
	return Prepare(ctx, h, func(ctx context.Context) (jetstream.Stream, error) {
		stream, err := h.js.CreateStream(ctx, config)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			stream, err = h.js.Stream(ctx, config.Name)
		}
		return stream, err
	}, jetstream.ErrStreamNotFound, // that another replica is making, which not every server knows yet
		&jetstream.APIError{ErrorCode: codeNotCreated})
}

// OpenStream opens a stream that is there.
func (h *Handle) OpenStream(ctx context.Context, name string) (jetstream.Stream, error) {
	stream, err := Prepare(ctx, h, func(ctx context.Context) (jetstream.Stream, error) { return h.js.Stream(ctx, name) })
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", name, err)
	}
	return stream, nil
}
