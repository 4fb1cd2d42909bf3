package listenbrainz

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/pluginhost/pluginhost/internal/door"
	"github.com/pluginhost/pluginhost/internal/httpserver"
	"github.com/pluginhost/pluginhost/sdk/api"
)

// ErrUnknownToken is that there is no such token, or that it is expired, revoked or for something else.
var ErrUnknownToken = errors.New("unknown token")

// Account is whose token it is.
type Account struct {
	// Name is what the user logs in with, and ID the music server's id; one of them may be empty.
	Name, ID string
	// Plugin is the id of the only plugin that plays with this token go to; empty is all.
	Plugin string
}

// Tokens finds whose token it is.
type Tokens interface {
	// User returns whose token a secret is, if that may scrobble. ErrUnknownToken is that it is certainly nobody's, and
	// the play is lost then: any other error is that nobody could look. No error has the secret in its text.
	User(ctx context.Context, secret string) (Account, error)
}

// Plays takes plays.
type Plays interface {
	// Submit returns nil once all plays are safe, in their order. Any error is that some may not be: the sender
	// is told to send all of them again. A plugin without an id is all plugins.
	Submit(ctx context.Context, plugin string, plays []*api.ScrobblerScrobbleRequest) error
	// NowPlaying passes on what a user has started to play, or drops it. It does not wait for anything.
	NowPlaying(plugin string, play *api.ScrobblerNowPlayingRequest)
}

// Config is the configuration of a listener.
type Config struct {
	// Address is the host:port to listen on; port 0 picks a free one.
	Address string
	// TrustedProxies are the addresses of proxies, whose X-Forwarded-For counts.
	TrustedProxies []netip.Prefix
	// Tokens finds whose token a request has.
	Tokens Tokens
	// Plays takes what was played.
	Plays Plays
	// Logger gets what fails after the start.
	Logger *slog.Logger

	times times // zero is those of standardTimes
}

// times bounds what waits for others.
type times struct {
	read         time.Duration // a request, with its body
	lookup       time.Duration // a token is looked up
	submit       time.Duration // a play is stored
	submitImport time.Duration // the plays of an import are
}

// standardTimes lets Navidrome, which gives up after 10 seconds and comes again, have an answer before that.
var standardTimes = times{read: 30 * time.Second, lookup: 3 * time.Second, submit: 6 * time.Second, submitImport: 30 * time.Second}

const (
	maxConnections = 512
	// patience is how long a request runs before its connection gives way to others, once there are too many.
	patience = 15 * time.Second
	// idleTimeout is longer than clients written in Go keep a connection: they would send into one that is closed.
	idleTimeout = 2 * time.Minute
	// sendTimeout is for an answer, which is short.
	sendTimeout = 10 * time.Second
	// warningInterval is how often the log says the same at the most.
	warningInterval = 10 * time.Second
)

// Listen listens and answers. It fails if the address cannot be listened on. The caller stops the server, which waits for the
// requests that run.
func Listen(config Config) (*httpserver.Server, error) {
	if config.times == (times{}) {
		config.times = standardTimes
	}
	l := &listener{Config: config, bodies: newBodies()}
	for _, each := range []*rate.Sometimes{&l.lookups, &l.failures, &l.refusals, &l.strangers} {
		each.Interval = warningInterval
	}
	server, err := httpserver.Start(httpserver.Config{
		Name:           "listenbrainz",
		Address:        config.Address,
		Handler:        l,
		MaxConnections: maxConnections,
		Patience:       patience,
		ReadTimeout:    config.times.read,
		WriteTimeout:   config.times.read + config.times.lookup + config.times.submitImport + sendTimeout,
		IdleTimeout:    idleTimeout,
		Logger:         config.Logger,
	})
	if err != nil {
		return nil, fmt.Errorf("[ListenBrainz] Listen: %w: choose another address, or \"\" to turn it off", err)
	}
	return server, nil
}

// listener answers the requests.
type listener struct {
	Config
	wrong  door.Strangers
	bodies *door.Bodies
	// Each bounds what the log says of one thing.
	lookups, failures, refusals, strangers rate.Sometimes
}

