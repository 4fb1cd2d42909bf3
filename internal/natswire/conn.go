package natswire

import "net"

// conn is a connection to a NATS server with bounded headers.
type conn struct {
	net.Conn
	filter filter
	failed error  // what the next Read returns
	small  []byte // read for a caller with too small a buffer
	left   []byte // what of that is still to be read
}

// bound returns the connection with bounded headers. Of c, no part of a line may have been
// read.
func bound(c net.Conn) net.Conn { return &conn{Conn: c} }

// Read implements net.Conn. nats.go's buffer is always large enough to be filtered in
// place.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.left) == 0 && len(p) > max(minBuffer, len(c.filter.held)) {
		return c.read(p)
	}
	if len(c.left) == 0 {
		c.small = make([]byte, max(2*minBuffer, len(c.filter.held)+1))
		n, err := c.read(c.small)
		if err != nil {
			return 0, err
		}
		c.left = c.small[:n]
	}
	n := copy(p, c.left)
	c.left = c.left[n:]
	return n, nil
}

// read is Read with a buffer that can be filtered in place.
func (c *conn) read(p []byte) (int, error) {
	f := &c.filter
	for {
		if n := copy(p, f.notice); n > 0 {
			f.notice = f.notice[:0]
			return n, nil
		}
		n := copy(p, f.held)
		if !f.whole {
			if err := c.failed; err != nil {
				c.failed = nil
				return 0, err
			}
			var more int
			if more, c.failed = c.Conn.Read(p[n:]); more == 0 {
				continue
			}
			n += more
		}
		n = f.bound(p[:n])
		if f.err != nil {
			c.failed = f.err
		}
		if n > 0 {
			return n, nil
		}
	}
}
