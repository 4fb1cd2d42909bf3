// Package excerpt shows the beginning of what came from somewhere else, fit for an error
// or a record of the log.
package excerpt

import (
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
