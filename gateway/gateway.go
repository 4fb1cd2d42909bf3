package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/pluginhost/pluginhost/internal/door"
	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
)

// Tokens finds what a token is good for.
type Tokens interface {
	// Find returns what the token with a secret is good for. ErrUnknownToken is that it is certainly nobody's; any other error is that
	// nobody could look. No error has the secret in its text.
	Find(ctx context.Context, secret string) (subjects.AccessTokenGrant, error)
}

// Plugins calls plugins, and tells what there are. A [client.Client] does.
type Plugins interface {
	// Do calls a method.
	Do(ctx context.Context, id, method string, request client.Request) ([]byte, error)
	// Info asks every replica for one plugin.
	Info(ctx context.Context, id string) ([]subjects.PluginInfo, error)
}

// Agents asks several plugins for metadata. A [client.AgentSet] does.
type Agents interface {
	Ask(ctx context.Context, method string, request []byte) (client.AgentAnswer, error)
}

// Listed knows the plugins of all replicas. A [client.FollowedPlugins] does.
type Listed interface {
	client.PluginLister
	// Stale returns since when nobody has told of them, and why; nil is that it is up to date.
	Stale() (since time.Time, err error)
}

// Plays takes plays.
type Plays interface {
	// Submit returns nil once a play is safe, for a plugin or, without an id, for all. Any error but those of what will never be
	// taken is that the play may be safe or not.
	Submit(ctx context.Context, plugin string, user client.User, track *api.TrackInfo, at time.Time) error
	// NowPlaying passes on what a user has started to play, or drops it. It does not wait for anything.
	NowPlaying(plugin string, user client.User, track *api.TrackInfo, at time.Time)
}

// Config is the configuration of a Gateway.
type Config struct {
	// Tokens finds what the token of a request is good for.
	Tokens Tokens
	// Plugins calls plugins, Agents asks those with MetadataAgent.
	Plugins Plugins
	Agents  Agents
	// Listed knows what plugins there are.
	Listed Listed
	// Plays takes plays.
	Plays Plays
	// Hosts are the names that it goes by, in the header Host, beside addresses and names without a dot; one that begins with "*." is of
	// all below it. A page that has its own name lead here is refused by that.
	Hosts []string
	// TrustedProxies are the addresses of proxies, whose X-Forwarded-For counts.
	TrustedProxies []netip.Prefix
	// MaxBody is how many bytes the body of a request may have.
	MaxBody int
	// MaxBodies is how many all bodies may have that are in memory; those of one token have half of it.
	MaxBodies int
	// Hold charges whoever pays for bodies, until release is called; nil is nobody.
	Hold func(bytes int64) (release func(), err error)
	// MaxTimeout is the longest time that a request can ask for.
	MaxTimeout time.Duration
	// Logger gets what fails.
	Logger *slog.Logger

	times times // zero is those of standardTimes
}

// times bounds what waits for others.
type times struct {
	lookup time.Duration // a token is looked up
	read   time.Duration // a body arrives
	send   time.Duration // an answer is taken
	tell   time.Duration // a reply tells why a call is late, once its time is over
}

var standardTimes = times{lookup: 3 * time.Second, read: 10 * time.Second, send: 10 * time.Second, tell: time.Second}

const (
	// maxRequests is how many requests there may be at once; more are refused.
	maxRequests = 256
	// warningInterval is how often the log says the same at the most.
	warningInterval = 10 * time.Second
)

// Gateway is a http.Handler. The caller ends it with Leave and Stop.
type Gateway struct {
	Config
	bodies    *door.Bodies
	openAPI   []byte
	strangers door.Strangers
	lookups   rate.Sometimes // bounds what the log says of tokens that cannot be looked up
	unknown   rate.Sometimes // and of tokens that are not known

	mu       sync.Mutex
	requests int           // that run
	stopped  bool          // no more begin
	idle     chan struct{} // closed once it is stopped and none runs
	leaving  atomic.Bool
}

