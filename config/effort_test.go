package config

import (
	"fmt"
	"strings"
	"testing"
)

// filled repeats what line writes, until a file has a quarter of the bytes that it may have.
func filled(begin string, line func(i int) string, end ...string) []byte {
	var file strings.Builder
	file.WriteString(begin)
	for i := 0; file.Len() < maxFile/4; i++ {
		file.WriteString(line(i))
	}
	return []byte(file.String() + strings.Join(end, ""))
}

// These would take many seconds, and minutes with all the bytes that a file may have.
func TestAFileThatWouldTakeLongIsNotParsed(t *testing.T) {
	keys := func(i int) string { return fmt.Sprintf("k%d=1\n", i) }
	var some strings.Builder
	for i := range 30_000 {
		some.WriteString(keys(i))
	}
	for name, file := range map[string][]byte{
		"keys":                    filled("", keys),
		"sections":                filled("", func(i int) string { return fmt.Sprintf("[PluginConfig.%d]\n", i) }),
		"keys with dots":          filled("", func(i int) string { return fmt.Sprintf("a.%d=1\n", i) }),
		"keys of one user":        filled("[[Users]]\n", keys),
		"a table on one line":     filled("a={", func(i int) string { return fmt.Sprintf("k%d=1,", i) }, "k=1}"),
		"tables in a list":        filled("a=[", func(i int) string { return fmt.Sprintf("{k%d=1},", i) }, "]"),
		"lists that take turns":   filled("", func(i int) string { return fmt.Sprintf("[[a%d]]\nb=1\n", i%2) }),
		"keys, then short users":  filled(some.String(), func(int) string { return "[[Users]]\n" }),
		"users with other tables": filled("", func(i int) string { return fmt.Sprintf("[[Users]]\n[a%d]\n", i) }),
	} {
		l := parseFile(file)
		if len(l.faults) != 1 || !strings.HasPrefix(l.faults[0].Error(), "test.toml: the file has too many keys and sections; it takes 10000 [[Users]]") {
			t.Errorf("%s: the faults are %.300v", name, l.faults)
		}
	}
}
