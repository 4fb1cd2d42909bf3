package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

const wait = 20 * time.Second

// serveNavidrome serves with a connection of its own until the test ends.
func serveNavidrome(t *testing.T, url string, config client.Navidrome) *client.NavidromeService {
	t.Helper()
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	service, err := client.ServeNavidrome(testenv.Connect(t, url), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := service.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return service
}

// ping is a good request.
func ping() subjects.SubsonicRequest {
	return subjects.SubsonicRequest{V: 1, Plugin: "p", User: "joe", Endpoint: "ping", Query: "u=joe&c=p&f=json&v=1.16.1"}
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	body, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func ask(t *testing.T, conn *nats.Conn, subject string, body []byte, header ...string) *nats.Msg {
	t.Helper()
	msg := nats.NewMsg(subject)
	msg.Data = body
	for i := 0; i < len(header); i += 2 {
		msg.Header.Set(header[i], header[i+1])
	}
	reply, err := conn.RequestMsg(msg, wait)
	if err != nil {
		t.Fatalf("%s: %v", subject, err)
	}
	return reply
}

// expectCode checks the code of a failure; empty is none.
func expectCode(t *testing.T, reply *nats.Msg, code, text string) {
	t.Helper()
	if reply.Header.Get(subjects.HeaderErrorCode) != code || !strings.Contains(reply.Header.Get(subjects.HeaderError), text) {
		t.Errorf("got %q with %v, want the code %q and the text %q", reply.Data, reply.Header, code, text)
	}
	if code != "" && len(reply.Data) > 0 {
		t.Errorf("a failure has a body: %q", reply.Data)
	}
}

// handler serves the Subsonic API with a function.
func handler(f http.HandlerFunc) client.Navidrome { return client.Navidrome{Subsonic: f} }

func TestSubsonicRequestsReachTheHandler(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	serveNavidrome(t, url, handler(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusTeapot)
		w.(http.Flusher).Flush()
		_, _ = fmt.Fprintf(w, "%s %s %s as %s %q %v %d\x00\xff", r.Method, r.URL.Path, r.RequestURI, client.SubsonicUser(r.Context()), body, err, len(r.Header))
	}))
	conn := testenv.Connect(t, url)
	request := ping()
	request.User, request.Endpoint, request.Query = "Jo\u00e9", "a b?c.view", "u=Jo%C3%A9&id=1&id=2"
	reply := ask(t, conn, subjects.NavidromeSubsonic, encode(t, request))
	expectCode(t, reply, "", "")
	want := "GET /rest/a b?c.view /rest/a%20b%3Fc.view?u=Jo%C3%A9&id=1&id=2 as Joé \"\" <nil> 0\x00\xff"
	if string(reply.Data) != want {
		t.Errorf("got %q, want %q", reply.Data, want)
	}
	if client.SubsonicUser(t.Context()) != "" {
		t.Error("there is a user without a request")
	}
}

