package floods

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strconv"
	"sync"
	"time"
)

// flood is one kind of messages to one subject.
type flood struct {
	what    string // for the report
	subject string
	size    int  // of a message, in bytes
	headers bool // short distinct headers; otherwise a body
}

// message is what is written again and again.
func (f flood) message() []byte {
	var b bytes.Buffer
	if !f.headers {
		fmt.Fprintf(&b, "PUB %s %d\r\n", f.subject, f.size)
		b.Write(bytes.Repeat([]byte("x"), f.size))
		b.WriteString("\r\n")
		return b.Bytes()
	}
	var h bytes.Buffer
	h.WriteString("NATS/1.0\r\n")
	for i := 0; h.Len() < f.size-40; i++ {
		h.WriteString(strconv.FormatInt(int64(i), 36) + ":\r\n")
	}
	h.WriteString("\r\n")
	fmt.Fprintf(&b, "HPUB %s %d %d\r\n%s\r\n", f.subject, h.Len(), h.Len(), h.Bytes())
	return b.Bytes()
}

// pour sends the message to the server at address until ctx is over, no more than rate
// bytes a second, and returns how many bytes that were. It speaks the protocol itself: a
// library would be what is measured.
func (f flood) pour(ctx context.Context, server string, rate float64) (sent int64, err error) {
	u, err := url.Parse(server)
	if err != nil {
		return 0, err
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		return 0, err
	}
	var reading sync.WaitGroup
	reading.Go(func() { answerPings(conn) })
	defer reading.Wait()
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.SetWriteDeadline(time.Now()) })()
	if _, err := io.WriteString(conn, "CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":false}\r\n"); err != nil {
		return 0, err
	}
	message, start := f.message(), time.Now()
	for ctx.Err() == nil {
		n, err := conn.Write(message)
		sent += int64(n)
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return sent, err
		}
		ahead := time.NewTimer(time.Until(start.Add(time.Duration(float64(sent) / rate * float64(time.Second)))))
		select {
		case <-ahead.C:
		case <-ctx.Done():
			ahead.Stop()
		}
	}
	return sent, nil
}

// answerPings keeps the server from giving the connection up. (The message itself can have
// no PING: what comes is the server's.)
func answerPings(conn net.Conn) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := conn.Read(buffer)
		if err != nil {
			return
		}
		if bytes.Contains(buffer[:n], []byte("PING\r\n")) {
			if _, err := io.WriteString(conn, "PONG\r\n"); err != nil {
				return
			}
		}
	}
}
