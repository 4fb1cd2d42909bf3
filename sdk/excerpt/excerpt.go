// Package excerpt shows the beginning of what came from somewhere else, fit for an error
// or a record of the log.
package excerpt

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Most is how much of a text Of shows, in bytes.
const Most = 200

// Of returns at most the first Most bytes of a text, and "…" in the place of the rest. What
// cannot be printed, white space among it, is a space, many in a row are one, and what is
// not UTF-8 is U+FFFD.
func Of(text []byte) string {
	var shown strings.Builder
	blank := false // that is still to be written
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		if !unicode.IsGraphic(r) || unicode.IsSpace(r) {
			blank = shown.Len() > 0
			text = text[size:]
			continue
		}
		more := utf8.RuneLen(r)
		if blank {
			more++
		}
		if shown.Len()+more > Most {
			return shown.String() + "…"
		}
		if blank {
			shown.WriteByte(' ')
			blank = false
		}
		shown.WriteRune(r)
		text = text[size:]
	}
	return shown.String()
}

// Cut returns about the first limit bytes of a text, and "…" in the place of the rest. What is not
// UTF-8 where it is cut is left out.
func Cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}

// Header returns at most the first limit bytes of a text, fit for the value of a header: a line
// break would end it.
func Header(text string, limit int) string {
	clean := make([]byte, 0, max(0, min(len(text), limit)))
	for i := 0; i < len(text) && len(clean) < limit; i++ {
		if c := text[i]; c == '\r' || c == '\n' || c == 0 {
			clean = append(clean, ' ')
		} else {
			clean = append(clean, c)
		}
	}
	return string(clean)
}

// mostQuoted is how much of a text Quoted shows, in characters.
const mostQuoted = 80

// Quoted returns a text in quotes on one line, cut after its first 80 characters, with "…" in the place of the rest. Nothing
// is left out: what cannot be printed is escaped.
func Quoted(text string) string {
	runes := []rune(text)
	if len(runes) > mostQuoted {
		return strconv.Quote(string(runes[:mostQuoted])) + "…"
	}
	return strconv.Quote(text)
}
