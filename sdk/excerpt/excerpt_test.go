package excerpt_test

import (
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/sdk/excerpt"
)

func TestWhatIsQuoted(t *testing.T) {
	for text, want := range map[string]string{
		"":                             `""`,
		"a \n\x00b":                    `"a \n\x00b"`,
		strings.Repeat("é", 80):        `"` + strings.Repeat("é", 80) + `"`,
		strings.Repeat("é", 80) + "xx": `"` + strings.Repeat("é", 80) + `"…`,
	} {
		if got := excerpt.Quoted(text); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestWhatIsShown(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"nothing":                  {"", ""},
		"white space":              {" \r\n\t", ""},
		"a page":                   {"<html>\r\n<head>\t<title>502 Bad Gateway</title>\n", "<html> <head> <title>502 Bad Gateway</title>"},
		"control characters":       {"a\x00\x1b[31mb\u0085\u202ec", "a [31mb c"},
		"what is not UTF-8":        {"a\xff\xfeb", "a\uFFFD\uFFFDb"},
		"as much as may be":        {strings.Repeat("x", 200), strings.Repeat("x", 200)},
		"more":                     {strings.Repeat("x", 201), strings.Repeat("x", 200) + "…"},
		"a letter over the end":    {strings.Repeat("x", 199) + "ü", strings.Repeat("x", 199) + "…"},
		"a space before the end":   {strings.Repeat("x", 199) + " y", strings.Repeat("x", 199) + "…"},
		"white space at the end":   {strings.Repeat("x", 200) + " \n", strings.Repeat("x", 200)},
		"bytes that become longer": {strings.Repeat("\xff", 200), strings.Repeat("\uFFFD", 66) + "…"},
	} {
		if got := excerpt.Of([]byte(c.text)); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
