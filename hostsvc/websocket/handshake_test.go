package websocket_test

import (
	"context"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"

	"github.com/pluginhost/pluginhost/hostsvc/websocket"
	api "github.com/pluginhost/pluginhost/sdk/api/host/websocket"
)

const failed = "failed to connect to WebSocket server: "

func TestAHandshakeThatGoesWrongIsReported(t *testing.T) {
	t.Parallel()
	answer := func(text string) func(*peer) {
		return func(p *peer) {
			_, _ = http.ReadRequest(p.in)
			p.say([]byte(text))
		}
	}
	endless := func(text string) func(*peer) {
		return func(p *peer) {
			_, _ = http.ReadRequest(p.in)
			for ok := p.say([]byte("HTTP/1.1 101 Switching Protocols\r\nX-A: y")); ok; ok = p.say([]byte(text)) {
			}
		}
	}
	for _, test := range []struct {
		name string
		talk func(*peer)
		want string // in the error
	}{
		{"a server that hangs up", func(*peer) {}, ""},
		{"a server that answers with half a line", answer("HTTP/1.1 101 Swit"), "unexpected EOF"},
		{"a server that answers half", answer("HTTP/1.1 101 Switching Protocols\r\nUpgrade: webs"), "unexpected EOF"},
		{"another protocol", answer("220 mail.example ESMTP\r\n"), "malformed HTTP"},
		{"one long header", endless(strings.Repeat("x", 4096)), "the answer of the server is over the limit of 262144 bytes"},
		{"many headers", endless("\r\nX-A: y"), "the answer of the server is over the limit of 262144 bytes"},
		{"a redirect", answer("HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"), "websocket: bad handshake: the server answered 302 Found"},
		{"a refusal", answer("HTTP/1.1 401 Unauthorized\r\nContent-Length: 4\r\n\r\nbody"), "websocket: bad handshake: the server answered 401 Unauthorized: \"body\""},
		{"a refusal with a long page", answer("HTTP/1.1 403 x\r\n\r\n<html>\r\n\x1b[31m\xff" + strings.Repeat("ü", 1000)), "answered 403 Forbidden: \"<html> [31m\uFFFD" + strings.Repeat("ü", 93) + "…\""},
		{"a web page", answer("HTTP/1.1 200 OK\r\n\r\n<html>"), "websocket: bad handshake: the server answered 200 OK: \"<html>\""},
		{"a wrong key", answer("HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n"), "websocket: bad handshake"},
		{
			"compression nobody asked for",
			func(p *peer) {
				p.accept("Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover")
			},
			"extension that it was not asked for",
		},
		{"a bad kind of compression", func(p *peer) { p.accept("Sec-WebSocket-Extensions: permessage-deflate") }, "compression"},
		{"a subprotocol nobody asked for", func(p *peer) { p.accept("Sec-WebSocket-Protocol: chat") }, `the server chose the subprotocol "chat", and none was asked for`},
		{"two subprotocols", func(p *peer) { p.accept("Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Protocol: mqtt") }, `the server chose the subprotocol "chat, mqtt"`},
		{"any extension", func(p *peer) { p.accept("sec-websocket-extensions: x-y") }, "extension that it was not asked for"},
	} {
		t.Run(test.name, func(t *testing.T) {
			service, sockets := newService(t, anywhere())
			got := connect(t, service, &api.ConnectRequest{Url: serveRaw(t, test.talk) + "/?key=s3cret", Headers: map[string]string{"Authorization": "s3cret"}})
			if !strings.HasPrefix(got.Error, failed) || !strings.Contains(got.Error, test.want) || got.ConnectionId != "" {
				t.Errorf("got %v, want %q", got, test.want)
			}
			if strings.Contains(got.Error, "s3cret") || len(got.Error) > 4<<10 {
				t.Errorf("got %d bytes, %.100q", len(got.Error), got.Error)
			}
			if len(sockets.connections) != 0 {
				t.Error("there is a connection")
			}
		})
	}
}

