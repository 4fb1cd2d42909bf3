package rewrite

import (
	"fmt"
	"strconv"
)

// reader reads one section. It never reads past the end, and after the first
// error it returns zeroes, so that callers need to look at err only before they
// use what they read and once a loop.
type reader struct {
	wasm    []byte // the whole module, so that offsets are those of the file
	pos     int    // the next byte
	end     int    // behind the last byte of the section
	section string
	item    string // what is being read, for errors, such as "function"
	index   int    // and which of them
	err     error
}

// fail keeps the first error.
func (r *reader) fail(at int, err error) {
	if r.err != nil {
		return
	}
	e := &Error{Section: r.section, Offset: at, Err: err}
	if r.item != "" {
		e.Item = r.item + " " + strconv.Itoa(r.index)
	}
	r.err = e
	r.pos = r.end
}

func (r *reader) left() int { return r.end - r.pos }

func (r *reader) byte() byte {
	if r.pos >= r.end {
		r.fail(r.pos, errShort)
		return 0
	}
	b := r.wasm[r.pos]
	r.pos++
	return b
}

// bytes returns the next n bytes, which are part of the module.
func (r *reader) bytes(n uint32) []byte {
	if uint64(n) > uint64(r.left()) {
		r.fail(r.pos, errShort)
		return nil
	}
	b := r.wasm[r.pos : r.pos+int(n) : r.pos+int(n)]
	r.pos += int(n)
	return b
}

// u32 reads an unsigned LEB128 number of at most five bytes.
func (r *reader) u32() uint32 {
	v, n, err := uint32At(r.wasm, r.pos, r.end)
	if err != nil {
		r.fail(r.pos, err)
		return 0
	}
	r.pos += n
	return v
}

// uint32At reads an unsigned LEB128 number of at most five bytes and says how
// many they were.
func uint32At(wasm []byte, pos, end int) (v uint32, n int, err error) {
	for shift := 0; shift < 35; shift += 7 {
		if pos+n >= end {
			return 0, 0, errShort
		}
		b := wasm[pos+n]
		n++
		v |= uint32(b&0x7f) << shift
		if b < 0x80 {
			if shift == 28 && b > 0x0f {
				return 0, 0, errTooLong
			}
			return v, n, nil
		}
	}
	return 0, 0, errTooLong
}

// sintAt reads a signed LEB128 number of the given bits, 32, 33 or 64, and says
// how many bytes it had.
func sintAt(wasm []byte, pos, end, bits int) (v int64, n int, err error) {
	for shift := 0; shift < bits; shift += 7 {
		if pos+n >= end {
			return 0, 0, errShort
		}
		b := wasm[pos+n]
		n++
		v |= int64(b&0x7f) << shift
		if b >= 0x80 {
			continue
		}
		if rest := bits - shift; rest < 7 {
			// The bits above the number's must all be its sign.
			if sign := int8(b<<1) >> rest; sign != 0 && sign != -1 {
				return 0, 0, errTooLong
			}
		}
		if shift += 7; shift < 64 && b&0x40 != 0 {
			v |= -1 << shift
		}
		return v, n, nil
	}
	return 0, 0, errTooLong
}

// sint reads a signed LEB128 number of the given bits.
func (r *reader) sint(bits int) int64 {
	v, n, err := sintAt(r.wasm, r.pos, r.end, bits)
	if err != nil {
		r.fail(r.pos, err)
		return 0
	}
	r.pos += n
	return v
}

// count reads how many entries follow, each of which has at least size bytes:
// what is claimed but cannot be there is refused before anybody makes room.
func (r *reader) count(size int) int {
	at := r.pos
	n := r.u32()
	if uint64(n)*uint64(size) > uint64(r.left()) {
		r.fail(at, fmt.Errorf("%d entries in %d bytes: %w", n, r.left(), ErrLimit))
		return 0
	}
	return int(n)
}

// done refuses what is left over and returns the first error.
func (r *reader) done() error {
	if r.err == nil && r.pos != r.end {
		r.item = ""
		r.fail(r.pos, errTrailing)
	}
	return r.err
}

func appendUint32(out []byte, v uint32) []byte {
	for v >= 0x80 {
		out = append(out, byte(v)|0x80)
		v >>= 7
	}
	return append(out, byte(v))
}

func appendInt64(out []byte, v int64) []byte {
	for {
		b := byte(v & 0x7f)
		v >>= 7
		if (v == 0 && b&0x40 == 0) || (v == -1 && b&0x40 != 0) {
			return append(out, b)
		}
		out = append(out, b|0x80)
	}
}

// sizeRoom is what reserveSize leaves.
const sizeRoom = 5

// reserveSize makes room for the size of what follows.
func reserveSize(out []byte) []byte { return append(out, 0, 0, 0, 0, 0) }

// fillSize writes the size of what stands behind the room left at start, in as
// few bytes as it needs, and moves the rest up.
func fillSize(out []byte, start int) []byte {
	size := uint32(len(out) - start - sizeRoom)
	from := start + sizeRoom
	head := appendUint32(out[:start], size)
	n := copy(out[len(head):], out[from:])
	return out[:len(head)+n]
}
