package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/sdk/call"
	"github.com/pluginhost/pluginhost/subjects"
)

const (
	// maxNavidromeTimeout is the longest a request may take.
	maxNavidromeTimeout = time.Minute
	// navidromeRetryAfter is what callers are asked to wait when there are too many.
	navidromeRetryAfter = 100 * time.Millisecond
	// replyRoom is more than the headers of a reply take, in bytes.
	replyRoom = 1024
	// maxReplyError bounds the text of an error in a header, in bytes.
	maxReplyError = 512
	// Bounds on what a request may have in its fields, in bytes.
	maxUser      = 255
	maxEndpoint  = 100
	maxArtworkID = 512
	// maxArtworkSize is in pixels.
	maxArtworkSize = math.MaxInt32
)

// Navidrome is what a music server offers to plugins over NATS: the other end of
// their Subsonic API and artwork services.
type Navidrome struct {
	// Subsonic is the Subsonic API. It gets GET requests with paths such as
	// /rest/getAlbumList2. The user is authenticated: SubsonicUser has the name,
	// and no password comes along. A handler that wants the name elsewhere, such as
	// in a context value of its own, puts it there in a middleware. Whatever it
	// answers goes to the plugin, without status and headers.
	//
	// Calls of plugins that the handler makes through this package, with the
	// request's context, tell the host which plugins wait for them, and the host
	// refuses those that lead back. Work that goes on after the answer must use
	// another context, such as context.Background(): nobody waits for it.
	//
	// Nil leaves the Subsonic API to others.
	Subsonic http.Handler
	// Artwork returns the public address of an image, an http or https URL. Its
	// error goes to the plugin; a *subjects.Error keeps its code. Nil leaves
	// artwork to others.
	Artwork func(ctx context.Context, request subjects.ArtworkRequest) (string, error)
	// MaxRequests is how many requests may run at once; more are refused with
	// subjects.ErrOverloaded. Defaults to 32.
	MaxRequests int
	// Logger gets the panics of the handlers. Defaults to slog.Default().
	Logger *slog.Logger
}

// userKey is the key under which the context of a request has the user.
type userKey struct{}

// SubsonicUser returns the user for whom a plugin makes a request: the host has
// checked that it may. It is empty in the context of any other request.
func SubsonicUser(ctx context.Context) string {
	user, _ := ctx.Value(userKey{}).(string)
	return user
}

// NavidromeService answers the requests of plugins to a music server.
type NavidromeService struct {
	config        Navidrome
	conn          *nats.Conn
	subscriptions []*nats.Subscription
	calls         *call.Server
	requests      sync.WaitGroup
	mu            sync.Mutex // guards adding to requests
	stopped       bool

	running context.Context // ends when Stop has waited long enough
	abort   context.CancelFunc
}

// ServeNavidrome answers the requests of plugins from now on, each on a goroutine
// of its own. Several servers that share a library may do it on one NATS server:
// they share the requests. The connection stays the caller's to close, after it has
// stopped the service.
func ServeNavidrome(conn *nats.Conn, config Navidrome) (*NavidromeService, error) {
	if config.Subsonic == nil && config.Artwork == nil {
		return nil, errors.New("serve Navidrome: neither Subsonic nor Artwork is set")
	}
	if config.MaxRequests <= 0 {
		config.MaxRequests = 32
	}
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	s := &NavidromeService{config: config, conn: conn}
	s.running, s.abort = context.WithCancel(context.Background())
	methods := make(map[string]call.Method)
	if config.Subsonic != nil {
		methods[subjects.NavidromeSubsonic] = call.Method{Call: call.Returning(s.inTime(s.subsonic))}
	}
	if config.Artwork != nil {
		methods[subjects.NavidromeArtwork] = call.Method{Call: call.Returning(s.inTime(s.artwork))}
	}
	s.calls = call.NewServer(call.Config{
		Resolve: func(subject string, _ bool) (call.Method, error) { return methods[subject], nil },
		Full:    s.full,
		Failed:  s.failed,
		Limits:  call.Limits{MaxInFlight: config.MaxRequests, Timeout: DefaultTimeout, MaxTimeout: maxNavidromeTimeout},
	})
	for subject := range methods {
		subscription, err := conn.QueueSubscribe(subject, subjects.NavidromeGroup, func(msg *nats.Msg) { s.take(subject, msg) })
		if err != nil {
			return nil, errors.Join(fmt.Errorf("subscribe %s: %w", subject, err), s.Stop(context.Background()))
		}
		s.subscriptions = append(s.subscriptions, subscription)
	}
	// A connection that is not there now takes the subscriptions along when it is.
	if err := conn.FlushTimeout(DefaultTimeout); err != nil && conn.IsClosed() {
		return nil, errors.Join(fmt.Errorf("serve Navidrome: %w", err), s.Stop(context.Background()))
	}
	return s, nil
}

