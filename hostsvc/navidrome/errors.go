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
	address string
	what    string // it did or did not do
	cause   error  // may be nil
}

// Brief is the text of an error without what only an operator should know: where
// Navidrome is, and what the network says of it.
func Brief(err error) string {
	var gone *unavailable
	if errors.As(err, &gone) {
		return "navidrome " + gone.what
	}
	return err.Error()
}

func (u *unavailable) Error() string {
	text := "navidrome at " + u.address + " " + u.what
	if u.cause == nil {
		return text
	}
	return text + ": " + u.cause.Error()
}

func (u *unavailable) Is(target error) bool { return target == ErrUnavailable }

func (u *unavailable) Unwrap() error { return u.cause }