// New returns a Gateway.
func New(config Config) (*Gateway, error) {
	if config.times == (times{}) {
		config.times = standardTimes
	}
	g := &Gateway{
		Config: config, idle: make(chan struct{}),
		bodies: &door.Bodies{Max: config.MaxBodies, MaxOfOne: config.MaxBodies / 2, Hold: config.Hold},
	}
	g.lookups.Interval, g.unknown.Interval = warningInterval, warningInterval
	var err error
	g.openAPI, err = describe()
	return g, err
}

// Longest is how long a request can take that may ask for so much time, from the end of its header to that of its answer.
func Longest(maxTimeout time.Duration) time.Duration {
	t := standardTimes
	return t.lookup + t.read + maxTimeout + t.tell + t.send
}

// NotYet answers that there is no gateway yet.
func NotYet(w http.ResponseWriter, r *http.Request) {
	a := &answering{w: w, r: r, control: http.NewResponseController(w), within: standardTimes.send}
	a.fail(subjects.Errorf(subjects.ErrUnavailable, "this replica is starting: ask again soon, or another one"))
}

// Leave has clients close their connections after the next answer: the gateway will soon be gone. Requests are answered until Stop.
func (g *Gateway) Leave() { g.leaving.Store(true) }

// Stop answers no more requests, and waits for those that run until ctx is over.
func (g *Gateway) Stop(ctx context.Context) {
	g.Leave()
	g.mu.Lock()
	if !g.stopped {
		g.stopped = true
		if g.requests == 0 {
			close(g.idle)
		}
	}
	g.mu.Unlock()
	select {
	case <-g.idle:
	case <-ctx.Done():
	}
}

// begin lets a request in, unless there are too many. If it does, end follows.
func (g *Gateway) begin() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.stopped:
		return subjects.Errorf(subjects.ErrUnavailable, "this replica is leaving: ask another one")
	case g.requests >= maxRequests:
		return subjects.Errorf(subjects.ErrOverloaded, "%d requests are here already: try again later", g.requests)
	}
	g.requests++
	return nil
}

func (g *Gateway) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.requests--; g.requests == 0 && g.stopped {
		close(g.idle)
	}
}

// ServeHTTP answers a request.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := &answering{w: w, r: r, control: http.NewResponseController(w), within: g.times.send, last: g.leaving.Load()}
	// What is behind a body whose length only its end tells might be a request for others, but not for us: a proxy may have seen
	// another end.
	a.last = a.last || len(r.TransferEncoding) > 0 && r.ProtoMajor == 1
	if err := g.begin(); err != nil {
		a.fail(err)
		return
	}
	defer g.end()
	if err := g.serve(a, r); err != nil {
		a.fail(err)
	}
}

// serve answers a request, or returns the failure that it gets instead.
func (g *Gateway) serve(a *answering, r *http.Request) error {
	if err := g.checkHost(r.Host); err != nil {
		return err
	}
	grant, err := g.bearer(r)
	if err != nil {
		return err
	}
	at, err := route(r.URL.EscapedPath())
	if err != nil {
		return err
	}
	if want := at.method(); r.Method != want {
		a.w.Header().Set("Allow", want)
		return refusef(http.StatusMethodNotAllowed, subjects.NameMethodNotAllowed, "it takes %s only", want)
	}
	if err := allow(grant, at); err != nil {
		return err
	}
	switch at.what {
	case toCall:
		return g.call(a, r, grant, at)
	case toAgents:
		return g.ask(a, r, grant, at)
	case toScrobbles:
		return g.scrobble(a, r, grant, at)
	case toNowPlaying:
		return g.nowPlaying(a, r, grant, at)
	case toPlugins:
		return g.list(a, grant)
	case toPlugin:
		return g.info(a, r, grant, at)
	default:
		a.send(http.StatusOK, subjects.ContentTypeJSON, g.openAPI)
		return nil
	}
}