func TestASubprotocolIsOneOfThoseThatWereAskedFor(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		asked, chosen string
		want          string // in the error
	}{
		"the only one":            {"mqtt", "mqtt", ""},
		"one of several":          {"mqtt,  graphql-ws ,stomp", "graphql-ws", ""},
		"none":                    {"mqtt", "", ""},
		"another":                 {"mqtt, stomp", "chat", `the server chose the subprotocol "chat", which was not asked for: Sec-Websocket-Protocol has "mqtt, stomp"`},
		"one in another spelling": {"mqtt", "MQTT", "was not asked for"},
		"all of them":             {"mqtt, stomp", "mqtt, stomp", "was not asked for"},
	} {
		t.Run(name, func(t *testing.T) {
			url := serveRaw(t, func(p *peer) {
				if c.chosen == "" {
					p.accept()
				} else {
					p.accept("Sec-WebSocket-Protocol: " + c.chosen)
				}
				p.listen()
			})
			service, sockets := newService(t, anywhere())
			got := connect(t, service, &api.ConnectRequest{Url: url, ConnectionId: "c", Headers: map[string]string{"Sec-WebSocket-Protocol": c.asked}})
			if (got.Error == "") != (c.want == "") || !strings.Contains(got.Error, c.want) || (len(sockets.connections) == 1) != (c.want == "") {
				t.Errorf("got %v, %d connections, want %q", got, len(sockets.connections), c.want)
			}
			for _, open := range sockets.connections {
				open.Abort()
			}
		})
	}
}

func TestAHandshakeEndsInTime(t *testing.T) {
	t.Parallel()
	for name, talk := range map[string]func(*peer){
		"without an answer":    func(p *peer) { <-p.ended },
		"within an answer":     func(p *peer) { p.say([]byte("HTTP/1.1 101 Switching Proto")); <-p.ended },
		"within a TLS one":     func(p *peer) { <-p.ended },
		"after a half TLS one": func(p *peer) { p.say([]byte{22, 3, 3}); <-p.ended },
	} {
		t.Run(name, func(t *testing.T) {
			url := serveRaw(t, talk)
			if strings.Contains(name, "TLS") {
				url = strings.Replace(url, "ws:", "wss:", 1)
			}
			config := anywhere()
			config.DialTimeout = 50 * time.Millisecond
			service, _ := newService(t, config)
			if got := connect(t, service, &api.ConnectRequest{Url: url}); got.Error != failed+"context deadline exceeded" {
				t.Errorf("the dial's own time: got %q", got.Error)
			}
			reached := make(chan struct{}, 1)
			url = strings.Replace(serveRaw(t, func(p *peer) { reached <- struct{}{}; talk(p) }), "ws:", url[:strings.Index(url, ":")+1], 1)
			service, _ = newService(t, anywhere())
			ctx, cancel := context.WithCancel(t.Context())
			go func() { <-reached; cancel() }()
			if got, _ := service.Connect(ctx, &api.ConnectRequest{Url: url}); got.Error != failed+"context canceled" {
				t.Errorf("the call that is over: got %q", got.Error)
			}
		})
	}
}

func TestAnAnswerWithoutItsBodyIsAnAnswer(t *testing.T) {
	t.Parallel()
	config := anywhere()
	config.DialTimeout = 200 * time.Millisecond // the body never comes
	service, _ := newService(t, config)
	url := serveRaw(t, func(p *peer) {
		p.say([]byte("HTTP/1.1 404 x\r\nContent-Length: 9\r\n\r\n"))
		<-p.ended
	})
	if got := connect(t, service, &api.ConnectRequest{Url: url}); got.Error != failed+"websocket: bad handshake: the server answered 404 Not Found" {
		t.Errorf("got %q", got.Error)
	}
}

// waiting is a resolver that answers when its context ends.
type waiting struct{}

