package websocket

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/gorilla/websocket"

	"github.com/pluginhost/pluginhost/hostsvc/internal/egress"
	"github.com/pluginhost/pluginhost/sdk/excerpt"
)

// errExtension is an answer to a handshake that nobody gave cause to. Compression by
// it would have messages arrive that no limit was applied to.
var errExtension = errors.New("the server uses an extension that it was not asked for")

// protocolHeader has the subprotocols that a client offers, and the one that a server chose.
const protocolHeader = "Sec-Websocket-Protocol"

// writeBuffer is the largest frame that is sent, in bytes; longer messages are sent in
// several.
const writeBuffer = 32 << 10

// newDialer makes the part of the dialer that all dials share. It has no proxy and
// asks for no compression. Connections have a write buffer while they write only.
func newDialer() websocket.Dialer {
	return websocket.Dialer{
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
		WriteBufferPool: new(sync.Pool),
		WriteBufferSize: writeBuffer,
	}
}

// dial opens a connection to a URL that check returned. The caller runs or aborts it.
// The error is a *netguard.BlockedError where the address may not be dialled, and a
// context error where the time was over.
func (s *Service) dial(ctx context.Context, target *url.URL, header http.Header) (*Connection, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.DialTimeout)
	defer cancel()

	var line handshake
	dialer := s.dialer
	dialer.NetDialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		return line.open(ctx, network, address, s.gate.Guard.DialContext)
	}
	dialer.NetDialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		return line.openTLS(ctx, network, address, s.gate.Guard.DialContext, s.dialer.TLSClientConfig)
	}
	if s.config.Dial != nil {
		dialer.NetDialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			return line.open(ctx, network, address, func(ctx context.Context, _, _ string) (net.Conn, error) {
				return s.config.Dial(ctx, target)
			})
		}
		dialer.NetDialTLSContext = dialer.NetDialContext
	}
	// The library ends by the deadline of ctx alone.
	release := context.AfterFunc(ctx, line.abort)
	ws, response, err := dialer.DialContext(ctx, target.String(), header)
	if response != nil {
		defer func() { _ = response.Body.Close() }()
	}
	if !release() && err == nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		err = checkAnswer(header, response.Header)
	}
	if err != nil {
		line.abort()
		return nil, dialError(ctx, response, err)
	}
	raw, first := line.ready()
	return newConnection(ws, raw, first, s.config), nil
}

// checkAnswer fails for what the library lets a server choose that nobody asked for.
func checkAnswer(asked, answered http.Header) error {
	if strings.Join(answered.Values("Sec-Websocket-Extensions"), "") != "" {
		return errExtension
	}
	chosen := strings.Join(answered.Values(protocolHeader), ", ")
	if chosen == "" {
		return nil
	}
	var offered []string
	for _, value := range asked.Values(protocolHeader) {
		for name := range strings.SplitSeq(value, ",") {
			offered = append(offered, strings.TrimSpace(name))
		}
	}
	switch {
	case slices.Contains(offered, chosen): // case counts (RFC 6455, 4.1)
		return nil
	case len(offered) == 0:
		return fmt.Errorf("the server chose the subprotocol %q, and none was asked for: send it in the header %s if you speak it", excerpt.Of([]byte(chosen)), protocolHeader)
	default:
		return fmt.Errorf("the server chose the subprotocol %q, which was not asked for: %s has %q", excerpt.Of([]byte(chosen)), protocolHeader, excerpt.Of([]byte(strings.Join(offered, ", "))))
	}
}

// reasonIn is how the body of a refusal begins, of which the library has kept 1 KiB; "" is that
// there is none.
func reasonIn(response *http.Response) string {
	body, _ := io.ReadAll(response.Body)
	if shown := excerpt.Of(body); shown != "" {
		return fmt.Sprintf(": %q", shown)
	}
	return ""
}

func dialError(ctx context.Context, response *http.Response, err error) error {
	switch {
	case egress.Refusal(err) != nil:
		return err
	case errors.Is(err, websocket.ErrBadHandshake) && response != nil: // also when the time was over within the body
		return fmt.Errorf("%w: the server answered %d %s%s", err, response.StatusCode, http.StatusText(response.StatusCode), reasonIn(response))
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, os.ErrDeadlineExceeded): // noticed before ctx did
		return context.DeadlineExceeded
	}
	return plain(err)
}