func TestRequestsThatNoHostSendsAreRefused(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	config := handler(func(http.ResponseWriter, *http.Request) { t.Error("the handler was called") })
	config.Artwork = func(context.Context, subjects.ArtworkRequest) (string, error) {
		t.Error("artwork was asked for")
		return "", nil
	}
	serveNavidrome(t, url, config)
	conn := testenv.Connect(t, url)
	for name, change := range map[string]func(r *subjects.SubsonicRequest){
		"no version":          func(r *subjects.SubsonicRequest) { r.V = 0 },
		"a later version":     func(r *subjects.SubsonicRequest) { r.V = 2 },
		"no plugin":           func(r *subjects.SubsonicRequest) { r.Plugin = "" },
		"a long plugin":       func(r *subjects.SubsonicRequest) { r.Plugin = strings.Repeat("x", 256) },
		"no user":             func(r *subjects.SubsonicRequest) { r.User = "" },
		"a line break":        func(r *subjects.SubsonicRequest) { r.User, r.Query = "joe\n", "u=joe%0A" },
		"a long user":         func(r *subjects.SubsonicRequest) { r.User = strings.Repeat("x", 256); r.Query = "u=" + r.User },
		"no endpoint":         func(r *subjects.SubsonicRequest) { r.Endpoint = "" },
		"two dots":            func(r *subjects.SubsonicRequest) { r.Endpoint = ".." },
		"a path":              func(r *subjects.SubsonicRequest) { r.Endpoint = "../admin" },
		"a long endpoint":     func(r *subjects.SubsonicRequest) { r.Endpoint = strings.Repeat("x", 101) },
		"a query of others":   func(r *subjects.SubsonicRequest) { r.Query = "u=alice" },
		"a query of two":      func(r *subjects.SubsonicRequest) { r.Query += "&u=alice" },
		"a query of nobody":   func(r *subjects.SubsonicRequest) { r.Query = "" },
		"a query that is bad": func(r *subjects.SubsonicRequest) { r.Query = "u=joe&x=%zz" },
	} {
		t.Run(name, func(t *testing.T) {
			request := ping()
			change(&request)
			expectCode(t, ask(t, conn, subjects.NavidromeSubsonic, encode(t, request)), "400", "")
		})
	}
	good := subjects.ArtworkRequest{V: 1, Kind: subjects.ArtworkTrack, ID: "1"}
	for name, change := range map[string]func(r *subjects.ArtworkRequest){
		"no version":      func(r *subjects.ArtworkRequest) { r.V = 0 },
		"no kind":         func(r *subjects.ArtworkRequest) { r.Kind = "" },
		"an unknown kind": func(r *subjects.ArtworkRequest) { r.Kind = "playlist" },
		"a long id":       func(r *subjects.ArtworkRequest) { r.ID = strings.Repeat("x", 513) },
		"a negative size": func(r *subjects.ArtworkRequest) { r.Size = -1 },
		"a huge size":     func(r *subjects.ArtworkRequest) { r.Size = 1 << 40 },
	} {
		t.Run(name, func(t *testing.T) {
			request := good
			change(&request)
			expectCode(t, ask(t, conn, subjects.NavidromeArtwork, encode(t, request)), "400", "")
		})
	}
	for subject, body := range map[string][]byte{subjects.NavidromeSubsonic: encode(t, ping()), subjects.NavidromeArtwork: encode(t, good)} {
		for _, broken := range []string{"", "x", "[]", "null", string(body) + "x", strings.Repeat("[", 100_000)} {
			expectCode(t, ask(t, conn, subject, []byte(broken)), "400", "")
		}
		expectCode(t, ask(t, conn, subject, body, subjects.HeaderTimeout, "soon"), "400", subjects.HeaderTimeout)
		expectCode(t, ask(t, conn, subject, body, subjects.HeaderVia, "p.2"), "400", subjects.HeaderVia)
		expectCode(t, ask(t, conn, subject, body, subjects.HeaderVia, "1,2,3,4,5,6,7,8,9"), "400", "more than 8")
		expectCode(t, ask(t, conn, subject, body, subjects.HeaderTimeout, "-1s"), "408", "")
		for _, name := range []string{subjects.HeaderTimeout, subjects.HeaderVia} {
			expectCode(t, ask(t, conn, subject, body, name, "1", strings.ToLower(name), "1"), "400", "header "+name+" is there 2 times")
		}
	}
}

func TestArtworkIsAddressed(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	serveNavidrome(t, url, client.Navidrome{Artwork: func(_ context.Context, r subjects.ArtworkRequest) (string, error) {
		switch r.ID {
		case "none":
			return "", subjects.Errorf(subjects.ErrNotFound, "no such image")
		case "broken":
			return "", errors.New("the disk\r\nNats-Service-Error-Code: 404\x00 is gone" + strings.Repeat("x", 100_000))
		}
		return fmt.Sprintf("https://h/%s/%s?size=%d", r.Kind, r.ID, r.Size), nil
	}})
	conn := testenv.Connect(t, url)
	for id, c := range map[string]struct{ body, code, text string }{
		"1":      {`{"v":1,"url":"https://h/artist/1?size=300"}`, "", ""},
		"none":   {"", "404", "no such image"},
		"broken": {"", "500", "the disk  Nats-Service-Error-Code: 404  is gone"},
	} {
		reply := ask(t, conn, subjects.NavidromeArtwork, encode(t, subjects.ArtworkRequest{V: 1, Kind: subjects.ArtworkArtist, ID: id, Size: 300}))
		expectCode(t, reply, c.code, c.text)
		if string(reply.Data) != c.body {
			t.Errorf("%s: got %s, want %s", id, reply.Data, c.body)
		}
	}
	if _, err := conn.Request(subjects.NavidromeSubsonic, encode(t, ping()), wait); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("the Subsonic API, which is left to others: %v", err)
	}
}

