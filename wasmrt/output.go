package wasmrt

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"unicode"
	"unicode/utf8"

	"golang.org/x/time/rate"
)

// Bounds on what a guest may write into the host's log.
const (
	maxLine        = 4096 // bytes of a line that are kept
	linesPerSecond = 100
	lineBurst      = 500
)

// output turns what the instances of a module write into log records. It is
// shared by them, so that its limit holds for the plugin.
type output struct {
	logger  *slog.Logger
	limiter *rate.Limiter
	dropped atomic.Int64
}

func newOutput(logger *slog.Logger) *output {
	return &output{logger: logger, limiter: rate.NewLimiter(linesPerSecond, lineBurst)}
}

// line logs one line under the name of the stream it was written to.
func (o *output) line(stream string, line []byte, truncated bool) {
	if !o.limiter.Allow() {
		o.dropped.Add(1)
		return
	}
	if dropped := o.dropped.Swap(0); dropped > 0 {
		o.logger.Warn("guest output dropped: too many lines", "lines", dropped)
	}
	attrs := []slog.Attr{slog.String("stream", stream)}
	if truncated {
		attrs = append(attrs, slog.Bool("truncated", true))
	}
	o.logger.LogAttrs(context.Background(), slog.LevelInfo, printable(line), attrs...)
}

// printable escapes what could forge a record or drive a terminal.
func printable(line []byte) string {
	clean := func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) && r != '\t' }
	if utf8.Valid(line) && bytes.IndexFunc(line, clean) < 0 {
		return string(line)
	}
	var b strings.Builder
	for _, r := range string(line) {
		if clean(r) {
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// lineWriter collects the lines of one stream of one instance.
type lineWriter struct {
	output  *output
	stream  string
	giveWay func() // ends the call if its time is over
	line    []byte
	long    bool // the line is longer than maxLine
	// lastWords is the first line of the call that tells why the guest crashes.
	lastWords string
}

// maxLastWords is in bytes.
const maxLastWords = 512

// outputChunk is what is read without giving way: a guest may write all of its
// memory at once.
const outputChunk = 64 << 10

// Write logs the lines that are complete and keeps the rest.
func (w *lineWriter) Write(p []byte) (int, error) {
	for chunk := range slices.Chunk(p, outputChunk) {
		w.giveWay()
		w.add(chunk)
	}
	return len(p), nil
}

func (w *lineWriter) add(p []byte) {
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		part := p
		if end >= 0 {
			part = p[:end]
		}
		room := maxLine - len(w.line)
		w.long = w.long || len(part) > room
		w.line = append(w.line, part[:min(room, len(part))]...)
		if end < 0 {
			return
		}
		w.flush()
		p = p[end+1:]
	}
}

// flush logs what has been collected, if anything.
func (w *lineWriter) flush() {
	line := bytes.TrimRight(w.line, "\r")
	if len(line) > 0 {
		w.output.line(w.stream, line, w.long)
	}
	if w.lastWords == "" && tellsCrash(line) {
		w.lastWords = printable(line[:min(len(line), maxLastWords)])
	}
	w.line, w.long = w.line[:0], false
}

// tellsCrash knows how the languages of plugins tell why a program ends: Go, its
// runtime, and AssemblyScript.
func tellsCrash(line []byte) bool {
	for _, begin := range []string{"panic: ", "fatal error: ", "abort: "} {
		if bytes.HasPrefix(line, []byte(begin)) {
			return true
		}
	}
	return false
}
