package bus_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"go.uber.org/goleak"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/sdk/call"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, testenv.LatePublisher()) }

const wait = 20 * time.Second

// echo answers every method with the bytes of the request. In JSON they are the
// same bytes in capitals on the way in, in brackets on the way out.
func echo() call.Method {
	return call.Method{
		Call: call.Returning(func(_ context.Context, request []byte) ([]byte, error) { return request, nil }),
		RequestFromJSON: func(b []byte) ([]byte, error) {
			if !json.Valid(b) {
				return nil, errors.New("no JSON")
			}
			return []byte(strings.ToUpper(string(b))), nil
		},
		ResponseToJSON: func(b []byte) ([]byte, error) { return []byte("[" + string(b) + "]"), nil },
	}
}

// turns are those of all plugins of the tests.
var turns = call.NewTurns()

// serve has a plugin whose methods are all the same served until the test ends.
func serve(t *testing.T, b *bus.Bus, id string, method call.Method) *bus.Endpoint {
	t.Helper()
	return serveCalls(t, b, id, call.Config{
		Resolve: func(name string, callback bool) (call.Method, error) {
			if name == "unknown" || callback != strings.HasPrefix(name, "on_") {
				return call.Method{}, subjects.Errorf(subjects.ErrBadRequest, "unknown method %q", name)
			}
			return method, nil
		},
	})
}

