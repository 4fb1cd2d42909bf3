package listenbrainz

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"

	"github.com/pluginhost/pluginhost/subjects"
)

const (
	// maxBody is how many bytes ListenBrainz takes at once: 1,000 listens of 10 KiB.
	maxBody = 10_240_000
	// step is how much is read before room is asked for. Each connection has this much, so imports keep no single
	// play out.
	step = 16 << 10
	// maxBodies is how many bytes beyond that all bodies have, and maxAccountBodies those of one account. Plays are
	// about as long again once they are parsed.
	maxBodies        = 24 << 20
	maxAccountBodies = 12 << 20
)

// errNoRoom is that too many long bodies are being read.
var errNoRoom = errors.New("too many long submissions at a time")

// malformedError is that what was sent will never be taken.
type malformedError struct{ text string }

func (e *malformedError) Error() string { return e.text }

func malformed(format string, args ...any) error {
	return &malformedError{fmt.Sprintf(format, args...)}
}

// bodies bounds how much of bodies is in memory.
type bodies struct {
	mu    sync.Mutex
	taken int
	of    map[string]int // by account, as subjects.UserKey has it
}

func newBodies() *bodies { return &bodies{of: make(map[string]int)} }

// read returns the body of a request. The caller calls release, also after an error, once nothing of the body is
// needed any more. A *malformedError is that the body will never be taken; any other error is that it did not arrive.
func (b *bodies) read(r *http.Request, account Account) (body []byte, release func(), err error) {
	key, taken := subjects.UserKey(account.Name, account.ID), 0
	release = func() { b.give(key, taken) }
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return nil, release, malformed("the header Content-Encoding is not taken: send the body as it is")
	}
	if r.ContentLength > maxBody {
		return nil, release, tooLong()
	}
	for granted := step; ; {
		if len(body) == granted {
			if !b.take(key, step) {
				return nil, release, errNoRoom
			}
			taken, granted = taken+step, granted+step
		}
		body = slices.Grow(body, granted-len(body))
		n, err := r.Body.Read(body[len(body):granted])
		body = body[:len(body)+n]
		switch {
		case len(body) > maxBody:
			return nil, release, tooLong()
		case errors.Is(err, io.EOF):
			return body, release, nil
		case err != nil:
			return nil, release, fmt.Errorf("the body did not arrive: %w", err)
		}
	}
}

func tooLong() error {
	return malformed("the body has more than %d bytes: send fewer listens at once", maxBody)
}

func (b *bodies) take(key string, n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.taken+n > maxBodies || b.of[key]+n > maxAccountBodies {
		return false
	}
	b.taken += n
	b.of[key] += n
	return true
}

func (b *bodies) give(key string, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taken -= n
	if b.of[key] -= n; b.of[key] <= 0 {
		delete(b.of, key)
	}
}
