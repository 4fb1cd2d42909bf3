package listenbrainz

import (
	"io"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/pluginhost/pluginhost/sdk/api"
)

// The limits, for tests that go up to them.
const (
	Bound            = maxBody
	MaxAddresses     = maxAddresses
	MaxAccountBodies = maxAccountBodies
	MaxBodies        = maxBodies
	WrongBurst       = wrongBurst
	WrongInterval    = wrongInterval
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

// Client is client.
func Client(r *http.Request, trusted []netip.Prefix) netip.Addr { return client(r, trusted) }

// WrongTokens is wrongTokens.
type WrongTokens struct{ of *wrongTokens }

// NewWrongTokens is newWrongTokens.
func NewWrongTokens() WrongTokens { return WrongTokens{newWrongTokens()} }

// Allow is wrongTokens.allow.
func (w WrongTokens) Allow(from netip.Addr, now time.Time) bool { return w.of.allow(from, now) }

// Addresses is of how many addresses something is known.
func (w WrongTokens) Addresses() (listed, mapped int) { return w.of.recent.Len(), len(w.of.of) }

// Bodies is bodies.
type Bodies struct{ of *bodies }

// NewBodies is newBodies.
func NewBodies() Bodies { return Bodies{newBodies()} }

// Read reads a body of an account.
func (b Bodies) Read(content string, of Account) (release func(), err error) {
	_, release, err = b.of.read(&http.Request{Body: io.NopCloser(strings.NewReader(content)), ContentLength: int64(len(content))}, of)
	return release, err
}

// Accounts is of how many accounts something is known.
func (b Bodies) Accounts() int { return len(b.of.of) }

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