// serveCalls has a plugin served until the test ends, with the limits of the test unless config
// has others.
func serveCalls(t *testing.T, b *bus.Bus, id string, config call.Config) *bus.Endpoint {
	t.Helper()
	stats, _ := config.Observer.(*call.Stats)
	if stats == nil {
		stats = new(call.Stats)
	}
	config.ID, config.Turns, config.Observer = id, turns, stats
	config.Failed = func(string, any) error { return subjects.Errorf(subjects.ErrCrashed, "a bug") }
	if config.Limits.Timeout == 0 {
		config.Limits = call.Limits{Timeout: wait, MaxTimeout: wait}
	}
	e, err := b.Serve(t.Context(), bus.EndpointConfig{
		ID:       id,
		Replica:  "r1",
		Calls:    call.NewServer(config),
		Stats:    stats,
		Describe: func() bus.Description { return bus.Description{Version: "1.2", Text: "text", Methods: []string{"get"}} },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Drain(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return e
}

func request(t *testing.T, conn *nats.Conn, subject, body string, header ...string) *nats.Msg {
	t.Helper()
	msg := nats.NewMsg(subject)
	msg.Data = []byte(body)
	for i := 0; i < len(header); i += 2 {
		msg.Header.Set(header[i], header[i+1])
	}
	reply, err := conn.RequestMsg(msg, wait)
	if err != nil {
		t.Fatalf("%s: %v", subject, err)
	}
	return reply
}

func TestEndpointAnswersOnTheSubjectsOfItsPlugin(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	serve(t, testenv.Bus(t, url), "a plugin.v2", echo())
	conn := testenv.Connect(t, url)
	for name, c := range map[string]struct {
		subject, body string
		header        []string
		want, code    string
		contentType   string
	}{
		"bytes pass untouched":             {"plugins.a=20plugin=2Ev2.get", "\x0a\x7b\xff", nil, "\x0a\x7b\xff", "", ""},
		"an empty body is an empty one":    {"plugins.a=20plugin=2Ev2.get", "", nil, "", "", ""},
		"callbacks have subjects":          {"plugins.a=20plugin=2Ev2.callback.on_close", "x", nil, "x", "", ""},
		"a callback is no method":          {"plugins.a=20plugin=2Ev2.on_close", "x", nil, "", "400", ""},
		"a brace makes JSON":               {"plugins.a=20plugin=2Ev2.get", `{"a":1}`, nil, `[{"A":1}]`, "", "application/json"},
		"a content type makes JSON":        {"plugins.a=20plugin=2Ev2.get", `"a"`, []string{"Content-Type", "application/json"}, `["A"]`, "", "application/json"},
		"nothing is skipped before it":     {"plugins.a=20plugin=2Ev2.get", ` {"a":1}`, nil, ` {"a":1}`, "", ""},
		"JSON that does not decode":        {"plugins.a=20plugin=2Ev2.get", `{"a":`, nil, "", "400", ""},
		"a timeout that is no duration":    {"plugins.a=20plugin=2Ev2.get", "x", []string{"Pluginhost-Timeout", "soon"}, "", "400", ""},
		"a method that nobody knows":       {"plugins.a=20plugin=2Ev2.unknown", "x", nil, "", "400", ""},
		"a timeout beyond the most is cut": {"plugins.a=20plugin=2Ev2.get", "x", []string{"Pluginhost-Timeout", "1000h"}, "x", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			reply := request(t, conn, c.subject, c.body, c.header...)
			if got := string(reply.Data); got != c.want {
				t.Errorf("body %q, want %q", got, c.want)
			}
			for header, want := range map[string]string{
				subjects.HeaderErrorCode: c.code, subjects.HeaderContentType: c.contentType, subjects.HeaderReplica: "r1",
			} {
				if got := reply.Header.Get(header); got != want {
					t.Errorf("%s is %q, want %q", header, got, want)
				}
			}
			if text := reply.Header.Get(subjects.HeaderError); (text == "") != (c.code == "") {
				t.Errorf("error text %q with the code %q", text, c.code)
			}
		})
	}
}

func TestDeadlineTravelsWithTheCall(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	method := echo()
	method.Call = call.Returning(func(ctx context.Context, _ []byte) ([]byte, error) {
		<-ctx.Done()
		return nil, subjects.Errorf(subjects.ErrDeadlineExceeded, "over")
	})
	serve(t, testenv.Bus(t, url), "p", method)
	reply := request(t, testenv.Connect(t, url), "plugins.p.get", "", subjects.HeaderTimeout, "1ms")
	if code := reply.Header.Get(subjects.HeaderErrorCode); code != "408" {
		t.Errorf("code %s, want 408", code)
	}
}

func TestRepliesThatDoNotFitAreRefused(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t, func(o *server.Options) { o.MaxPayload = 4096 })
	method := echo()
	method.Call = call.Returning(func(context.Context, []byte) ([]byte, error) { return make([]byte, 4000), nil })
	serve(t, testenv.Bus(t, url), "p", method)
	conn := testenv.Connect(t, url)
	if reply := request(t, conn, "plugins.p.get", ""); reply.Header.Get(subjects.HeaderErrorCode) != "413" || len(reply.Data) > 0 {
		t.Errorf("got %v with %d bytes, want 413", reply.Header, len(reply.Data))
	}
	method.Call = nil
	if reply := request(t, conn, "plugins.p.unknown", ""); reply.Header.Get(subjects.HeaderErrorCode) != "400" {
		t.Errorf("the next call got %v", reply.Header)
	}
}

func TestErrorTextsCannotBreakTheHeader(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	method := echo()
	method.Call = call.Returning(func(context.Context, []byte) ([]byte, error) {
		return nil, errors.New("one\r\nNats-Service-Error-Code: 404\x00" + strings.Repeat("x", 100_000))
	})
	serve(t, testenv.Bus(t, url), "p", method)
	reply := request(t, testenv.Connect(t, url), "plugins.p.get", "")
	text := reply.Header.Get(subjects.HeaderError)
	if codes := reply.Header.Values(subjects.HeaderErrorCode); len(codes) != 1 || codes[0] != "500" {
		t.Errorf("codes %q", codes)
	}
	if !strings.HasPrefix(text, "one  Nats-Service-Error-Code: 404 xxx") || len(text) > 10_000 {
		t.Errorf("text %.80q of %d bytes", text, len(text))
	}
}

func TestPanicInTheHostCostsOneCall(t *testing.T) {
	t.Parallel()
	for where, bug := range map[string]func(method *call.Method, panics func()){
		"the call": func(method *call.Method, panics func()) {
			method.Call = call.Returning(func(_ context.Context, request []byte) ([]byte, error) { panics(); return request, nil })
		},
		"the conversion of the response": func(method *call.Method, panics func()) {
			method.ResponseToJSON = func(response []byte) ([]byte, error) { panics(); return response, nil }
		},
	} {
		t.Run("in "+where, func(t *testing.T) {
			url := testenv.NATS(t)
			method := echo()
			first := true
			bug(&method, func() {
				if first {
					first = false
					panic("a bug")
				}
			})
			serve(t, testenv.Bus(t, url), "p", method)
			conn := testenv.Connect(t, url)
			if reply := request(t, conn, "plugins.p.get", "{}"); reply.Header.Get(subjects.HeaderErrorCode) != "502" {
				t.Errorf("got %v, want 502", reply.Header)
			}
			if reply := request(t, conn, "plugins.p.get", "{}"); reply.Header.Get(subjects.HeaderErrorCode) != "" || len(reply.Data) == 0 {
				t.Errorf("the next call got %q %v", reply.Data, reply.Header)
			}
		})
	}
}

func TestSlowPluginDelaysNoOther(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	b := testenv.Bus(t, url)
	release := make(chan struct{})
	slow := echo()
	entered := make(chan struct{}, 100)
	slow.Call = call.Returning(func(context.Context, []byte) ([]byte, error) {
		entered <- struct{}{}
		<-release
		return nil, nil
	})
	serve(t, b, "slow", slow)
	serve(t, b, "fast", echo())
	conn := testenv.Connect(t, url)
	var waiting sync.WaitGroup
	for range 50 {
		waiting.Go(func() {
			if _, err := conn.Request("plugins.slow.get", nil, wait); err != nil {
				t.Error(err)
			}
		})
	}
	for range 50 {
		<-entered // all of them run at once
	}
	for range 100 {
		if reply := request(t, conn, "plugins.fast.get", "x"); string(reply.Data) != "x" {
			t.Errorf("got %q", reply.Data)
		}
	}
	close(release)
	waiting.Wait()
}

func TestDrainAnswersWhatWasDeliveredAndTakesNoMore(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	b := testenv.Bus(t, url)
	entered, release := make(chan struct{}, 1), make(chan struct{})
	method := echo()
	method.Call = call.Returning(func(context.Context, []byte) ([]byte, error) {
		entered <- struct{}{}
		<-release
		return []byte("done"), nil
	})
	e := serve(t, b, "p", method)
	conn := testenv.Connect(t, url)
	replies := make(chan *nats.Msg, 1)
	go func() {
		reply, err := conn.Request("plugins.p.get", nil, wait)
		if err != nil {
			t.Error(err)
		}
		replies <- reply
	}()
	<-entered
	drained := make(chan error, 1)
	go func() { drained <- e.Drain(t.Context()) }()
	for {
		if _, err := conn.Request("plugins.p.unknown", nil, wait); errors.Is(err, nats.ErrNoResponders) {
			break
		}
	}
	select {
	case err := <-drained:
		t.Errorf("drained while a call was running: %v", err)
	default:
	}
	close(release)
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if reply := <-replies; string(reply.Data) != "done" {
		t.Errorf("the running call got %q", reply.Data)
	}
}

func TestDiscoveryTellsEveryPlugin(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	b := testenv.Bus(t, url)
	d, err := b.StartDiscovery()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
	})
	plain := serve(t, b, "plain", echo())
	serve(t, b, "strange id", echo())
	conn := testenv.Connect(t, url)
	request(t, conn, "plugins.plain.get", "")
	request(t, conn, "plugins.plain.get", `{"`)

	var ping micro.Ping
	if err := json.Unmarshal(request(t, conn, "$SRV.PING.plain", "").Data, &ping); err != nil {
		t.Fatal(err)
	}
	if ping.Name != "plain" || ping.Type != micro.PingResponseType || ping.Version != "0.0.0" || ping.Metadata["version"] != "1.2" || ping.Metadata["replica"] != "r1" {
		t.Errorf("ping %+v", ping)
	}
	var info micro.Info
	if err := json.Unmarshal(request(t, conn, "$SRV.INFO.plain."+ping.ID, "").Data, &info); err != nil {
		t.Fatal(err)
	}
	if len(info.Endpoints) != 1 || info.Endpoints[0].Subject != "plugins.plain.get" || info.Endpoints[0].QueueGroup != "pluginhost" || info.Description != "text" {
		t.Errorf("info %+v", info)
	}
	var stats micro.Stats
	if err := json.Unmarshal(request(t, conn, "$SRV.STATS.plain", "").Data, &stats); err != nil {
		t.Fatal(err)
	}
	if len(stats.Endpoints) != 1 || stats.Endpoints[0].NumRequests != 2 || stats.Endpoints[0].NumErrors != 1 || stats.Endpoints[0].LastError == "" {
		t.Errorf("stats %+v", stats.Endpoints[0])
	}

	names := func(want int) map[string]bool {
		t.Helper()
		inbox := conn.NewInbox()
		s, err := conn.SubscribeSync(inbox)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Unsubscribe() }()
		if err := conn.PublishRequest("$SRV.PING", inbox, nil); err != nil {
			t.Fatal(err)
		}
		found := map[string]bool{}
		for range want {
			msg, err := s.NextMsg(wait)
			if err != nil {
				t.Fatal(err)
			}
			var ping micro.Ping
			if err := json.Unmarshal(msg.Data, &ping); err != nil {
				t.Fatal(err)
			}
			found[ping.Name] = true
		}
		return found
	}
	strange := "strange-id-" + subjects.Hash("strange id")[:8]
	if got := names(2); !got["plain"] || !got[strange] {
		t.Errorf("services %v", got)
	}
	if err := plain.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := names(1); got["plain"] {
		t.Errorf("a drained plugin is still told: %v", got)
	}
}

