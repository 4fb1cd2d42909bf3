package httpserver_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pluginhost/pluginhost/internal/httpserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// request is one that is whole.
const request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

// start starts a server whose clients may take their time: whoever is kept out by them
// stays out.
func start(t *testing.T, config httpserver.Config, handler http.HandlerFunc) *httpserver.Server {
	t.Helper()
	config.Address, config.Handler, config.Logger = "127.0.0.1:0", handler, slog.New(slog.DiscardHandler)
	config.HeaderTimeout, config.ReadTimeout, config.WriteTimeout, config.IdleTimeout = time.Hour, time.Hour, time.Hour, time.Hour
	server, err := httpserver.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = server.Stop(ctx)
	})
	return server
}

func ok(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }

// client is a connection to a server.
type client struct {
	net.Conn
	t      *testing.T
	reader *bufio.Reader
}

// dial connects and says something.
func dial(t *testing.T, address, says string) *client {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, says); err != nil {
		t.Fatal(err)
	}
	return &client{conn, t, bufio.NewReader(conn)}
}

// answer returns the body of the answer.
func (c *client) answer() string {
	c.t.Helper()
	body, err := c.read()
	if err != nil {
		c.t.Fatal(err)
	}
	return body
}

func (c *client) read() (string, error) {
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

func TestClientsThatDoNotFinishTheirRequestKeepNoOthersOut(t *testing.T) {
	for name, says := range map[string]string{
		"silent":            "",
		"half a line":       "GET / HT",
		"half a header":     "GET / HTTP/1.1\r\nHost: x\r\nX-A: a",
		"a body that lacks": "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			server := start(t, httpserver.Config{MaxConnections: 4}, ok)
			for range 20 {
				dial(t, server.Address(), says)
			}
			if got := dial(t, server.Address(), request).answer(); got != "ok" {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestClientsThatDoNotReadTheirAnswerKeepNoOthersOut(t *testing.T) {
	writing := make(chan struct{}, 2)
	server := start(t, httpserver.Config{MaxConnections: 2}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			ok(w, r)
			return
		}
		writing <- struct{}{}
		for block := make([]byte, 1<<20); ; {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	})
	for range 2 {
		dial(t, server.Address(), "GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
		<-writing
	}
	if got := dial(t, server.Address(), request).answer(); got != "ok" {
		t.Errorf("got %q", got)
	}
}

func TestTheOldestOfTheConnectionsWithoutARequestGivesWay(t *testing.T) {
	server := start(t, httpserver.Config{MaxConnections: 2}, ok)
	oldest := dial(t, server.Address(), "")
	kept := dial(t, server.Address(), request)
	kept.answer()
	dial(t, server.Address(), request).answer()
	if body, err := oldest.read(); err == nil || isTimeout(err) {
		t.Errorf("the oldest connection: got %q, %v", body, err)
	}
	if _, err := io.WriteString(kept, request); err != nil {
		t.Error(err)
	}
	kept.answer()
}

func TestAConnectionThatWaitsForItsNextRequestGivesWay(t *testing.T) {
	server := start(t, httpserver.Config{MaxConnections: 1, Patience: time.Hour}, ok)
	kept := dial(t, server.Address(), request)
	kept.answer()
	dial(t, server.Address(), request).answer()
	if body, err := kept.read(); err == nil || isTimeout(err) {
		t.Errorf("the connection that was kept: got %q, %v", body, err)
	}
}

func isTimeout(err error) bool {
	var network net.Error
	return errors.As(err, &network) && network.Timeout()
}

func TestARequestThatRunsIsNotBrokenOffForOthers(t *testing.T) {
	started, release := make(chan struct{}), make(chan struct{})
	server := start(t, httpserver.Config{MaxConnections: 1, Patience: time.Hour}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(started)
			<-release
		}
		_, _ = fmt.Fprint(w, r.URL.Path)
	})
	slow := dial(t, server.Address(), "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	<-started
	next := dial(t, server.Address(), request)
	close(release)
	if got := slow.answer(); got != "/slow" {
		t.Errorf("got %q", got)
	}
	if got := next.answer(); got != "/" {
		t.Errorf("the one that waited: got %q", got)
	}
}

func TestARequestGivesWayOnceItHasRunForLong(t *testing.T) {
	started := make(chan struct{})
	server := start(t, httpserver.Config{MaxConnections: 1, Patience: 50 * time.Millisecond}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(started)
			<-r.Context().Done()
		}
		ok(w, r)
	})
	dial(t, server.Address(), "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	<-started
	if got := dial(t, server.Address(), request).answer(); got != "ok" {
		t.Errorf("got %q", got)
	}
}

func TestALargeHeaderIsRefused(t *testing.T) {
	server := start(t, httpserver.Config{MaxHeaderBytes: 1000}, ok)
	conn := dial(t, server.Address(), "GET / HTTP/1.1\r\nHost: x\r\n"+fmt.Sprintf("X-A: %010000d\r\n\r\n", 0))
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	response, err := http.ReadResponse(conn.reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d", response.StatusCode)
	}
}

func TestStopDoesNotWaitForConnectionsWithoutARequest(t *testing.T) {
	for name, says := range map[string]string{"silent": "", "half a line": "GET / HT"} {
		t.Run(name, func(t *testing.T) {
			server := start(t, httpserver.Config{}, ok)
			conn := dial(t, server.Address(), says)
			dial(t, server.Address(), request).answer() // and so the first has been accepted, too
			// New ones are waited for by http.Server.Shutdown, five seconds long.
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
			defer cancel()
			if err := server.Stop(ctx); err != nil {
				t.Error(err)
			}
			if _, err := conn.read(); err == nil || isTimeout(err) {
				t.Errorf("the connection is open: %v", err)
			}
		})
	}
}

func TestStopWaitsForRequestsAsLongAsItMay(t *testing.T) {
	for _, patient := range []bool{true, false} {
		t.Run(fmt.Sprintf("patient=%t", patient), func(t *testing.T) {
			started, release := make(chan struct{}), make(chan struct{})
			server := start(t, httpserver.Config{}, func(w http.ResponseWriter, r *http.Request) {
				close(started)
				select {
				case <-release:
					ok(w, r)
				case <-r.Context().Done():
				}
			})
			conn := dial(t, server.Address(), request)
			<-started
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			stopped := make(chan error)
			go func() { stopped <- server.Stop(ctx) }()
			if patient {
				close(release)
				if got := conn.answer(); got != "ok" {
					t.Errorf("got %q", got)
				}
			} else {
				cancel()
				if got, err := conn.read(); err == nil || isTimeout(err) {
					t.Errorf("got %q, %v", got, err)
				}
			}
			if err := <-stopped; (err == nil) != patient {
				t.Errorf("stop: got %v", err)
			}
			if conn, err := net.Dial("tcp", server.Address()); err == nil {
				_ = conn.Close()
				t.Error("the stopped server still listens")
			}
		})
	}
}

func TestStopEndsAServerThatIsFull(t *testing.T) {
	started := make(chan struct{})
	server := start(t, httpserver.Config{MaxConnections: 1, Patience: time.Hour}, func(_ http.ResponseWriter, r *http.Request) {
		close(started)
		<-r.Context().Done()
	})
	dial(t, server.Address(), request)
	<-started
	dial(t, server.Address(), request)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := server.Stop(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestAnAddressThatCannotBeListenedOn(t *testing.T) {
	server := start(t, httpserver.Config{}, ok)
	for _, address := range []string{server.Address(), "127.0.0.1", "127.0.0.1:nonsense"} {
		if second, err := httpserver.Start(httpserver.Config{Address: address}); err == nil {
			_ = second.Stop(t.Context())
			t.Errorf("%s: no error", address)
		}
	}
}

func TestHTTP2IsSpokenWithClientsThatBeginWithIt(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	server := start(t, httpserver.Config{HTTP2: true}, func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 2 {
			entered <- struct{}{}
			<-release
		}
		_, _ = fmt.Fprintf(w, "%d", r.ProtoMajor)
	})
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	answers := make(chan string)
	for range 2 { // at once, on one connection
		go func() {
			response, err := (&http.Client{Transport: transport}).Get("http://" + server.Address())
			if err != nil {
				answers <- err.Error()
				return
			}
			defer func() { _ = response.Body.Close() }()
			body, _ := io.ReadAll(response.Body)
			answers <- string(body)
		}()
	}
	<-entered
	<-entered
	if got := dial(t, server.Address(), request).answer(); got != "1" {
		t.Errorf("HTTP/1.1 beside it: %q", got)
	}
	stopped := make(chan error)
	go func() { stopped <- server.Stop(t.Context()) }()
	close(release)
	for range 2 {
		if got := <-answers; got != "2" {
			t.Errorf("got %q", got)
		}
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