// Stop takes no more requests and waits until those that were delivered have been
// answered, or for ctx; those that run then have their context cancelled. It can be
// called more than once.
func (s *NavidromeService) Stop(ctx context.Context) error {
	defer s.abort()
	err := s.drain(ctx)
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	answered := make(chan struct{})
	go func() {
		s.requests.Wait()
		close(answered)
	}()
	select {
	case <-answered:
		return err
	case <-ctx.Done():
		return errors.Join(err, fmt.Errorf("requests of plugins are still running: %w", context.Cause(ctx)))
	}
}

// drain unsubscribes and waits until what the server had already delivered has been
// handed on.
func (s *NavidromeService) drain(ctx context.Context) error {
	gone := s.conn.StatusChanged(nats.CLOSED)
	defer s.conn.RemoveStatusListener(gone)
	var errs []error
	for _, subscription := range s.subscriptions {
		closed := subscription.StatusChanged(nats.SubscriptionClosed)
		err := subscription.Drain()
		switch {
		case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrBadSubscription):
			continue // nothing can arrive any more
		case err != nil:
			errs = append(errs, fmt.Errorf("stop serving %s: %w", subscription.Subject, err))
			continue
		}
		select {
		case <-closed:
		case <-gone:
		case <-ctx.Done():
			errs = append(errs, fmt.Errorf("stop serving %s: %w", subscription.Subject, context.Cause(ctx)))
		}
	}
	return errors.Join(errs...)
}

// navidromeExchange is a request over NATS, and its reply.
type navidromeExchange struct {
	call.Admission
	service *NavidromeService
	msg     *nats.Msg
}

var _ call.Replier = (*navidromeExchange)(nil)

// take starts a request, or refuses it. It must not block: it runs on the
// subscription's goroutine.
func (s *NavidromeService) take(subject string, msg *nats.Msg) {
	if msg.Reply == "" {
		return // it is no request but an answer, which somebody wanted to come here
	}
	x := &navidromeExchange{service: s, msg: msg}
	request := call.Request{Method: subject, Body: msg.Data, Header: msg.Header}
	if err := s.calls.Admit(&x.Admission, request); err != nil {
		x.Reply(nil, s.calls.Refuse(request, err))
		return
	}
	if !s.begin() {
		x.Leave()
		x.Reply(nil, s.calls.Refuse(request, subjects.Errorf(subjects.ErrUnavailable, "Navidrome is stopping")))
		return
	}
	go func() {
		defer s.requests.Done()
		x.Serve(s.running, x)
	}()
}

// begin counts a request, unless the service has stopped.
func (s *NavidromeService) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped {
		s.requests.Add(1)
	}
	return !s.stopped
}

// full is why a request is refused when as many run as may.
func (s *NavidromeService) full(limit int) error {
	return &subjects.Error{
		Failure: subjects.ErrOverloaded, RetryAfter: navidromeRetryAfter,
		Text: fmt.Sprintf("%d requests of plugins are running: try again later", limit),
	}
}

// failed tells of a panic, which costs its request only.
func (s *NavidromeService) failed(subject string, panicked any) error {
	if cause, _ := panicked.(error); panicked != nil && !errors.Is(cause, http.ErrAbortHandler) { // which asks for silence
		s.config.Logger.Error("panic in a request of a plugin", "subject", subject, "panic", panicked, "stack", string(debug.Stack()))
	}
	return subjects.Errorf(subjects.ErrCrashed, "Navidrome failed; see its log")
}

// navidromeAnswer answers one kind of request with the body of the reply.
type navidromeAnswer func(ctx context.Context, body []byte) ([]byte, error)

// inTime makes of an answer one that counts only if it comes in time.
func (s *NavidromeService) inTime(answer navidromeAnswer) navidromeAnswer {
	return func(ctx context.Context, body []byte) ([]byte, error) {
		if ctx.Err() == nil {
			body, err := answer(ctx, body)
			if ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
				return body, err
			}
			// What a handler wrote by then may be half an answer.
			if s.running.Err() != nil {
				return nil, subjects.Errorf(subjects.ErrCrashed, "Navidrome stopped before it had an answer")
			}
		}
		return nil, subjects.Errorf(subjects.ErrDeadlineExceeded, "Navidrome had no answer within %v", call.TimeLimit(ctx))
	}
}