func TestServerWithoutJetStreamIsRefused(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t, func(o *server.Options) { o.JetStream = false })
	if _, err := bus.Open(t.Context(), bus.Config{URL: url, Logger: slog.New(slog.DiscardHandler)}); !errors.Is(err, bus.ErrNoJetStream) {
		t.Errorf("got %v, want ErrNoJetStream", err)
	}
}

func TestEmbeddedServer(t *testing.T) {
	t.Parallel()
	config := bus.Config{Embedded: bus.Embedded{Listen: "127.0.0.1:0", Token: "sesame", StoreDir: t.TempDir()}, Logger: slog.New(slog.DiscardHandler)}
	b, err := bus.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if conn, err := nats.Connect(b.URL()); err == nil {
		conn.Close()
		t.Error("a client without the token was let in")
	}
	conn, err := nats.Connect(b.URL(), nats.Token("sesame"))
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()

	config.Embedded.Listen = strings.TrimPrefix(b.URL(), "nats://")
	config.Embedded.StoreDir = t.TempDir()
	if second, err := bus.Open(t.Context(), config); err == nil || !strings.Contains(err.Error(), config.Embedded.Listen) {
		if second != nil {
			second.Close()
		}
		t.Errorf("a second server on the same port: %v", err)
	}
}

func TestSecretsOfTheURLAreToldNobody(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t, func(o *server.Options) { o.Authorization = "sesame" })
	withToken := strings.Replace(url, "nats://", "nats://sesame@", 1)
	if got := testenv.Bus(t, withToken).URL(); got != url {
		t.Errorf("URL is %q, want %q", got, url)
	}
	for _, bad := range []string{
		strings.Replace(url, "nats://", "nats://joe:secret@", 1),
		"nats://secret@127.0.0.1:1",
	} {
		_, err := bus.Open(t.Context(), bus.Config{URL: bad, Patience: time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestCallsBeyondTheBoundAreRefusedAtOnce(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	entered, release := make(chan struct{}, 2), make(chan struct{})
	method := echo()
	method.Call = call.Returning(func(context.Context, []byte) ([]byte, error) {
		entered <- struct{}{}
		<-release
		return nil, nil
	})
	e := serveCalls(t, testenv.Bus(t, url), "p", call.Config{
		Limits:  call.Limits{MaxInFlight: 2, Timeout: wait, MaxTimeout: wait},
		Resolve: func(string, bool) (call.Method, error) { return method, nil },
	})
	conn := testenv.Connect(t, url)
	var running sync.WaitGroup
	for range 2 {
		running.Go(func() {
			if _, err := conn.Request("plugins.p.get", nil, wait); err != nil {
				t.Error(err)
			}
		})
		<-entered
	}
	reply := request(t, conn, "plugins.p.get", "")
	if reply.Header.Get(subjects.HeaderErrorCode) != "429" || reply.Header.Get(subjects.HeaderRetryAfter) == "" {
		t.Errorf("the third call got %v, want 429", reply.Header)
	}
	close(release)
	running.Wait()
	if err := e.Drain(t.Context()); err != nil {
		t.Error(err)
	}
}
