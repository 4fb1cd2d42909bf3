package natswire

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
)

// Bounds on the headers of a message. Those of the contract are fewer than 10, and take
// less than 10 KiB with the longest text of an error.
const (
	// MaxHeaderBytes is how long the whole block may be, its first and its last line
	// included.
	MaxHeaderBytes = 16 << 10
	// MaxHeaders is how many lines it may have between those two. Each costs nats.go an
	// entry of a map: the 4,000 that fit 16 KiB take twenty times as long as 64 do.
	MaxHeaders = 64
)

const (
	// maxLine is the longest line that announces a message which is looked at, in bytes:
	// twice what servers take by default. A message behind a longer one is left out.
	maxLine = 8 << 10
	// minBuffer is what a filter may need to see of a message at once, in bytes.
	minBuffer = maxLine + MaxHeaderBytes
	// maxTail is more than a size and the end of its line take, in bytes.
	maxTail = 32
)

// refusedHeader is the one header of a message that was refused.
const refusedHeader = "Pluginhost-Refused-Headers"

// errMalformed says that what a server sends is not its protocol.
var errMalformed = errors.New("the NATS server sends what is not its protocol")

// Refused says whether a message has arrived without the headers and the payload it was
// sent with, and why: a text for its sender.
func Refused(header nats.Header) (reason string, refused bool) {
	if values := header[refusedHeader]; len(values) > 0 {
		return values[0], true
	}
	return "", false
}

// filter bounds the headers in a stream of the protocol as a server sends it.
type filter struct {
	// held has come and cannot be read yet: the beginning of a message or, if whole, what
	// is behind a refused one. It goes before what comes next.
	held  []byte
	whole bool
	// notice stands for a refused message, and is to be read before held.
	notice []byte

	pass int  // how many of the next bytes pass, whatever they are
	skip int  // how many of the next bytes are left out
	line bool // the rest of a line that announces no message passes
	long bool // the rest of a line over maxLine is left out; tail is its end so far
	tail []byte
	err  error
}

// bound filters b, which begins with what was held, in place. It returns how many bytes of
// b are to be read; notice and held follow.
func (f *filter) bound(b []byte) int {
	f.held, f.whole = f.held[:0], false
	w, r := 0, 0 // up to where b is filtered and looked at
	for r < len(b) {
		n, passes := f.step(b[r:])
		if f.err != nil {
			break
		}
		if n == 0 {
			f.held = append(f.held, b[r:]...)
			break
		}
		if passes {
			if w != r {
				copy(b[w:], b[r:r+n])
			}
			w += n
		}
		r += n
		if len(f.notice) > r-w {
			f.held, f.whole = append(f.held, b[r:]...), true
			break
		}
		w += copy(b[w:], f.notice)
		f.notice = f.notice[:0]
	}
	return w
}

// step looks at the beginning of b, which is not empty. It returns how many bytes it has
// dealt with, and whether they pass; 0 is too few to tell.
func (f *filter) step(b []byte) (n int, passes bool) {
	switch {
	case f.pass > 0:
		n = min(f.pass, len(b))
		f.pass -= n
		return n, true
	case f.skip > 0:
		n = min(f.skip, len(b))
		f.skip -= n
		return n, false
	case f.long:
		return f.longLine(b), false
	case f.line || !announces(b[0]):
		n, f.line = lineOf(b)
		return n, true
	default:
		return f.message(b)
	}
}

// announces says whether a message follows a line that begins with c.
func announces(c byte) bool { return c == 'H' || c == 'h' || c == 'M' || c == 'm' }

// lineOf returns how many bytes of b are of its first line, and whether more of that is to
// come.
func lineOf(b []byte) (n int, more bool) {
	if end := bytes.IndexByte(b, '\n'); end >= 0 {
		return end + 1, false
	}
	return len(b), true
}

