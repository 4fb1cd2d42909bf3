package gateway_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/subjects"
)

// dial connects to the gateway and sends bytes as they are.
func (h *house) dial(says string) *bufio.Reader {
	h.t.Helper()
	conn, err := (&net.Dialer{}).DialContext(h.t.Context(), "tcp", h.replica.HTTPAddress())
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, says); err != nil {
		h.t.Fatal(err)
	}
	return bufio.NewReader(conn)
}

// all reads the statuses of all answers until the connection is closed. A server that closes it before it has read all may take an
// answer back.
func all(t *testing.T, from *bufio.Reader) (statuses []int) {
	t.Helper()
	for {
		response, err := http.ReadResponse(from, nil)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("the connection stays open after %v", statuses)
		}
		if err != nil {
			return statuses
		}
		statuses = append(statuses, response.StatusCode)
		_, err = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if err != nil {
			return statuses
		}
	}
}

// head is the beginning of a call with a token.
func (h *house) head(headers ...string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n%s", path("echo", biography), h.token, strings.Join(append(headers, ""), "\r\n"))
}

// What a proxy may take for the body of one request is never another request.
func TestNoRequestIsSmuggledBehindAnother(t *testing.T) {
	t.Parallel()
	h := open(t, func(c *config.Config) { add(t, c, "echo", echo, "MetadataAgent") })
	// A second one behind it, which would be answered with 405.
	behind := fmt.Sprintf("DELETE %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n", subjects.HTTPPlugins, h.token)
	for name, says := range map[string]string{
		"a length and chunks":              h.head("Content-Length: 300", "Transfer-Encoding: chunked") + "\r\n2\r\n{}\r\n0\r\n\r\n" + behind,
		"chunks and a length":              h.head("Transfer-Encoding: chunked", "Content-Length: 5") + "\r\n2\r\n{}\r\n0\r\n\r\n" + behind,
		"chunks alone":                     h.head("Transfer-Encoding: chunked") + "\r\n2\r\n{}\r\n0\r\n\r\n" + behind,
		"two lengths":                      h.head("Content-Length: 2", "Content-Length: 300") + "\r\n{}" + behind,
		"a list of lengths":                h.head("Content-Length: 2, 300") + "\r\n{}" + behind,
		"a length with a sign":             h.head("Content-Length: +2") + "\r\n{}" + behind,
		"a length in hex":                  h.head("Content-Length: 0x2") + "\r\n{}" + behind,
		"a space before the colon":         h.head("Content-Length : 2") + "\r\n{}" + behind,
		"an encoding that is unknown":      h.head("Transfer-Encoding: xchunked") + "\r\n2\r\n{}\r\n0\r\n\r\n" + behind,
		"two encodings":                    h.head("Transfer-Encoding: chunked", "Transfer-Encoding: identity") + "\r\n2\r\n{}\r\n0\r\n\r\n" + behind,
		"an encoding in odd letters":       h.head("Transfer-Encoding: \x0bchunked") + "\r\n2\r\n{}\r\n0\r\n\r\n" + behind,
		"a chunk with a bad length":        h.head("Transfer-Encoding: chunked") + "\r\nzz\r\n{}\r\n0\r\n\r\n" + behind,
		"a chunk that is too long":         h.head("Transfer-Encoding: chunked") + "\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n" + behind,
		"a wrong token before a body":      strings.Replace(h.head("Content-Length: 300"), h.token, "x", 1) + "\r\n" + behind,
		"a path that is not there, a body": strings.Replace(h.head("Content-Length: 300"), "/v1/", "/v0/", 1) + "\r\n" + behind,
		"two hosts":                        h.head("Host: elsewhere", "Content-Length: 2") + "\r\n{}" + behind,
		"no host":                          strings.Replace(h.head("Content-Length: 2"), "Host: localhost\r\n", "", 1) + "\r\n{}" + behind,
		"HTTP/0.9":                         "GET /v1/plugins\r\n\r\n" + behind,
		"a line feed in the path":          strings.Replace(h.head("Content-Length: 2"), "/v1/", "/v1/\n", 1) + "\r\n{}" + behind,
		"a header without a colon":         h.head("Content-Length 2") + "\r\n{}" + behind,
		"a null in a header":               h.head("X: a\x00b", "Content-Length: 2") + "\r\n{}" + behind,
	} {
		t.Run(name, func(t *testing.T) {
			if got := all(t, h.dial(says)); len(got) > 1 {
				t.Errorf("%v: the second one was answered as well", got)
			}
		})
	}
}

func TestSeveralRequestsAreAnsweredOnAConnection(t *testing.T) {
	t.Parallel()
	h := open(t, func(c *config.Config) { add(t, c, "echo", echo, "MetadataAgent") })
	one := h.head("Content-Length: 2") + "\r\n{}"
	last := h.head("Content-Length: 2", "Connection: close") + "\r\n{}"
	if got := fmt.Sprint(all(t, h.dial(one+one+last))); got != "[200 200 200]" {
		t.Error(got)
	}
}

func TestABodyThatDoesNotComeIsNotWaitedForLong(t *testing.T) {
	t.Parallel()
	h := open(t, func(c *config.Config) { add(t, c, "echo", echo, "MetadataAgent") })
	for name, c := range map[string]struct {
		says   string
		status int
	}{
		"without a token, the answer is there at once": {strings.Replace(h.head("Content-Length: 1000000"), h.token, "x", 1) + "\r\n{", http.StatusUnauthorized},
		"a body that is too long, too":                 {h.head("Content-Length: 1000000000") + "\r\n{", http.StatusRequestEntityTooLarge},
		"and so is that to a bad header":               {h.head("Pluginhost-Timeout: soon", "Content-Length: 1000000") + "\r\n{", http.StatusBadRequest},
		"a body that stops":                            {h.head("Content-Length: 1000") + "\r\n{", http.StatusServiceUnavailable},
		"a chunk that stops":                           {h.head("Transfer-Encoding: chunked") + "\r\n3e8\r\n{", http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := all(t, h.dial(c.says)); len(got) != 1 || got[0] != c.status {
				t.Errorf("got %v, want %d", got, c.status)
			}
		})
	}
}

func TestHeadersAreBounded(t *testing.T) {
	t.Parallel()
	h := open(t, func(*config.Config) {})
	if got := all(t, h.dial(h.head("X: "+strings.Repeat("x", 100_000))+"\r\n")); len(got) != 1 || got[0] != http.StatusRequestHeaderFieldsTooLarge {
		t.Error(got)
	}
}

func TestHTTP2IsSpokenWithoutTLS(t *testing.T) {
	t.Parallel()
	h := open(t, func(c *config.Config) { add(t, c, "echo", echo, "MetadataAgent") })
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(transport.CloseIdleConnections)
	h.http = &http.Client{Transport: transport, Timeout: patience}
	for _, r := range everywhere("echo") {
		if got := h.ask(r); got.status >= 500 {
			t.Errorf("%s: %d %s", r.path, got.status, got.body)
		}
	}
	if got := h.ask(request{path: path("echo", biography), kind: asJSON, body: `{"id":"x"}`}); got.body != `{"biography":"x"}` {
		t.Errorf("%d %s", got.status, got.body)
	}
}