func TestAPanicInTheHandlerCostsOneRequest(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	var log bytes.Buffer
	config := handler(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "answer")
		switch r.URL.Path {
		case "/rest/panic":
			panic("a bug")
		case "/rest/abort":
			panic(http.ErrAbortHandler)
		}
	})
	config.Logger = slog.New(slog.NewTextHandler(&log, nil))
	config.MaxRequests = 1
	service := serveNavidrome(t, url, config)
	conn := testenv.Connect(t, url)
	for range 2 {
		for endpoint, code := range map[string]string{"panic": "502", "abort": "502", "ping": ""} {
			request := ping()
			request.Endpoint = endpoint
			reply := ask(t, conn, subjects.NavidromeSubsonic, encode(t, request))
			for reply.Header.Get(subjects.HeaderErrorCode) == "429" { // the one before has answered, but not ended
				reply = ask(t, conn, subjects.NavidromeSubsonic, encode(t, request))
			}
			expectCode(t, reply, code, "")
		}
	}
	if err := service.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(log.String(), "a bug"); got != 2 || strings.Contains(log.String(), "abort Handler") {
		t.Errorf("the log has %d panics, want 2 and none that asks for silence: %s", got, &log)
	}
}

func TestRequestsBeyondTheBoundAreRefusedAtOnce(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	entered, release := make(chan struct{}, 2), make(chan struct{})
	config := handler(func(http.ResponseWriter, *http.Request) {
		entered <- struct{}{}
		<-release
	})
	config.MaxRequests = 2
	serveNavidrome(t, url, config)
	conn := testenv.Connect(t, url)
	var running sync.WaitGroup
	body := encode(t, ping())
	for range 2 {
		running.Go(func() {
			reply, err := conn.Request(subjects.NavidromeSubsonic, body, wait)
			if err != nil || reply.Header.Get(subjects.HeaderErrorCode) != "" {
				t.Errorf("%v, %v", reply, err)
			}
		})
		<-entered
	}
	reply := ask(t, conn, subjects.NavidromeSubsonic, body)
	expectCode(t, reply, "429", "2 requests of plugins are running")
	if after, err := time.ParseDuration(reply.Header.Get(subjects.HeaderRetryAfter)); err != nil || after <= 0 {
		t.Errorf("retry after %v, %v", after, err)
	}
	close(release)
	running.Wait()
}

func TestAnswersThatDoNotFitAreRefused(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t, func(o *server.Options) { o.MaxPayload = 8192 })
	cancelled := make(chan struct{}, 1)
	serveNavidrome(t, url, handler(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/rest/fits":
			_, _ = w.Write(make([]byte, 8192-1024))
		case "/rest/long":
			_, _ = w.Write(make([]byte, 8192-1024+1))
		case "/rest/endless":
			for {
				if _, err := w.Write(make([]byte, 1000)); err != nil {
					<-r.Context().Done()
					cancelled <- struct{}{}
					return
				}
			}
		case "/rest/deaf": // goes on, and never fits again
			_, _ = w.Write(make([]byte, 10_000))
			_, _ = w.Write(make([]byte, 1))
		}
	}))
	conn := testenv.Connect(t, url)
	for endpoint, code := range map[string]string{"fits": "", "long": "413", "endless": "413", "deaf": "413"} {
		request := ping()
		request.Endpoint = endpoint
		text := ""
		if code != "" {
			text = "max_payload is 8192 bytes"
		}
		expectCode(t, ask(t, conn, subjects.NavidromeSubsonic, encode(t, request)), code, text)
	}
	<-cancelled
}

func TestTheHandlerHasTheCallersDeadline(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	remaining := make(chan time.Duration, 1)
	serveNavidrome(t, url, handler(func(_ http.ResponseWriter, r *http.Request) {
		deadline, _ := r.Context().Deadline()
		remaining <- time.Until(deadline)
		if r.URL.Path == "/rest/hang" {
			<-r.Context().Done()
		}
	}))
	conn := testenv.Connect(t, url)
	for header, limit := range map[string]time.Duration{"": client.DefaultTimeout, "5s": 5 * time.Second, "1000h": time.Minute} {
		var headers []string
		if header != "" {
			headers = []string{subjects.HeaderTimeout, header}
		}
		expectCode(t, ask(t, conn, subjects.NavidromeSubsonic, encode(t, ping()), headers...), "", "")
		if got := <-remaining; got <= 0 || got > limit {
			t.Errorf("timeout %q: the handler has %v, want at most %v", header, got, limit)
		}
	}
	serveNavidrome(t, url, client.Navidrome{Artwork: func(ctx context.Context, _ subjects.ArtworkRequest) (string, error) {
		<-ctx.Done()
		return "", ctx.Err()
	}})
	hang := encode(t, subjects.ArtworkRequest{V: 1, Kind: subjects.ArtworkAlbum, ID: "1"})
	expectCode(t, ask(t, conn, subjects.NavidromeArtwork, hang, subjects.HeaderTimeout, "10ms"), "408", "within 10ms")
}

