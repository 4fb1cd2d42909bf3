package natswire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
)

// hmsg is a message with these headers as a server sends it. With the subject goes the
// number of the subscription.
func hmsg(subject, reply, headers, payload string) string {
	return fmt.Sprintf("HMSG %s %s %d %d\r\n%s%s\r\n", subject, reply, len(headers), len(headers)+len(payload), headers, payload)
}

// block is a header block of n short headers.
func block(n int) string {
	var b strings.Builder
	b.WriteString("NATS/1.0\r\n")
	for i := range n {
		fmt.Fprintf(&b, "%x:\r\n", i)
	}
	b.WriteString("\r\n")
	return b.String()
}

// sized is a header block of n bytes.
func sized(n int) string {
	begin, end := "NATS/1.0\r\nx:", "\r\n\r\n"
	return begin + strings.Repeat("y", n-len(begin)-len(end)) + end
}

func refusal(subject, reply, reason string) string {
	return hmsg(subject, reply, "NATS/1.0\r\n"+refusedHeader+": "+reason+"\r\n\r\n", "")
}

const ping = "PING\r\n"

func TestStreamWithBoundedHeaders(t *testing.T) {
	info := "INFO {\"server_id\":\"" + strings.Repeat("n", 3*minBuffer) + "\"}\r\n"
	fits, full := hmsg("a.b 7", "r", block(MaxHeaders), "payload"), hmsg("a.b 7", "", sized(MaxHeaderBytes), "payload")
	longSubject := strings.Repeat("s", maxLine)
	for name, c := range map[string]struct{ sent, read string }{
		"nothing":                     {"", ""},
		"what is no message":          {info + "+OK\r\nPONG\r\n-ERR 'Slow Consumer'\r\n" + ping, info + "+OK\r\nPONG\r\n-ERR 'Slow Consumer'\r\n" + ping},
		"messages without headers":    {"MSG a 1 0\r\n\r\nMSG a 1 r 9\r\nHMSG a 1 \r\nmsg a 1 1\r\nx\r\n", "MSG a 1 0\r\n\r\nMSG a 1 r 9\r\nHMSG a 1 \r\nmsg a 1 1\r\nx\r\n"},
		"headers within the bounds":   {fits + full + ping, fits + full + ping},
		"a long payload":              {hmsg("a 7", "r", block(1), strings.Repeat("p", 100_000)) + ping, hmsg("a 7", "r", block(1), strings.Repeat("p", 100_000)) + ping},
		"one header too many":         {fits + hmsg("a.b 7", "r", block(MaxHeaders+1), "payload") + ping, fits + refusal("a.b 7", "r", "the message has 65 headers, the limit is 64") + ping},
		"one byte too many":           {full + hmsg("a.b 7", "", sized(MaxHeaderBytes+1), "payload") + ping, full + refusal("a.b 7", "", "the message has 16385 bytes of headers, the limit is 16384") + ping},
		"a megabyte of headers":       {hmsg("a.b 7", "r", sized(1<<20), "payload") + ping, refusal("a.b 7", "r", "the message has 1048576 bytes of headers, the limit is 16384") + ping},
		"lines that end without CR":   {hmsg("a 7", "r", "NATS/1.0\n"+strings.Repeat("a:\n", 100)+"\n", "") + ping, refusal("a 7", "r", "the message has 100 headers, the limit is 64") + ping},
		"many that are too many":      {strings.Repeat(hmsg("a 7", "", block(200), "")+ping, 300), strings.Repeat(refusal("a 7", "", "the message has 200 headers, the limit is 64")+ping, 300)},
		"a notice that needs room":    {hmsg("a 7", "", strings.Repeat("\n", 70), "") + fits + ping, refusal("a 7", "", "the message has 68 headers, the limit is 64") + fits + ping},
		"a line longer than any":      {hmsg(longSubject+" 7", "r", block(1), "payload") + ping + "MSG " + longSubject + " 1 3\r\nabc\r\n" + ping, ping + ping},
		"a message that has not come": {fits + "HMSG a 1 40 40\r\nNATS/1.0\r\n", fits},
	} {
		t.Run(name, func(t *testing.T) {
			if read, malformed := reference([]byte(c.sent)); string(read) != c.read || malformed {
				t.Fatalf("the reference reads %.300q", read)
			}
			for seed := range uint64(20) {
				if read, err := readAll(c.sent, seed); string(read) != c.read || !errors.Is(err, io.EOF) {
					t.Fatalf("in pieces of seed %d: %v\n got %.300q\nwant %.300q", seed, err, read, c.read)
				}
			}
		})
	}
}

