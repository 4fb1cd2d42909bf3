package listenbrainz

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/pluginhost/pluginhost/internal/door"
	"github.com/pluginhost/pluginhost/subjects"
)

const (
	// maxBody is how many bytes ListenBrainz takes at once: 1,000 listens of 10 KiB.
	maxBody = 10_240_000
	// freeBody is how much of each body is not counted, so that imports keep no single play out.
	freeBody = 16 << 10
	// maxBodies is how many bytes beyond that all bodies have, and maxAccountBodies those of one account. Plays are
	// about as long again once they are parsed.
	maxBodies        = 24 << 20
	maxAccountBodies = 12 << 20
)

// malformedError is that what was sent will never be taken.
type malformedError struct{ text string }

func (e *malformedError) Error() string { return e.text }

func malformed(format string, args ...any) error {
	return &malformedError{fmt.Sprintf(format, args...)}
}

func newBodies() *door.Bodies {
	return &door.Bodies{Max: maxBodies, MaxOfOne: maxAccountBodies, Free: freeBody}
}

// readBody returns the body of a request, as [door.Bodies.Read] does. A *malformedError is that it will never be taken.
func readBody(bodies *door.Bodies, r *http.Request, account Account) (body []byte, release func(), err error) {
	body, release, err = bodies.Read(r, subjects.UserKey(account.Name, account.ID), maxBody)
	switch {
	case errors.Is(err, door.ErrTooLong):
		err = malformed("the body has more than %d bytes: send fewer listens at once", maxBody)
	case errors.Is(err, door.ErrEncoded):
		err = malformed("%s", door.ErrEncoded)
	}
	return body, release, err
}
