package testenv

import (
	"bufio"
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// NATSLink is a Link to a NATS server that shows a test what clients publish, and can
// keep it, or what the server answers.
type NATSLink struct {
	*Link
	published func(l *NATSLink, subject string) bool

	mu   sync.Mutex
	gate chan struct{} // what the server says waits until it is closed
	// refused is how the names of connections end that are broken, and named are those
	// that there are.
	refused []string
	named   map[io.Closer]string
}

// StartNATSLink leads to the server at a URL until the test ends. published is asked
// about each message of a client, in order, before it is passed on; false loses it. What
// the client says next waits until published returns.
func StartNATSLink(t testing.TB, url string, published func(l *NATSLink, subject string) bool) *NATSLink {
	t.Helper()
	l := &NATSLink{published: published, gate: make(chan struct{}), named: make(map[io.Closer]string)}
	close(l.gate)
	l.Link = startLink(t, strings.TrimPrefix(url, "nats://"), l.pass, l.answer)
	t.Cleanup(l.Release)
	return l
}

// URL is where clients reach the server through it.
func (l *NATSLink) URL() string { return "nats://" + l.Address() }

// Hold keeps what the server says until Release.
func (l *NATSLink) Hold() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gate = make(chan struct{})
}

// Release passes on what the server has said since Hold, and what it says from now on.
func (l *NATSLink) Release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.gate:
	default:
		close(l.gate)
	}
}

// Refuse breaks the connections whose names end so, and those that clients make with such
// names from now on. Without endings it breaks none any more.
func (l *NATSLink) Refuse(endings ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refused = endings
	for conn, name := range l.named {
		if l.refuses(name) {
			_ = conn.Close()
		}
	}
}

// refuses says whether connections of a name are broken; mu is held.
func (l *NATSLink) refuses(name string) bool {
	return slices.ContainsFunc(l.refused, func(ending string) bool { return strings.HasSuffix(name, ending) })
}

// names notes the name of a connection, and says whether it may go on.
func (l *NATSLink) names(conn io.Reader, connect string) bool {
	var options struct{ Name string }
	if err := json.Unmarshal([]byte(connect), &options); err != nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.named[conn.(io.Closer)] = options.Name
	return !l.refuses(options.Name)
}

func (l *NATSLink) unname(conn io.Reader) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.named, conn.(io.Closer))
}

// answer passes on what the server says.
func (l *NATSLink) answer(to io.Writer, from io.Reader) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		l.mu.Lock()
		gate := l.gate
		l.mu.Unlock()
		<-gate
		if _, failed := to.Write(buffer[:n]); err != nil || failed != nil {
			return
		}
	}
}

// pass passes on what a client says, by the lines of the protocol: PUB and HPUB have
// the subject first, the size of what follows last.
func (l *NATSLink) pass(to io.Writer, from io.Reader) {
	reader := bufio.NewReader(from)
	defer l.unname(from)
	for {
		said, err := reader.ReadBytes('\n')
		if err != nil {
			return
		}
		if options, is := strings.CutPrefix(string(said), "CONNECT "); is && !l.names(from, options) {
			return
		}
		fields := strings.Fields(string(said))
		passes := true
		if len(fields) > 2 && (fields[0] == "PUB" || fields[0] == "HPUB") {
			size, err := strconv.Atoi(fields[len(fields)-1])
			if err != nil {
				return
			}
			body := make([]byte, size+len("\r\n"))
			if _, err := io.ReadFull(reader, body); err != nil {
				return
			}
			said = append(said, body...)
			passes = l.published(l, fields[1])
		}
		if !passes {
			continue
		}
		if _, err := to.Write(said); err != nil {
			return
		}
	}
}
