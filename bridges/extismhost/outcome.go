package extismhost

import "strings"

// Outcome is what becomes of a play that was handed to a plugin.
type Outcome int

// What Navidrome does with a play after nd_scrobbler_scrobble.
const (
	// Taken plays are removed from its buffer.
	Taken Outcome = iota
	// Kept plays are tried again, and those of the same user wait behind them.
	Kept
	// Discarded plays are lost.
	Discarded
)

// String says what the outcome is called.
func (o Outcome) String() string {
	switch o {
	case Taken:
		return "taken"
	case Kept:
		return "kept"
	case Discarded:
		return "discarded"
	default:
		return "unknown"
	}
}

// OutcomeOf says what becomes of a play whose call ended with err. It is the text that counts, and what stands for "not authorised"
// is looked for first.
func OutcomeOf(err error) Outcome {
	switch {
	case err == nil:
		return Taken
	case strings.Contains(err.Error(), "scrobbler(not_authorized)"):
		return Discarded
	case strings.Contains(err.Error(), "scrobbler(retry_later)"):
		return Kept
	default:
		return Discarded
	}
}
