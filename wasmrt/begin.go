package wasmrt

import "context"

// beginKey is the key of a context for what WithBegin has added.
type beginKey struct{}

// WithBegin returns a context for Answer and Call with which begin is asked once the call has
// an instance, just before the guest runs: it may have waited for that. It must not block.
// Its error is that of the call, of which nothing ran then.
func WithBegin(ctx context.Context, begin func() error) context.Context {
	return context.WithValue(ctx, beginKey{}, begin)
}

// mayBegin asks what WithBegin has added to a context.
func mayBegin(ctx context.Context) error {
	if begin, ok := ctx.Value(beginKey{}).(func() error); ok {
		return begin()
	}
	return nil
}
