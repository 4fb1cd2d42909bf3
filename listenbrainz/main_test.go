package listenbrainz_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pluginhost/pluginhost/internal/httpserver"
	"github.com/pluginhost/pluginhost/listenbrainz"
	"github.com/pluginhost/pluginhost/sdk/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what a test waits for.
const patience = 30 * time.Second

// The tokens that tests send.
const (
	joes   = "joes-secret"
	onlys  = "onlys-secret" // goes to one plugin only
	wrong  = "nobodys-secret"
	stuck  = "stuck-secret" // nobody can look whose it is
	hangs  = "hangs-secret" // looking never ends
	others = "others-"      // and a name: as many users as a test needs
)

var joe = listenbrainz.Account{Name: "joe", ID: "u1"}

type tokens struct{}

func (tokens) User(ctx context.Context, secret string) (listenbrainz.Account, error) {
	switch secret {
	case joes:
		return joe, nil
	case onlys:
		return listenbrainz.Account{Name: "only", ID: "u2", Plugin: "one"}, nil
	case stuck:
		return listenbrainz.Account{}, errors.New("no answer from JetStream")
	case hangs:
		<-ctx.Done()
		return listenbrainz.Account{}, ctx.Err()
	}
	if name, ok := strings.CutPrefix(secret, others); ok {
		return listenbrainz.Account{Name: name}, nil
	}
	return listenbrainz.Account{}, fmt.Errorf("this is %w", listenbrainz.ErrUnknownToken)
}

// shelf keeps the plays that it gets.
type shelf struct {
	// submit, if there is one, is what Submit does.
	submit func(ctx context.Context) error

	mu      sync.Mutex
	plays   []*api.ScrobblerScrobbleRequest
	playing []*api.ScrobblerNowPlayingRequest
	plugins []string // that each was for
}

func (s *shelf) Submit(ctx context.Context, plugin string, plays []*api.ScrobblerScrobbleRequest) error {
	if s.submit != nil {
		if err := s.submit(ctx); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plays, s.plugins = append(s.plays, plays...), append(s.plugins, plugin)
	return nil
}

func (s *shelf) NowPlaying(plugin string, play *api.ScrobblerNowPlayingRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.playing, s.plugins = append(s.playing, play), append(s.plugins, plugin)
}

// door is a listener, and what came through it.
type door struct {
	*httpserver.Server
	*shelf
	log *safeBuffer
}

// open opens a door whose Submit does as submit says; nil is that all is kept.
func open(t *testing.T, submit func(context.Context) error, prepare ...func(*listenbrainz.Config)) *door {
	t.Helper()
	d := &door{shelf: &shelf{submit: submit}, log: &safeBuffer{}}
	config := listenbrainz.Config{Address: "127.0.0.1:0", Tokens: tokens{}, Plays: d.shelf, Logger: slog.New(slog.NewTextHandler(d.log, nil))}
	for _, each := range prepare {
		each(&config)
	}
	server, err := listenbrainz.Listen(config)
	if err != nil {
		t.Fatal(err)
	}
	d.Server = server
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = server.Stop(ctx)
		for _, secret := range []string{joes, onlys, wrong, stuck, hangs} {
			if strings.Contains(d.log.String(), secret) {
				t.Errorf("a token is in the log: %s", d.log)
			}
		}
	})
	return d
}

// safeBuffer is a log.
type safeBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// caller is a connection to a listener.
type caller struct {
	net.Conn
	t      *testing.T
	reader *bufio.Reader
}

// dial connects and says something.
func (d *door) dial(t *testing.T, says string) *caller {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", d.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c := &caller{conn, t, bufio.NewReader(conn)}
	// What is refused before all of it was sent breaks the writing off; the answer tells.
	_, _ = io.WriteString(c, says)
	return c
}

func (c *caller) say(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
}

// reply is an answer.
type reply struct {
	status int
	header http.Header
	body   string
}

func (r reply) String() string { return fmt.Sprintf("%d %s", r.status, r.body) }

func (c *caller) read() (reply, error) {
	_ = c.SetReadDeadline(time.Now().Add(patience))
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, response.Header, string(body)}, err
}

// answer returns the answer.
func (c *caller) answer() reply {
	c.t.Helper()
	got, err := c.read()
	if err != nil {
		c.t.Fatal(err)
	}
	return got
}

// ask sends a request on a connection of its own.
func (d *door) ask(t *testing.T, request string) reply {
	t.Helper()
	return d.dial(t, request).answer()
}

// request is a request as Navidrome sends it, with more lines of header.
func request(method, path, token, body string, more ...string) string {
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: %d\r\nAuthorization: Token %s\r\n"+
		"Content-Type: application/json; charset=UTF-8\r\nAccept-Encoding: gzip\r\n%s\r\n%s", method, path, len(body), token, strings.Join(more, ""), body)
}

// submit is a request with a submission.
func submit(token, body string, more ...string) string {
	return request("POST", "/1/submit-listens", token, body, more...)
}

// validate is a request whose token it is, with the body that Navidrome sends on a GET.
func validate(token string, more ...string) string {
	return request("GET", "/1/validate-token", token, "{}", more...)
}

// play is a listen of a time, as a single; more is put into its metadata.
func play(at int64, more string) string {
	return fmt.Sprintf(`{"listen_type":"single","payload":[%s]}`, listen(at, more))
}

func listen(at int64, more string) string {
	return fmt.Sprintf(`{"listened_at":%d,"track_metadata":{"artist_name":"Nina Simone","track_name":"Sinnerman"%s}}`, at, more)
}

// imports are listens at once.
func imports(listens ...string) string {
	return `{"listen_type":"import","payload":[` + strings.Join(listens, ",") + `]}`
}