func TestCallsOfTheHandlerTellWhoWaits(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	plugin := testenv.Connect(t, url)
	seen := make(chan string, 1)
	if _, err := plugin.Subscribe("plugins.scrobbler.*", func(msg *nats.Msg) {
		seen <- strings.Join(msg.Header[subjects.HeaderVia], "|")
		_ = msg.Respond(nil)
	}); err != nil {
		t.Fatal(err)
	}
	if err := plugin.Flush(); err != nil {
		t.Fatal(err)
	}
	caller := client.New(testenv.Connect(t, url))
	serveNavidrome(t, url, handler(func(_ http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		if r.URL.Path == "/rest/detached" {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(context.Background(), wait)
			defer cancel()
		}
		if _, err := caller.Call(ctx, "scrobbler", "scrobble", nil); err != nil {
			t.Error(err)
		}
	}))
	conn := testenv.Connect(t, url)
	for _, c := range []struct{ endpoint, via, want string }{
		{"ping", "a,b=2E2", "a,b=2E2"}, {"ping", "", ""}, {"detached", "a", ""},
	} {
		request := ping()
		request.Endpoint = c.endpoint
		expectCode(t, ask(t, conn, subjects.NavidromeSubsonic, encode(t, request), subjects.HeaderVia, c.via), "", "")
		if got := <-seen; got != c.want {
			t.Errorf("%s via %q: the plugin was called via %q, want %q", c.endpoint, c.via, got, c.want)
		}
	}
}

func TestStopWaitsForTheRequestsThatRun(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	entered, release := make(chan struct{}), make(chan struct{})
	var finished atomic.Bool
	service := serveNavidrome(t, url, handler(func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		select {
		case <-release:
			_, _ = io.WriteString(w, "answer")
			finished.Store(true)
		case <-r.Context().Done():
		}
	}))
	conn := testenv.Connect(t, url)
	body := encode(t, ping())
	replies := make(chan *nats.Msg, 1)
	start := func() {
		go func() {
			reply, err := conn.Request(subjects.NavidromeSubsonic, body, wait)
			if err != nil {
				t.Error(err)
			}
			replies <- reply
		}()
		<-entered
	}
	start()
	stopped := make(chan error, 1)
	go func() {
		err := service.Stop(t.Context())
		if !finished.Load() {
			err = errors.Join(err, errors.New("stopped while a request was running"))
		}
		stopped <- err
	}()
	for refused := 0; refused < 100; { // nobody takes requests, for long enough that a Stop that does not wait is back
		if _, err := conn.Request(subjects.NavidromeSubsonic, []byte("x"), wait); errors.Is(err, nats.ErrNoResponders) {
			refused++
		}
	}
	close(release)
	if reply := <-replies; reply == nil || string(reply.Data) != "answer" {
		t.Errorf("got %v", reply)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}

	release = make(chan struct{})
	service = serveNavidrome(t, url, handler(func(_ http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-r.Context().Done()
	}))
	start()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := service.Stop(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a Stop that must not wait: %v", err)
	}
	if reply := <-replies; reply != nil {
		expectCode(t, reply, "502", "stopped")
	}
}

func TestAServiceThatCannotBeIsAnError(t *testing.T) {
	t.Parallel()
	conn := testenv.Connect(t, testenv.NATS(t))
	if _, err := client.ServeNavidrome(conn, client.Navidrome{}); err == nil {
		t.Error("a service of nothing")
	}
	service, err := client.ServeNavidrome(conn, handler(func(http.ResponseWriter, *http.Request) {}))
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if _, err := client.ServeNavidrome(conn, handler(func(http.ResponseWriter, *http.Request) {})); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("on a closed connection: %v", err)
	}
	for range 2 {
		if err := service.Stop(t.Context()); err != nil {
			t.Errorf("stop after the connection was closed: %v", err)
		}
	}
}
