package bus_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// answer subscribes to a subject as a Navidrome would.
func answer(t *testing.T, conn *nats.Conn, subject string, handle func(*nats.Msg) *nats.Msg) {
	t.Helper()
	_, err := conn.QueueSubscribe(subject, subjects.NavidromeGroup, func(msg *nats.Msg) {
		if reply := handle(msg); reply != nil {
			if err := msg.RespondMsg(reply); err != nil {
				t.Error(err)
			}
		}
	})
	if err == nil {
		err = conn.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestSubsonicRequestsGoOverTheBus(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	seen := make(chan *nats.Msg, 1)
	answer(t, testenv.Connect(t, url), "navidrome.subsonic", func(msg *nats.Msg) *nats.Msg {
		seen <- msg
		return &nats.Msg{Data: []byte("\x00\xffbinary")}
	})
	b := testenv.Bus(t, url)
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	request := subjects.SubsonicRequest{Plugin: "p.2", User: "Jo\u00e9", Endpoint: "ping.view", Query: "u=Jo%C3%A9&x=%FF"}
	for _, c := range []struct {
		ctx     context.Context
		via     []string
		want    string
		timeout time.Duration // at most
	}{
		{ctx, []string{"other", "p.2"}, "other,p=2E2", wait},
		{t.Context(), nil, "", 10 * time.Second},
	} {
		body, err := b.RequestSubsonic(c.ctx, request, c.via)
		if err != nil || string(body) != "\x00\xffbinary" {
			t.Fatalf("got %q, %v", body, err)
		}
		msg := <-seen
		if want := `{"v":1,"plugin":"p.2","user":"Joé","endpoint":"ping.view","query":"u=Jo%C3%A9\u0026x=%FF"}`; string(msg.Data) != want {
			t.Errorf("request %s, want %s", msg.Data, want)
		}
		if got := msg.Header.Get(subjects.HeaderVia); got != c.want {
			t.Errorf("via %q, want %q", got, c.want)
		}
		if timeout, err := time.ParseDuration(msg.Header.Get(subjects.HeaderTimeout)); err != nil || timeout <= 0 || timeout > c.timeout {
			t.Errorf("timeout %v, %v, want at most %v", timeout, err, c.timeout)
		}
	}
}

func TestArtworkAddressesComeOverTheBus(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	var reply atomic.Pointer[string]
	answer(t, testenv.Connect(t, url), "navidrome.artwork", func(msg *nats.Msg) *nats.Msg {
		if want := `{"v":1,"plugin":"p","kind":"album","id":"456","size":300}`; string(msg.Data) != want {
			t.Errorf("request %s, want %s", msg.Data, want)
		}
		return &nats.Msg{Data: []byte(*reply.Load())}
	})
	b := testenv.Bus(t, url)
	address := func(address string) string {
		body, err := json.Marshal(subjects.ArtworkReply{V: 1, URL: address})
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	long := "https://h/" + strings.Repeat("x", 8<<10-len("https://h/"))
	for name, c := range map[string]struct{ reply, want, err string }{
		"an address":          {address("https://music.example.com/share/img/x?size=300"), "https://music.example.com/share/img/x?size=300", ""},
		"without TLS":         {address("http://localhost/share/img/x"), "http://localhost/share/img/x", ""},
		"as long as may be":   {address(long), long, ""},
		"too long":            {address(long + "x"), "", "8193 bytes"},
		"none":                {address(""), "", "want an http or https URL"},
		"no reply at all":     {"", "", "no JSON"},
		"no JSON":             {"https://h/x", "", "no JSON"},
		"JSON of another":     {`["https://h/x"]`, "", "no JSON"},
		"a path":              {address("/share/img/x"), "", "want an http or https URL"},
		"another scheme":      {address("javascript://h/%0aalert(1)"), "", "want an http or https URL"},
		"a scheme alone":      {address("https:x"), "", "want an http or https URL"},
		"what does not parse": {address("https://h/%zz"), "", "is no URL"},
		"a line break":        {address("https://h/\n"), "", "is no URL"},
	} {
		t.Run(name, func(t *testing.T) {
			reply.Store(&c.reply)
			got, err := b.RequestArtwork(t.Context(), subjects.ArtworkRequest{Plugin: "p", Kind: subjects.ArtworkAlbum, ID: "456", Size: 300})
			if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("got %q, %v, want %q, %q", got, err, c.want, c.err)
			}
		})
	}
}

// A scrobble must not arrive after the plugin was told that it did not.
func TestNothingIsKeptForANavidromeWhileTheConnectionIsLost(t *testing.T) {
	t.Parallel()
	restartable := testenv.Restartable(t)
	b := testenv.Bus(t, restartable.URL())
	restartable.Stop()
	for !slices.Contains(b.Away(), "calls") {
		if t.Context().Err() != nil {
			t.Fatal("the connection is still there")
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for what, ask := range map[string]func() error{
		"Subsonic": func() error {
			_, err := b.RequestSubsonic(ctx, subjects.SubsonicRequest{Plugin: "p", User: "joe", Endpoint: "scrobble"}, nil)
			return err
		},
		"artwork": func() error {
			_, err := b.RequestArtwork(ctx, subjects.ArtworkRequest{Kind: subjects.ArtworkAlbum, ID: "1"})
			return err
		},
	} {
		if err := ask(); !errors.Is(err, subjects.ErrUnavailable) || !strings.Contains(err.Error(), "was not sent") {
			t.Errorf("%s: got %v", what, err)
		}
	}
}

func TestRequestsThatNavidromeDoesNotAnswerSayWhy(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t, func(o *server.Options) { o.MaxPayload = 4096 })
	b := testenv.Bus(t, url)
	request := subjects.SubsonicRequest{Plugin: "p", User: "joe", Endpoint: "ping"}
	expect := func(what string, err, want error, text string) {
		t.Helper()
		if !errors.Is(err, want) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, want %v with %q", what, err, want, text)
		}
	}
	_, err := b.RequestSubsonic(t.Context(), request, nil)
	expect("nobody", err, subjects.ErrUnavailable, `nobody answers navidrome.subsonic: connect a Navidrome that does to this NATS server, or set [Navidrome] Subsonic = "http"`)
	_, err = b.RequestArtwork(t.Context(), subjects.ArtworkRequest{Kind: subjects.ArtworkAlbum, ID: "1"})
	expect("nobody", err, subjects.ErrUnavailable, `nobody answers navidrome.artwork: connect a Navidrome that does to this NATS server, or set [Navidrome] Artwork = "proxy"`)

	var reply atomic.Pointer[nats.Msg]
	answer(t, testenv.Connect(t, url), "navidrome.*", func(*nats.Msg) *nats.Msg { return reply.Load() })
	refusal := func(code, text string) *nats.Msg {
		return &nats.Msg{Data: []byte("not this"), Header: nats.Header{subjects.HeaderErrorCode: {code}, subjects.HeaderError: {text}}}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = b.RequestSubsonic(ctx, request, nil)
	expect("no answer", err, subjects.ErrDeadlineExceeded, "no answer to navidrome.subsonic in time")
	expect("no answer", err, context.DeadlineExceeded, "")
	reply.Store(refusal("429", "too many"))
	_, err = b.RequestSubsonic(t.Context(), request, nil)
	expect("an error", err, subjects.ErrOverloaded, "too many")
	_, err = b.RequestArtwork(t.Context(), subjects.ArtworkRequest{Kind: subjects.ArtworkAlbum, ID: "1"})
	expect("an error", err, subjects.ErrOverloaded, "too many")
	reply.Store(refusal("999", "unheard of \xff"))
	_, err = b.RequestSubsonic(t.Context(), request, nil)
	expect("an unknown error", err, subjects.ErrPlugin, "unheard of \uFFFD")
	reply.Store(refusal("many", ""))
	if _, err = b.RequestSubsonic(t.Context(), request, nil); err == nil || !strings.Contains(err.Error(), `the code "many"`) {
		t.Errorf("a code that is no number: %v", err)
	}
	for _, twice := range []nats.Header{
		{subjects.HeaderErrorCode: {"404", "429"}},
		{subjects.HeaderErrorCode: {"404"}, strings.ToLower(subjects.HeaderErrorCode): {"429"}},
		{subjects.HeaderErrorCode: {"404"}, subjects.HeaderError: {"a", "b"}},
	} {
		reply.Store(&nats.Msg{Data: []byte("{}"), Header: twice})
		if _, err = b.RequestSubsonic(t.Context(), request, nil); err == nil || !strings.Contains(err.Error(), "2 times") {
			t.Errorf("%v: %v", twice, err)
		}
	}
	request.Query = strings.Repeat("x", 5000)
	_, err = b.RequestSubsonic(t.Context(), request, nil)
	expect("a long request", err, subjects.ErrTooLarge, "max_payload is 4096")
	request.Query = ""
	_, err = b.RequestSubsonic(t.Context(), request, strings.Split("1,2,3,4,5,6,7,8,9", ","))
	expect("a long chain", err, subjects.ErrBadRequest, "more than 8 plugins")
	if !b.Connected() {
		t.Error("the connection is gone")
	}
}
