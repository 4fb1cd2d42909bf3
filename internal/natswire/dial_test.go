package natswire_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/pluginhost/pluginhost/internal/natswire"
	"github.com/pluginhost/pluginhost/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const wait = 10 * time.Second

// certificate makes one for a server at localhost and 127.0.0.1, and returns the file of
// what vouches for it.
func certificate(t *testing.T) (config *tls.Config, ca string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	body, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: body}), 0o600); err != nil {
		t.Fatal(err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{body}, PrivateKey: key}}}, ca
}

// connect connects with bounded headers until the test ends.
func connect(t *testing.T, url string, options ...nats.Option) *nats.Conn {
	t.Helper()
	conn, err := natswire.Connect(url, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

// manyHeaders is a header for every number below n.
func manyHeaders(n int) nats.Header {
	header := nats.Header{}
	for i := range n {
		header[strconv.Itoa(i)] = []string{"x"}
	}
	return header
}

// bounds has sender send messages within and over the bounds to conn, one of them of
// several megabytes, and checks what comes.
func bounds(t *testing.T, conn, sender *nats.Conn) {
	t.Helper()
	messages, err := conn.SubscribeSync("bounded")
	if err == nil {
		err = conn.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	payload := []byte(strings.Repeat("p", 500_000))
	for _, c := range []struct {
		header nats.Header
		reason string // of the refusal, or empty
	}{
		{nil, ""},
		{manyHeaders(3), ""},
		{manyHeaders(natswire.MaxHeaders), ""},
		{manyHeaders(natswire.MaxHeaders + 1), "65 headers"},
		{nats.Header{"x": {strings.Repeat("y", natswire.MaxHeaderBytes-30)}}, ""},
		{nats.Header{"x": {strings.Repeat("y", natswire.MaxHeaderBytes)}}, "bytes of headers"},
		{manyHeaders(30_000), "bytes of headers"},
		{manyHeaders(1), ""},
	} {
		msg := &nats.Msg{Subject: "bounded", Reply: "answer.here", Header: c.header, Data: payload}
		if err := sender.PublishMsg(msg); err != nil {
			t.Fatal(err)
		}
		got, err := messages.NextMsg(wait)
		if err != nil {
			t.Fatalf("%d headers: %v", len(c.header), err)
		}
		reason, refused := natswire.Refused(got.Header)
		switch {
		case got.Subject != msg.Subject || got.Reply != msg.Reply:
			t.Errorf("%d headers: came on %s, to be answered on %s", len(c.header), got.Subject, got.Reply)
		case refused != (c.reason != "") || !strings.Contains(reason, c.reason):
			t.Errorf("%d headers: refused %t, %q", len(c.header), refused, reason)
		case refused && (len(got.Data) > 0 || len(got.Header) != 1):
			t.Errorf("%d headers: a refused message comes with %d bytes and %v", len(c.header), len(got.Data), got.Header)
		case !refused && (string(got.Data) != string(payload) || len(got.Header) != len(c.header)):
			t.Errorf("%d headers: %d bytes and %d headers came", len(c.header), len(got.Data), len(got.Header))
		}
	}
}

func TestHeadersAreBoundedOverEveryTransport(t *testing.T) {
	config, ca := certificate(t)
	withTLS := func(o *server.Options) { o.TLS, o.TLSConfig = true, config }
	webSocket := func(tls *tls.Config) func(*server.Options) {
		return func(o *server.Options) {
			o.Websocket = server.WebsocketOpts{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoTLS: tls == nil, TLSConfig: tls}
		}
	}
	tcp := func(scheme string) func(*server.Server) string {
		return func(s *server.Server) string {
			return fmt.Sprintf("%s://localhost:%d", scheme, s.Addr().(*net.TCPAddr).Port)
		}
	}
	web := func(scheme string) func(*server.Server) string {
		return func(s *server.Server) string {
			_, port, _ := net.SplitHostPort(strings.TrimPrefix(s.WebsocketURL(), scheme+"://"))
			return scheme + "://localhost:" + port
		}
	}
	for name, c := range map[string]struct {
		server  func(*server.Options)
		url     func(*server.Server) string
		options []nats.Option
	}{
		"TCP":                        {func(*server.Options) {}, tcp("nats"), nil},
		"TCP without a scheme":       {func(*server.Options) {}, func(s *server.Server) string { return s.Addr().String() }, nil},
		"TLS that the server wants":  {withTLS, tcp("nats"), []nats.Option{nats.RootCAs(ca)}},
		"TLS that the URL wants":     {withTLS, tcp("tls"), []nats.Option{nats.RootCAs(ca)}},
		"TLS before the first line":  {func(o *server.Options) { withTLS(o); o.TLSHandshakeFirst = true }, tcp("tls"), []nats.Option{nats.RootCAs(ca), nats.TLSHandshakeFirst()}},
		"TLS that only the URL asks": {func(o *server.Options) { withTLS(o); o.AllowNonTLS = true }, tcp("tls"), []nats.Option{nats.RootCAs(ca)}},
		"TLS that nobody asks for":   {func(o *server.Options) { withTLS(o); o.AllowNonTLS = true }, tcp("nats"), nil},
		"WebSocket":                  {webSocket(nil), web("ws"), nil},
		"WebSocket over TLS":         {webSocket(config), web("wss"), []nats.Option{nats.RootCAs(ca)}},
		"a token in the URL": {func(o *server.Options) { o.Authorization = "secret" }, func(s *server.Server) string {
			return "nats://secret@" + s.Addr().String()
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := testenv.Server(t, c.server)
			url := c.url(s)
			conn := connect(t, url, c.options...)
			sender, err := nats.Connect(url, c.options...)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(sender.Close)
			bounds(t, conn, sender)
		})
	}
	t.Run("a server in this process", func(t *testing.T) {
		s := testenv.Server(t)
		bounds(t, connect(t, "", nats.InProcessServer(s)), testenv.Connect(t, s.ClientURL()))
	})
}

func TestConnectionThatCannotBeMadeFailsAsThatOfTheLibrary(t *testing.T) {
	config, ca := certificate(t)
	_, other := certificate(t)
	encrypted := testenv.NATS(t, func(o *server.Options) { o.TLS, o.TLSConfig = true, config })
	plain := testenv.NATS(t)
	for name, c := range map[string]struct {
		url     string
		options []nats.Option
		want    error
	}{
		"nobody listens":                      {"nats://127.0.0.1:1", nil, nats.ErrNoServers},
		"a certificate of somebody else":      {"nats://localhost:" + port(encrypted), []nats.Option{nats.RootCAs(other)}, nats.ErrTLS},
		"a certificate for another name":      {"nats://127.0.0.1:" + port(encrypted), []nats.Option{nats.RootCAs(ca)}, nats.ErrTLS},
		"TLS of a server that has none":       {"tls://localhost:" + port(plain), nil, nats.ErrSecureConnWanted},
		"WebSocket and TCP":                   {"ws://127.0.0.1:1,nats://127.0.0.1:2", nil, nats.ErrMixingWebsocketSchemes},
		"a file of certificates that is none": {plain, []nats.Option{nats.RootCAs(os.DevNull)}, nil},
	} {
		conn, err := natswire.Connect(c.url, c.options...)
		if err == nil {
			conn.Close()
		}
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func port(url string) string {
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(strings.TrimPrefix(url, "nats://"), "tls://"))
	return port
}

func TestHeadersAreBoundedOnceTheServerIsBack(t *testing.T) {
	s := testenv.Restartable(t)
	back := make(chan struct{}, 1)
	conn := connect(t, s.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond), nats.ReconnectHandler(func(*nats.Conn) { back <- struct{}{} }))
	bounds(t, conn, testenv.Connect(t, s.URL()))
	s.Stop()
	s.Start()
	select {
	case <-back:
	case <-time.After(wait):
		t.Fatal("the connection does not come back")
	}
	bounds(t, conn, testenv.Connect(t, s.URL()))
}