func TestWhatIsNoMessageEndsTheConnection(t *testing.T) {
	for _, line := range []string{
		"MSG\r\n", "MSG a 1\r\n", "MSG a 1 r s 4\r\n", "MSG a 1 r s 4 5 6\r\n", "HMSG a 1 4\r\n", "HMSG a 1 r 5 4\r\n", "HMSG a 1 x 4\r\n",
		"MSG a 1 -4\r\n", "MSG a 1 99999999999\r\n", "MSG a 1 18446744073709551621\r\n", "HELLO a 1 2\r\n", "MSG " + strings.Repeat("s", maxLine) + " 1 x\r\n",
	} {
		for seed := range uint64(5) {
			if read, err := readAll(ping+line+ping, seed); !errors.Is(err, errMalformed) || string(read) != ping {
				t.Errorf("%.40q: %q %v", line, read, err)
			}
		}
	}
}

func TestRefusedMessageSaysWhy(t *testing.T) {
	for size, want := range map[int]bool{MaxHeaderBytes: false, MaxHeaderBytes + 1: true} {
		read, err := readAll(hmsg("a 7", "r", sized(size), ""), 1)
		if !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		_, block, _ := bytes.Cut(read, []byte("\r\n"))
		header, err := nats.DecodeHeadersMsg(block)
		if err != nil {
			t.Fatal(err)
		}
		reason, refused := Refused(header)
		if refused != want || refused != strings.Contains(reason, "16385 bytes of headers") {
			t.Errorf("%d bytes: refused %t, %q", size, refused, reason)
		}
	}
}

func TestReadingAllocatesNothing(t *testing.T) {
	stream := strings.Repeat(hmsg("plugins.p.get 7", "_INBOX.x", block(5), strings.Repeat("p", 700))+"MSG a 1 3\r\nabc\r\n", 100)
	c := &conn{Conn: &pieces{stream: []byte(stream), rand: rand.New(rand.NewPCG(1, 1)), again: true}}
	buffer := make([]byte, 32<<10)
	read := func() {
		if _, err := c.Read(buffer); err != nil {
			t.Fatal(err)
		}
	}
	for range 1000 {
		read() // what is held has its size by then
	}
	if n := testing.AllocsPerRun(1000, read); n != 0 {
		t.Errorf("%v allocations for each read", n)
	}
}

func FuzzStream(f *testing.F) {
	for _, stream := range []string{
		ping + "MSG a 1 3\r\nabc\r\n" + hmsg("a.b 7", "r", block(3), "payload"),
		hmsg("a 7", "r", block(MaxHeaders+1), "payload") + ping,
		hmsg("a 7", "", strings.Repeat("\n", 70), "") + ping,
		"HMSG a 1 99999 100000\r\nNATS/1.0",
		"MSG " + strings.Repeat("s", maxLine) + " 1 3\r\nabc\r\n+OK\r\n",
		"hmsg\ta  1\tr 12 12 \r\nNATS/1.0\r\n\r\n\r\nMSG a 1 x\r\n",
	} {
		f.Add([]byte(stream), uint64(1))
	}
	f.Fuzz(func(t *testing.T, stream []byte, seed uint64) {
		want, malformed := reference(stream)
		read, err := readAll(string(stream), seed)
		if !bytes.Equal(read, want) || errors.Is(err, errMalformed) != malformed {
			t.Errorf("%v, malformed %t\n got %q\nwant %q", err, malformed, read, want)
		}
	})
}

