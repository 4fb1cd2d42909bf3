// Package hold charges what the host keeps in memory for a call of a guest, to whoever
// bounds the memory of guests. It knows nobody, so that host services and the runtime of
// guests can share it.
package hold

import (
	"context"
	"errors"
	"io"
)

// ErrRefused says that there is not so much memory.
var ErrRefused = errors.New("it was refused more memory")

// Key is where the context of a host function has its Holder.
type Key struct{}

// Holder is charged for memory.
type Holder interface {
	// Hold charges bytes until the host function that was called returns. ErrRefused says
	// that there is not so much memory: nothing is charged, and the bytes must not be kept.
	Hold(bytes int) error
}

// Bytes charges memory until the host function whose context ctx is, or is derived from,
// returns. It is called before the memory is taken, on the goroutine that the function was
// called on. A context of no host function bounds nothing.
func Bytes(ctx context.Context, bytes int) error {
	if holder, ok := ctx.Value(Key{}).(Holder); ok {
		return holder.Hold(bytes)
	}
	return nil
}

// firstRead is how much ReadAll takes to begin with where the length is not known, in bytes.
const firstRead = 16 << 10

// ReadAll reads up to limit bytes of r, and what it reads is charged as by Bytes. length is
// how many there should be, -1 where that is not known. more says that there are more than
// limit.
func ReadAll(ctx context.Context, r io.Reader, length, limit int64) (read []byte, more bool, err error) {
	size := int64(firstRead)
	if length >= 0 {
		size = length + 1 // to see the end
	}
	for {
		size = min(size, limit+1)
		if err := Bytes(ctx, int(size)); err != nil {
			return nil, false, err
		}
		grown := make([]byte, len(read), size)
		copy(grown, read)
		read = grown
		for len(read) < cap(read) {
			n, err := r.Read(read[len(read):cap(read)])
			read = read[:len(read)+n]
			switch {
			case int64(len(read)) > limit:
				return read[:limit], true, nil
			case errors.Is(err, io.EOF):
				return read, false, nil
			case err != nil:
				return read, false, err
			}
		}
		size *= 2
	}
}
