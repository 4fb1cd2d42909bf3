package navidrome

import "errors"

var (
	// ErrRequest is a request that cannot be sent, because of its endpoint, its user or
	// its size. Nothing was sent.
	ErrRequest = errors.New("request cannot be sent to navidrome")
	// ErrUnavailable is a request that was not answered as Navidrome would: it cannot be
	// reached, is late, breaks off, redirects, answers with too much, or refuses.
	ErrUnavailable = errors.New("navidrome is unavailable")
	// ErrNoArtwork is an image that Navidrome does not have.
	ErrNoArtwork = errors.New("navidrome has no such artwork")
)

// unavailable is an ErrUnavailable whose text is all its own.
type unavailable struct {
	text  string
	cause error // may be nil
}

func (u *unavailable) Error() string {
	if u.cause == nil {
		return u.text
	}
	return u.text + ": " + u.cause.Error()
}

func (u *unavailable) Is(target error) bool { return target == ErrUnavailable }

func (u *unavailable) Unwrap() error { return u.cause }
