package plugintest

import (
	"net"
	"sync"
)

// line is the plugin's end of a wire, which can fail.
type line struct {
	net.Conn

	mu      sync.Mutex
	failure error
}

// Read fails with the error that the wire was broken with.
func (l *line) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.failure != nil {
			err = l.failure
		}
	}
	return n, err
}

func (l *line) fail(why error) {
	l.mu.Lock()
	l.failure = why
	l.mu.Unlock()
	_ = l.Close()
}
