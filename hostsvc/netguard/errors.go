package netguard

import (
	"errors"
	"net/netip"
)

// What a plugin was refused for. Every [BlockedError] wraps one of the last four.
var (
	// ErrPattern is a URL pattern that cannot be used, or too many of them.
	ErrPattern = errors.New("bad URL pattern")
	// ErrURL is a URL that no pattern could allow.
	ErrURL = errors.New("URL refused")
	// ErrNotAllowed is a URL or a method that the patterns do not allow.
	ErrNotAllowed = errors.New("URL not allowed")
	// ErrLocalNetwork is an address that is not on the public internet.
	ErrLocalNetwork = errors.New("address not public")
	// ErrDenied is an endpoint that no plugin may reach.
	ErrDenied = errors.New("endpoint denied")
)

// BlockedError says that a request was stopped by a rule, not by the network.
// Find it with errors.As, also below the errors of net and net/http.
type BlockedError struct {
	// Reason is the text for the plugin. It can hold the URL that was asked for,
	// query and all, so it does not belong in a log.
	Reason string
	// Kind is ErrURL, ErrNotAllowed, ErrLocalNetwork or ErrDenied.
	Kind error
	// Addr is the address that was about to be dialled; the zero Addr when the
	// request was stopped before that. It is for the log: a plugin is not told
	// what a name resolves to inside the operator's network.
	Addr netip.Addr
	// Cause is what went wrong, nil where nothing did but the rule. It is for the
	// log, too.
	Cause error
}

// Error returns the reason.
func (e *BlockedError) Error() string { return e.Reason }

// Unwrap returns the kind and the cause.
func (e *BlockedError) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Cause}
}
