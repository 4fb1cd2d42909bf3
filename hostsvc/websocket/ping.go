package websocket

import (
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// silentIntervals is for how many ping intervals a server may be silent.
const silentIntervals = 3

// pings is the goroutine that pings the server of a connection.
type pings struct {
	stopped chan struct{}
	running sync.WaitGroup
}

func (c *Connection) startPings() *pings {
	p := &pings{stopped: make(chan struct{})}
	p.running.Go(func() {
		ticker := time.NewTicker(c.pingInterval)
		defer ticker.Stop()
		for {
			select {
			case <-p.stopped:
				return
			case <-ticker.C:
			}
			if err := c.control(websocket.PingMessage, nil); err != nil {
				return
			}
		}
	})
	return p
}

// stop returns when the goroutine has ended.
func (p *pings) stop() {
	close(p.stopped)
	p.running.Wait()
}

// heard gives the server its time again. It is called by the reader alone, and before
// every read, so the time that a message is handled does not count.
func (c *Connection) heard() {
	_ = c.ws.SetReadDeadline(time.Now().Add(c.silence())) // fails once closed, as the read will
}

func (c *Connection) silence() time.Duration { return silentIntervals * c.pingInterval }

// pinged is called by the reader for a ping.
func (c *Connection) pinged(data string) error {
	c.heard()
	_ = c.control(websocket.PongMessage, []byte(data)) // a failure ends the connection, and reading with it
	return nil
}

// ponged is called by the reader for a pong.
func (c *Connection) ponged(string) error {
	c.heard()
	return nil
}

// control sends a ping or a pong. One that cannot be sent ends the connection; after
// a close frame none is needed.
func (c *Connection) control(kind int, data []byte) error {
	err := c.ws.WriteControl(kind, data, time.Now().Add(c.writeTimeout))
	if err != nil && !c.ending() {
		c.fail(c.writeError(err))
	}
	return err
}