// reference is what is to be read of a stream, if all of it is there, and whether it ends
// with what is not the protocol.
func reference(stream []byte) (read []byte, malformed bool) {
	for len(stream) > 0 {
		line, rest, whole := bytes.Cut(stream, []byte("\n"))
		switch first := stream[0]; {
		case !strings.ContainsRune("HhMm", rune(first)) && whole:
			read, stream = append(append(read, line...), '\n'), rest
			continue
		case !strings.ContainsRune("HhMm", rune(first)):
			return append(read, line...), false
		case !whole:
			return read, false
		}
		fields := strings.FieldsFunc(string(line), func(r rune) bool { return strings.ContainsRune(" \t\r", r) })
		if len(line) >= maxLine {
			end := strings.TrimRight(string(line[len(line)+1-maxTail:]), " \t\r")
			total, ok := size(end[strings.LastIndexAny(end, " \t")+1:])
			if !ok {
				return read, true
			}
			stream = rest[min(total+2, len(rest)):]
			continue
		}
		var headers, total int
		ok := len(fields) > 0
		if ok && strings.EqualFold(fields[0], "MSG") && (len(fields) == 4 || len(fields) == 5) {
			total, ok = size(fields[len(fields)-1])
		} else if ok = ok && strings.EqualFold(fields[0], "HMSG") && (len(fields) == 5 || len(fields) == 6); ok {
			total, ok = size(fields[len(fields)-1])
			if headers, malformed = size(fields[len(fields)-2]); !malformed || headers > total {
				ok = false
			}
		}
		if !ok {
			return read, true
		}
		if headers <= MaxHeaderBytes && headers > len(rest) {
			return read, false
		}
		reason := ""
		if headers > MaxHeaderBytes {
			reason = fmt.Sprintf("the message has %d bytes of headers, the limit is 16384", headers)
		} else if n := bytes.Count(rest[:headers], []byte("\n")) - 2; n > MaxHeaders {
			reason = fmt.Sprintf("the message has %d headers, the limit is 64", n)
		}
		message := rest[:min(total+2, len(rest))]
		stream = rest[len(message):]
		if reason == "" {
			read = append(append(append(read, line...), '\n'), message...)
			continue
		}
		reply := ""
		if len(fields) == 6 {
			reply = fields[3]
		}
		read = append(read, refusal(fields[1]+" "+fields[2], reply, reason)...)
	}
	return read, false
}

func size(text string) (n int, ok bool) {
	for _, c := range []byte(text) {
		if c < '0' || c > '9' || n > 1<<30 {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, text != ""
}

// readAll reads a stream that comes in pieces, with buffers of some sizes, until an error.
func readAll(stream string, seed uint64) (read []byte, err error) {
	random := rand.New(rand.NewPCG(seed, 0))
	c := &conn{Conn: &pieces{stream: []byte(stream), rand: random}}
	for {
		buffer := make([]byte, 32<<10)
		if seed%4 == 1 {
			buffer = buffer[:1+random.IntN(len(buffer))]
		}
		n, err := c.Read(buffer)
		read = append(read, buffer[:n]...)
		if err != nil {
			return read, err
		}
	}
}

// pieces is a connection whose bytes come in pieces; over again, if so.
type pieces struct {
	net.Conn
	stream []byte
	at     int
	rand   *rand.Rand
	again  bool
}

// Read implements net.Conn.
func (p *pieces) Read(b []byte) (int, error) {
	if p.at == len(p.stream) {
		if !p.again {
			return 0, io.EOF
		}
		p.at = 0
	}
	most := 1 << p.rand.IntN(17)
	n := copy(b[:min(len(b), 1+p.rand.IntN(most))], p.stream[p.at:])
	p.at += n
	return n, nil
}