// subsonic runs one request of the Subsonic API.
func (s *NavidromeService) subsonic(ctx context.Context, body []byte) ([]byte, error) {
	var request subjects.SubsonicRequest
	if err := decodeRequest(body, &request); err != nil {
		return nil, err
	}
	if err := checkSubsonic(request); err != nil {
		return nil, subjects.Errorf(subjects.ErrBadRequest, "%w", err)
	}
	ctx, cancel := context.WithCancel(context.WithValue(ctx, userKey{}, request.User))
	defer cancel()
	target := &url.URL{Path: "/rest/" + request.Endpoint, RawQuery: request.Query}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), http.NoBody)
	if err != nil {
		return nil, subjects.Errorf(subjects.ErrBadRequest, "the request is no URL: %w", err)
	}
	r.RequestURI = target.RequestURI()
	w := &recorder{header: http.Header{}, limit: max(int(s.conn.MaxPayload())-replyRoom, 1), full: cancel}
	s.config.Subsonic.ServeHTTP(w, r)
	if w.tooLarge {
		return nil, subjects.Errorf(subjects.ErrTooLarge, "the answer of Navidrome does not fit: the NATS server's max_payload is %d bytes", s.conn.MaxPayload())
	}
	return w.body, nil
}

// artwork runs one request for the address of an image.
func (s *NavidromeService) artwork(ctx context.Context, body []byte) ([]byte, error) {
	var request subjects.ArtworkRequest
	if err := decodeRequest(body, &request); err != nil {
		return nil, err
	}
	switch request.Kind {
	case subjects.ArtworkArtist, subjects.ArtworkAlbum, subjects.ArtworkTrack:
	default:
		return nil, subjects.Errorf(subjects.ErrBadRequest, "unknown kind of artwork %.40q", request.Kind)
	}
	if request.V != subjects.Version || len(request.ID) > maxArtworkID || request.Size < 0 || request.Size > maxArtworkSize {
		return nil, subjects.Errorf(subjects.ErrBadRequest, "the request for artwork is malformed: want version %d, an id of at most %d bytes and a size of 0 to %d pixels",
			subjects.Version, maxArtworkID, maxArtworkSize)
	}
	address, err := s.config.Artwork(ctx, request)
	if err != nil {
		return nil, err
	}
	return json.Marshal(subjects.ArtworkReply{V: subjects.Version, URL: address})
}

func decodeRequest(body []byte, request any) error {
	if err := json.Unmarshal(body, request); err != nil {
		return subjects.Errorf(subjects.ErrBadRequest, "the JSON body does not decode: %w", err)
	}
	return nil
}

// checkSubsonic refuses what a host never sends: the handler takes the user and the
// path as they are.
func checkSubsonic(request subjects.SubsonicRequest) error {
	if request.V != subjects.Version {
		return fmt.Errorf("version %d of a request is not known, want %d", request.V, subjects.Version)
	}
	if request.Plugin == "" || len(request.Plugin) > subjects.MaxID {
		return fmt.Errorf("want the id of a plugin of at most %d bytes", subjects.MaxID)
	}
	if request.User == "" || len(request.User) > maxUser || strings.ContainsFunc(request.User, unicode.IsControl) {
		return fmt.Errorf("want a user name of at most %d bytes without control characters", maxUser)
	}
	name := request.Endpoint
	if name == "" || name == "." || name == ".." || len(name) > maxEndpoint || strings.ContainsRune(name, '/') {
		return fmt.Errorf("want an endpoint of at most %d bytes such as getAlbumList2", maxEndpoint)
	}
	query, err := url.ParseQuery(request.Query)
	if err != nil {
		return fmt.Errorf("the query does not parse: %w", err)
	}
	if users := query["u"]; len(users) != 1 || users[0] != request.User {
		return errors.New("the query is not for the user of the request")
	}
	return nil
}

// Fits implements call.Replier: what does not fit is found when it is written.
func (x *navidromeExchange) Fits([]byte) error { return nil }

// Reply implements call.Replier.
func (x *navidromeExchange) Reply(body []byte, failure *subjects.Error) {
	reply := nats.NewMsg(x.msg.Reply)
	reply.Data = body
	if failure != nil {
		printable := *failure
		printable.Text = replyText(failure.Text)
		call.WriteFailure(reply.Header, &printable, call.MaxErrorText)
	}
	// While the connection is lost nats.go may keep it: the host may still be waiting.
	if err := x.service.conn.PublishMsg(reply); err != nil {
		x.service.config.Logger.Warn("the request of a plugin could not be answered", "subject", x.msg.Subject, "error", err)
	}
}

// replyText makes a text fit a header: a line break would end it.
func replyText(text string) string {
	if len(text) > maxReplyError {
		text = text[:maxReplyError]
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}

// recorder keeps the body of an answer, up to a limit.
type recorder struct {
	header   http.Header
	body     []byte
	limit    int
	tooLarge bool
	full     func() // called when the answer is too large
}

var errAnswerTooLarge = errors.New("the answer does not fit a NATS message")

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(int) {}

// Flush implements http.Flusher, which streaming handlers ask for.
func (w *recorder) Flush() {}

func (w *recorder) Write(b []byte) (int, error) {
	if w.tooLarge || len(b) > w.limit-len(w.body) {
		w.tooLarge, w.body = true, nil
		w.full()
		return 0, errAnswerTooLarge
	}
	w.body = append(w.body, b...)
	return len(b), nil
}
