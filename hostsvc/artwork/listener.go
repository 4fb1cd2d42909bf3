package artwork

import (
	"net"
	"sync"
)

// bounded is a listener that accepts no connection while as many as it may have are
// open. Those that come meanwhile wait in the system's queue.
type bounded struct {
	*net.TCPListener
	slots  chan struct{} // one for each open connection
	closed chan struct{}
	close  func() error
}

func newBounded(listener *net.TCPListener, most int) *bounded {
	b := &bounded{TCPListener: listener, slots: make(chan struct{}, most), closed: make(chan struct{})}
	b.close = sync.OnceValue(func() error {
		close(b.closed)
		return listener.Close()
	})
	return b
}

// Accept waits for a connection, and before that for one to be closed if need be.
func (b *bounded) Accept() (net.Conn, error) {
	select {
	case b.slots <- struct{}{}:
	case <-b.closed:
		return nil, net.ErrClosed
	}
	conn, err := b.AcceptTCP()
	if err != nil {
		<-b.slots
		return nil, err
	}
	return &counted{TCPConn: conn, release: sync.OnceFunc(func() { <-b.slots })}, nil
}

// Close ends Accept. The connections stay.
func (b *bounded) Close() error { return b.close() }

// counted embeds what net/http needs to close a connection in good order.
type counted struct {
	*net.TCPConn
	release func()
}

func (c *counted) Close() error {
	err := c.TCPConn.Close()
	c.release()
	return err
}