// message looks at the line that announces a message and at the message's headers.
func (f *filter) message(b []byte) (n int, passes bool) {
	n, more := lineOf(b)
	if n > maxLine {
		f.long = true
		return f.longLine(b), false
	}
	if more {
		return 0, false
	}
	a, ok := parseAnnouncement(b[:n])
	if !ok {
		f.err = fmt.Errorf("%w: %.100q", errMalformed, b[:n])
		return 0, false
	}
	if a.headers > MaxHeaderBytes {
		f.refuse(a, fmt.Sprintf("the message has %d bytes of headers, the limit is %d", a.headers, MaxHeaderBytes))
		f.skip = a.total + len("\r\n")
		return n, false
	}
	if len(b) < n+a.headers {
		return 0, false
	}
	rest := a.total - a.headers + len("\r\n")
	// The first line has the version, the last one is empty.
	if lines := bytes.Count(b[n:n+a.headers], []byte{'\n'}) - 2; lines > MaxHeaders {
		f.refuse(a, fmt.Sprintf("the message has %d headers, the limit is %d", lines, MaxHeaders))
		f.skip = rest
		return n + a.headers, false
	}
	f.pass = rest
	return n + a.headers, true
}

// longLine leaves out a line over maxLine, and then the message behind it. It returns how
// many bytes of b are of the line.
func (f *filter) longLine(b []byte) int {
	n, more := lineOf(b)
	f.tail = append(f.tail, b[max(0, n-maxTail):n]...)
	f.tail = append(f.tail[:0], f.tail[max(0, len(f.tail)-maxTail):]...)
	if more {
		return n
	}
	text := bytes.TrimRight(f.tail, " \t\r\n")
	size, ok := parseSize(text[bytes.LastIndexAny(text, " \t")+1:])
	if !ok {
		f.err = fmt.Errorf("%w: a line of more than %d bytes ends with %q", errMalformed, maxLine, f.tail)
	}
	f.long, f.tail, f.skip = false, f.tail[:0], size+len("\r\n")
	return n
}

// refuse makes the notice that stands for a message.
func (f *filter) refuse(a announcement, reason string) {
	headers := fmt.Sprintf("NATS/1.0\r\n%s: %s\r\n\r\n", refusedHeader, reason)
	f.notice = fmt.Appendf(f.notice, "HMSG %s %s %s %d %d\r\n%s\r\n", a.subject, a.sid, a.reply, len(headers), len(headers), headers)
}

// announcement is the line before a message. Its texts are parts of the line.
type announcement struct {
	subject, sid, reply []byte // reply may be empty
	headers, total      int    // in bytes; without headers the first is 0
}

// parseAnnouncement reads a line of MSG or HMSG.
func parseAnnouncement(line []byte) (a announcement, ok bool) {
	var fields [6][]byte
	count, start := 0, -1
	for i, c := range line {
		isSpace := c == ' ' || c == '\t' || c == '\r' || c == '\n'
		switch {
		case !isSpace && start < 0:
			start = i
		case isSpace && start >= 0 && count == len(fields):
			return a, false
		case isSpace && start >= 0:
			fields[count] = line[start:i]
			count++
			start = -1
		}
	}
	sizes := 1
	switch {
	case bytes.EqualFold(fields[0], []byte("HMSG")):
		sizes = 2
	case !bytes.EqualFold(fields[0], []byte("MSG")):
		return a, false
	}
	switch count - sizes {
	case 3:
	case 4:
		a.reply = fields[3]
	default:
		return a, false
	}
	a.subject, a.sid = fields[1], fields[2]
	numbers := fields[count-sizes : count]
	a.total, ok = parseSize(numbers[sizes-1])
	if sizes > 1 && ok {
		a.headers, ok = parseSize(numbers[0])
	}
	return a, ok && a.headers <= a.total
}

// maxSize is more than a message can have, in bytes.
const maxSize = 1 << 30

// parseSize reads a number of bytes.
func parseSize(text []byte) (n int, ok bool) {
	for _, c := range text {
		if c < '0' || c > '9' || n > maxSize {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return n, len(text) > 0
}