func (waiting) LookupNetIP(ctx context.Context, _, _ string) ([]netip.Addr, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestTheLookUpOfANameEndsInTime(t *testing.T) {
	t.Parallel()
	config := anywhere()
	config.DialTimeout, config.Resolver = 20*time.Millisecond, waiting{}
	service, _ := newService(t, config)
	if got := connect(t, service, &api.ConnectRequest{Url: "ws://slow.example"}); got.Error != failed+"context deadline exceeded" {
		t.Errorf("got %q", got.Error)
	}
}

func TestTheEndOfTheCallIsNotTheEndOfTheConnection(t *testing.T) {
	t.Parallel()
	config := anywhere()
	config.DialTimeout = time.Second
	service, sockets := newService(t, config)
	ctx, cancel := context.WithCancel(t.Context())
	if got, _ := service.Connect(ctx, &api.ConnectRequest{Url: serve(t, echo), ConnectionId: "c"}); got.Error != "" {
		t.Fatal(got.Error)
	}
	cancel()
	conn := run(t, sockets.connections["c"].Connection)
	if err := conn.Send(t.Context(), websocket.Message{Data: []byte("hello")}); err != nil {
		t.Error(err)
	}
	await(t, "echo", conn.messages)
}

func TestAServerThatIsNotThereIsReported(t *testing.T) {
	t.Parallel()
	service, _ := newService(t, anywhere())
	if got := connect(t, service, &api.ConnectRequest{Url: "ws://127.0.0.1:1"}); got.Error != failed+"connect: connection refused" {
		t.Errorf("got %q", got.Error)
	}
	config := anywhere()
	config.Resolver = names{}
	service, _ = newService(t, config)
	if got := connect(t, service, &api.ConnectRequest{Url: "ws://missing.example"}); !strings.HasPrefix(got.Error, failed) || !strings.Contains(got.Error, "no such host") {
		t.Errorf("got %q", got.Error)
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	var hits atomic.Int32
	target := serve(t, func(*gorilla.Conn, *http.Request) { hits.Add(1) })
	redirecting := httptest.NewServer(http.RedirectHandler(target, http.StatusTemporaryRedirect))
	t.Cleanup(redirecting.Close)
	service, _ := newService(t, anywhere())
	got := connect(t, service, &api.ConnectRequest{Url: "ws" + strings.TrimPrefix(redirecting.URL, "http")})
	if !strings.Contains(got.Error, "the server answered 307 Temporary Redirect") || hits.Load() != 0 {
		t.Errorf("got %q, and %d connections to where it leads", got.Error, hits.Load())
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(upgrade(t, echo))
	t.Cleanup(server.Close)
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	config := anywhere()
	config.Resolver = names{"example.com": "127.0.0.1", "other.example": "127.0.0.1"} // the first is in the certificate
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	for _, test := range []struct {
		name, host string
		trusting   bool
		want       string
	}{
		{"an unknown authority", "example.com", false, "unknown authority"},
		{"another name", "other.example", true, "not other.example"},
		{"the name in the certificate", "EXAMPLE.com", true, ""},
		{"the address in the certificate", "127.0.0.1", true, ""},
	} {
		service, sockets := newService(t, config)
		if test.trusting {
			service.Trust(roots)
		}
		got := connect(t, service, &api.ConnectRequest{Url: "wss://" + test.host + ":" + port, ConnectionId: "c"})
		if (got.Error == "") != (test.want == "") || !strings.Contains(got.Error, test.want) {
			t.Errorf("%s: got %q", test.name, got.Error)
		}
		if test.want != "" {
			continue
		}
		conn := run(t, sockets.connections["c"].Connection)
		if err := conn.Send(t.Context(), websocket.Message{Binary: true, Data: make([]byte, 1_000_000)}); err != nil {
			t.Error(err)
		}
		if echoed := await(t, "echo", conn.messages); len(echoed.Data) != 1_000_000 {
			t.Errorf("got %d bytes", len(echoed.Data))
		}
		if err := conn.Close(1000, ""); err != nil {
			t.Error(err)
		}
		if end := await(t, "end", conn.end); !end.Own || end.Err != nil {
			t.Errorf("got %+v", end)
		}
	}
	service, _ := newService(t, config)
	if got := connect(t, service, &api.ConnectRequest{Url: "ws://example.com:" + port}); !strings.Contains(got.Error, "the server answered 400 Bad Request") {
		t.Errorf("without TLS: got %q", got.Error)
	}
}
