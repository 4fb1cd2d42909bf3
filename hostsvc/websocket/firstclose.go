package websocket

import "encoding/binary"

// maxFrameHeader is how long the header of a frame is at most, in bytes.
const maxFrameHeader = 14

// firstClose looks at what a server sends, from the first byte of its handshake on, for the
// length of its first close frame: the library takes a frame with half a code for one without.
// It knows as much of the protocol as it takes to step from frame to frame (RFC 6455, 5.2).
type firstClose struct {
	begun bool // the answer to the handshake is over
	line  int  // bytes of its current line, without the line's end
	bare  bool // all of them are one carriage return

	header [maxFrameHeader]byte
	have   int    // bytes of header
	left   uint64 // bytes of the payload that are still to come
	found  bool
	length uint64 // of the close frame, if found
}

// isHalf says that the first close frame has half a code. What is asked when the library has
// read the frame has been seen by then.
func (f *firstClose) isHalf() bool { return f.found && f.length == 1 }

// see is told what came next.
func (f *firstClose) see(data []byte) {
	for len(data) > 0 && !f.found {
		switch {
		case !f.begun:
			f.seeHandshake(data[0])
			data = data[1:]
		case f.left > 0:
			n := min(f.left, uint64(len(data)))
			f.left -= n
			data = data[n:]
		default:
			f.seeHeader(data[0])
			data = data[1:]
		}
	}
}

// seeHandshake looks for the empty line at the end of the answer.
func (f *firstClose) seeHandshake(b byte) {
	if b == '\n' {
		f.begun = f.line == 0 || f.bare
		f.line, f.bare = 0, false
		return
	}
	f.line++
	f.bare = f.line == 1 && b == '\r'
}

func (f *firstClose) seeHeader(b byte) {
	f.header[f.have] = b
	f.have++
	if f.have < 2 {
		return
	}
	size, length := 2, uint64(f.header[1]&0x7f)
	switch length {
	case 126:
		size = 4
	case 127:
		size = 10
	}
	masked := 0
	if f.header[1]&0x80 != 0 { // which no server may do; the library says so
		masked = 4
	}
	if f.have < size+masked {
		return
	}
	switch size {
	case 4:
		length = uint64(binary.BigEndian.Uint16(f.header[2:]))
	case 10:
		length = binary.BigEndian.Uint64(f.header[2:])
	}
	f.have, f.left = 0, length
	if f.header[0]&0xf == closeOpcode {
		f.found, f.length = true, length
	}
}

// closeOpcode is the opcode of close frames.
const closeOpcode = 0x8
