package door

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
)

// step is how much of a body is read before more room is asked for, in bytes.
const step = 16 << 10

var (
	// ErrNoRoom says that too much of bodies is in memory already.
	ErrNoRoom = errors.New("too many long submissions at a time")
	// ErrTooLong says that a body is longer than it may be.
	ErrTooLong = errors.New("the body is too long")
	// ErrEncoded says that a body has an encoding, such as gzip, which is not undone: a few bytes would become many.
	ErrEncoded = errors.New("the header Content-Encoding is not taken: send the body as it is")
)

// Bodies bounds how much of the bodies of requests is in memory, altogether and of one sender. It is safe for concurrent use.
type Bodies struct {
	// Max is how many bytes all bodies may have, and MaxOfOne those of one sender.
	Max, MaxOfOne int
	// Free is how many bytes of each body are not counted: how many requests there are at once is bounded elsewhere.
	Free int
	// Hold charges whoever pays for the memory until release is called; nil is nobody.
	Hold func(bytes int64) (release func(), err error)

	mu    sync.Mutex
	taken int
	of    map[string]int
}

// Read returns the body of a request of a sender, of up to limit bytes. The caller calls release, also after an error, once nothing of
// the body is needed any more. ErrTooLong and ErrEncoded are that the body will never be taken; any other error, such as
// ErrNoRoom, is that it did not arrive.
func (b *Bodies) Read(r *http.Request, sender string, limit int) (body []byte, release func(), err error) {
	room := &taken{of: b, sender: sender}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return nil, room.release, ErrEncoded
	}
	if r.ContentLength > int64(limit) {
		return nil, room.release, fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLong, r.ContentLength, limit)
	}
	if r.ContentLength >= 0 && r.ContentLength < step {
		body = make([]byte, 0, r.ContentLength+1)
	}
	for granted := step; ; {
		if len(body) == granted {
			granted += step
		}
		if err := room.upTo(granted); err != nil {
			return nil, room.release, err
		}
		if len(body) == cap(body) {
			body = slices.Grow(body, granted-len(body))
		}
		n, err := r.Body.Read(body[len(body):min(cap(body), granted)])
		body = body[:len(body)+n]
		switch {
		case len(body) > limit:
			return nil, room.release, fmt.Errorf("%w: the limit is %d bytes", ErrTooLong, limit)
		case errors.Is(err, io.EOF):
			return body, room.release, nil
		case err != nil:
			return nil, room.release, fmt.Errorf("the body did not arrive: %w", err)
		}
	}
}

// Take counts bytes that are not read here, such as an answer until it is sent. The error is ErrNoRoom, or that of Hold.
func (b *Bodies) Take(sender string, bytes int) (release func(), err error) {
	room := &taken{of: b, sender: sender}
	if err := room.upTo(bytes); err != nil {
		room.release()
		return nil, err
	}
	return room.release, nil
}

// taken is the room that one body has.
type taken struct {
	of       *Bodies
	sender   string
	bytes    int
	releases []func()
}

// upTo takes more room, for so many bytes altogether.
func (t *taken) upTo(bytes int) error {
	more := bytes - t.of.Free - t.bytes
	if more <= 0 {
		return nil
	}
	if !t.of.take(t.sender, more) {
		return ErrNoRoom
	}
	t.bytes += more
	if t.of.Hold == nil {
		return nil
	}
	release, err := t.of.Hold(int64(more))
	if err == nil {
		t.releases = append(t.releases, release)
	}
	return err
}

func (t *taken) release() {
	for _, release := range t.releases {
		release()
	}
	t.releases = nil
	if t.bytes > 0 {
		t.of.give(t.sender, t.bytes)
		t.bytes = 0
	}
}

func (b *Bodies) take(sender string, n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.taken+n > b.Max || b.of[sender]+n > b.MaxOfOne {
		return false
	}
	if b.of == nil {
		b.of = make(map[string]int)
	}
	b.taken += n
	b.of[sender] += n
	return true
}

func (b *Bodies) give(sender string, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taken -= n
	if b.of[sender] -= n; b.of[sender] <= 0 {
		delete(b.of, sender)
	}
}