// ServeHTTP answers a request.
func (l *listener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var method string
	var respond func(*http.Request) answer
	switch r.URL.Path {
	case "/1/validate-token":
		method, respond = http.MethodGet, l.validate
	case "/1/submit-listens":
		method, respond = http.MethodPost, l.submit
	default:
		stray(w, http.StatusNotFound, "nothing is here: /1/validate-token and /1/submit-listens are served")
		return
	}
	if r.Method != method {
		w.Header().Set("Allow", method)
		stray(w, http.StatusMethodNotAllowed, "it takes "+method+" only")
		return
	}
	respond(r).write(w)
}

// validate tells whose token a request has.
func (l *listener) validate(r *http.Request) answer {
	account, refused := l.account(r)
	switch {
	case refused == nil:
		return accept(validity{Code: http.StatusOK, Message: "the token is valid", Valid: true, User: account.Name})
	case refused.code == http.StatusUnauthorized:
		return accept(validity{Code: http.StatusOK, Message: "the token is not valid"})
	default:
		return *refused
	}
}

// submit takes plays.
func (l *listener) submit(r *http.Request) answer {
	account, refused := l.account(r)
	if refused != nil {
		return *refused
	}
	body, release, err := readBody(l.bodies, r, account)
	defer release()
	if err != nil {
		refused := l.unread(account, err)
		refused.last = true
		return refused
	}
	sent, err := parse(body, time.Now())
	if err != nil {
		return l.unread(account, err)
	}
	if sent.kind == playingNow {
		l.Plays.NowPlaying(account.Plugin, sent.nowPlaying(account))
		return accept(accepted{Status: "ok"})
	}
	bound := l.times.submit
	if sent.kind == imported {
		bound = l.times.submitImport
	}
	ctx, cancel := context.WithTimeout(r.Context(), bound)
	defer cancel()
	if err := l.Plays.Submit(ctx, account.Plugin, sent.scrobbles(account)); err != nil {
		l.failures.Do(func() {
			l.Logger.Warn("plays cannot be stored: their sender has to send them again", "user", account.Name, "plays", len(sent.listens), "error", err)
		})
		return refuse(http.StatusServiceUnavailable, "the play cannot be stored now: send it again later")
	}
	return accept(accepted{Status: "ok"})
}

// unread answers that a body could not be read.
func (l *listener) unread(account Account, err error) answer {
	var malformed *malformedError
	if !errors.As(err, &malformed) {
		text := "the body did not arrive"
		if errors.Is(err, door.ErrNoRoom) {
			text = door.ErrNoRoom.Error()
		}
		l.failures.Do(func() {
			l.Logger.Warn("a submission did not arrive: its sender has to send it again", "user", account.Name, "error", err)
		})
		return refuse(http.StatusServiceUnavailable, "%s: send it again later", text)
	}
	l.refusals.Do(func() {
		l.Logger.Warn("a submission is refused, and most senders drop it then", "user", account.Name, "error", err)
	})
	return refuse(http.StatusBadRequest, "%s", err)
}

// account returns whose token a request has, or the answer that it gets instead.
func (l *listener) account(r *http.Request) (Account, *answer) {
	secret := token(r.Header)
	if secret == "" {
		refused := refuse(http.StatusBadRequest, "no token: send the header Authorization once, as Token, a space and the token")
		return Account{}, &refused
	}
	ctx, cancel := context.WithTimeout(r.Context(), l.times.lookup)
	defer cancel()
	account, err := l.Tokens.User(ctx, secret)
	switch {
	case err == nil:
		return account, nil
	case !errors.Is(err, ErrUnknownToken):
		l.lookups.Do(func() { l.Logger.Warn("tokens cannot be looked up", "error", err) })
		refused := refuse(http.StatusServiceUnavailable, "the token cannot be looked up now: try again later")
		return Account{}, &refused
	}
	from := door.Client(r, l.TrustedProxies)
	l.strangers.Do(func() { l.Logger.Warn("a token is not known", "address", from) })
	if !l.wrong.Allow(from, time.Now()) {
		refused := refuse(http.StatusServiceUnavailable, "too many tokens that are not known came from this address: try again later")
		return Account{}, &refused
	}
	refused := refuse(http.StatusUnauthorized, "the token is not known, or not for scrobbling: set another one")
	return Account{}, &refused
}

// token returns the token of a request; empty is that there is none, or more than one.
func token(header http.Header) string {
	values := header.Values("Authorization")
	if len(values) != 1 {
		return ""
	}
	scheme, secret, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Token") {
		return ""
	}
	return strings.TrimSpace(secret)
}
