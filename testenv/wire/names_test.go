package wire_test

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// volatile is what differs from one session to the next, by the name that stands for it. Of those
// whose name has a number, what comes again has the same.
var volatile = []struct {
	name     string
	numbered bool
	pattern  *regexp.Regexp // with one group: what the name stands for
}{
	{"time", false, regexp.MustCompile(`(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d))`)},
	{"replica", false, regexp.MustCompile(`\b(wire-[0-9a-z]{8})\b`)},
	{"inbox", false, regexp.MustCompile(`\b(?:script|cli|_INBOX|_INBOX_pluginhost)\.([0-9A-Za-z.]{22,})`)},
	{"term", false, regexp.MustCompile(`"term":(\d{13})\b`)},
	{"beat", false, regexp.MustCompile(`"beat":(\d+)`)},
	{"revision", false, regexp.MustCompile(`"succeeded_at":(\d+)`)},
	{"revision", false, regexp.MustCompile(`Nats-Expected-Last-(?:Subject-)?Sequence: ([1-9]\d*)`)},
	{"key", false, regexp.MustCompile(`"bytes":"([^"]+)"`)},
	{"files", true, regexp.MustCompile(`"files":"([0-9a-f]{64})"`)},
	{"duration", false, regexp.MustCompile(`"(?:average_)?processing_time":(\d+)`)},
	{"duration", false, regexp.MustCompile(`Pluginhost-Timeout: (\d+\.\d{3,}s)`)}, // what is left of a call
	{"duration", false, regexp.MustCompile(`"expires":(\d+)`)},
	{"count", false, regexp.MustCompile(`"expires":<duration>,"batch":(\d+)`)},        // as many fires as have room
	{"gone", false, regexp.MustCompile(`"id":"echo","outcome":"(unloaded|unknown)"`)}, // unknown once the watcher was faster
	// An instance goes back to its image after the answer of its call.
	{"count", false, regexp.MustCompile(`"(?:running|idle)":(\d+)`)},
	{"server", false, regexp.MustCompile(`"_nats\.(?:ver|level)":"([^"]+)"`)},
	{"build", false, regexp.MustCompile(`"version":"(\(devel\)[^"]*|v\d[^"]*)"`)},
	{"instance", true, regexp.MustCompile(`\b([0-9a-f]{22})\b`)},
	{"generation", true, regexp.MustCompile(`\b([0-9a-f]{16})\b`)},
	{"consumer", false, regexp.MustCompile(`\b([0-9A-Za-z]{22}_\d+)\b`)}, // which nats.go makes anew now and then
	{"id", true, regexp.MustCompile(`\b([0-9A-Za-z]{22})\b`)},
	{"consumer", false, regexp.MustCompile(`\$JS\.API\.CONSUMER\.[A-Z.]+\.KV_[a-z-]+\.([0-9A-Za-z]{8})\b`)},
	{"consumer", false, regexp.MustCompile(`"name":"([0-9A-Za-z]{8})",\s*"deliver_policy"`)},
	{"delivery", false, regexp.MustCompile(`\$JS\.ACK\.PLUGINHOST_FIRES\.ticker\.([0-9.]+)`)},
}

// names puts names for what is volatile.
type names struct {
	known []string            // what the script knows and the names of it, in turn
	given map[string][]string // by name: values in the order of their appearance
}

func newNames() *names { return &names{given: make(map[string][]string)} }

// know has a name stand for a value, wherever it is.
func (n *names) know(name, value string) { n.known = append(n.known, value, "<"+name+">") }

// replace puts into a text the names that value returns for what is volatile.
func (n *names) replace(text string, value func(name, value string, numbered bool) string) string {
	text = strings.NewReplacer(n.known...).Replace(text)
	for _, v := range volatile {
		var out strings.Builder
		end := 0
		for _, at := range v.pattern.FindAllStringSubmatchIndex(text, -1) {
			out.WriteString(text[end:at[2]] + value(v.name, text[at[2]:at[3]], v.numbered))
			end = at[3]
		}
		text = out.String() + text[end:]
	}
	return text
}

// masked is a text with names that have no numbers.
func (n *names) masked(text string) string {
	return n.replace(text, func(name, _ string, _ bool) string { return "<" + name + ">" })
}

// named is a text with names.
func (n *names) named(text string) string {
	return n.replace(text, func(name, value string, numbered bool) string {
		if !numbered {
			return "<" + name + ">"
		}
		at := slices.Index(n.given[name], value)
		if at < 0 {
			at = len(n.given[name])
			n.given[name] = append(n.given[name], value)
		}
		return fmt.Sprintf("<%s %d>", name, at+1)
	})
}

// sorted are texts with names, in an order that does not depend on what is volatile.
func (n *names) sorted(texts []string) []string {
	slices.SortStableFunc(texts, func(a, b string) int { return cmp.Compare(n.masked(a), n.masked(b)) })
	for i, text := range texts {
		texts[i] = n.named(text)
	}
	return texts
}
