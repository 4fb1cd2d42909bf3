package listenbrainz

import (
	"time"

	"github.com/pluginhost/pluginhost/sdk/api"
)

// The limits, for tests that go up to them.
const (
	Bound            = maxBody
	MaxAccountBodies = maxAccountBodies
	MaxBodies        = maxBodies
	Earliest         = earliest
	Skew             = skew
)

// ReadWithin bounds how long a request may take, with its body.
func (c *Config) ReadWithin(read time.Duration) {
	c.times = standardTimes
	c.times.read = read
}

// WaitAtMost bounds how long a token is looked up, and how long plays are stored.
func (c *Config) WaitAtMost(wait time.Duration) {
	c.times = times{read: standardTimes.read, lookup: wait, submit: wait, submitImport: wait}
}

// Parse reads a submission and returns its kind, and its plays as those of an account.
func Parse(body []byte, now time.Time, of Account) (kind string, plays []*api.ScrobblerScrobbleRequest, err error) {
	s, err := parse(body, now)
	if err != nil {
		return "", nil, err
	}
	return s.kind, s.scrobbles(of), nil
}

// IsMalformed tells whether an error is a *malformedError.
func IsMalformed(err error) bool {
	_, ok := err.(*malformedError) //nolint:errorlint // parse wraps none
	return ok
}
