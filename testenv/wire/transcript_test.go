package wire_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
)

// transcript is a session as text.
type transcript struct {
	*names
	text strings.Builder
	// behind are the messages that belong to no step, each once.
	behind map[string]bool
}

func newTranscript() *transcript {
	return &transcript{names: newNames(), behind: make(map[string]bool)}
}

// title begins a step.
func (t *transcript) title(title string) { fmt.Fprintf(&t.text, "\n== %s\n", title) }

// document adds what something has told in a step.
func (t *transcript) document(name, text string) {
	fmt.Fprintf(&t.text, "%s\n%s", t.named(name), indent(t.named(compact(text))))
}

// messages adds what has passed in a step: what the script has asked in its order, then the rest in
// that of its text.
func (t *transcript) messages(heard []*nats.Msg) {
	answers := make(map[string][]*nats.Msg)
	for _, m := range heard {
		answers[m.Subject] = append(answers[m.Subject], m)
	}
	var asked, rest []string
	for _, m := range heard {
		text := message(m)
		switch {
		case ofServer(m) || isInbox(m.Subject):
		case string(m.Data) == "+WPI": // as often as a callback takes time
		case strings.HasPrefix(m.Subject, heartbeats):
			if m.Header.Get("KV-Operation") != "" { // the replica leaves; the others are shown by the script
				rest = append(rest, text)
			}
		case background(m.Subject):
			t.behind[t.masked(text)] = true
		case isStored(m.Subject):
			rest = append(rest, text)
		case strings.HasPrefix(m.Reply, cliInbox+"."):
			rest = append(rest, text) // the command prints the answers, and asks again until it has all
		case strings.HasPrefix(m.Reply, ownInbox+"."):
			asked = append(asked, text+t.answered(answers[m.Reply]))
		case m.Reply == "":
			rest = append(rest, text)
		default:
			rest = append(rest, text+t.answered(answers[m.Reply]))
		}
	}
	for _, text := range asked {
		t.text.WriteString(t.named(text))
	}
	seen := make(map[string]bool)
	for _, text := range t.sorted(rest) {
		// A load that is asked for while the watcher loads as well can be one or two.
		once := strings.HasPrefix(text, "pluginhost.event.") || strings.Contains(text, " reply to "+cliInbox+".")
		if once && seen[text] {
			continue
		}
		seen[text] = true
		t.text.WriteString(text)
	}
}

// answered are the answers of a request.
func (t *transcript) answered(answers []*nats.Msg) string {
	var texts []string
	for _, answer := range answers {
		texts = append(texts, "  answer\n"+indent(content(answer)))
	}
	slices.SortStableFunc(texts, func(a, b string) int { return strings.Compare(t.masked(a), t.masked(b)) })
	return strings.Join(texts, "")
}

// ofServer says whether a message is of the NATS server: what it delivers from a stream, and what it
// announces.
func ofServer(m *nats.Msg) bool {
	return strings.HasPrefix(m.Reply, "$JS.ACK.") || strings.HasPrefix(m.Subject, "$JS.EVENT.") || strings.HasPrefix(m.Subject, "$JS.FC.")
}

// isStored says whether messages on a subject go into a stream, which answers that it has them.
func isStored(subject string) bool {
	return strings.HasPrefix(subject, "$KV.") || strings.HasPrefix(subject, "$O.") || strings.HasPrefix(subject, "fires.")
}

// background adds what belonged to no step.
func (t *transcript) background() {
	t.title("in the background, each once")
	for _, text := range t.sorted(slices.Collect(maps.Keys(t.behind))) {
		t.text.WriteString(text)
	}
}

// message is a message as text: who asks, headers and body.
func message(m *nats.Msg) string {
	line := m.Subject
	if m.Reply != "" {
		line += " reply to " + m.Reply
	}
	return line + "\n" + indent(content(m))
}

// content is what a message has but its subjects: a line with the headers, and the body.
func content(m *nats.Msg) string {
	var headers []string
	for _, name := range slices.Sorted(maps.Keys(m.Header)) {
		for _, value := range m.Header[name] {
			// Errors of protobuf have a space of one kind or another, as the build has it.
			headers = append(headers, name+": "+strings.ReplaceAll(value, "\u00a0", " "))
		}
	}
	text := strings.Join(headers, " | ")
	if text != "" {
		text += "\n"
	}
	if len(m.Data) > 0 {
		text += body(m) + "\n"
	}
	return text
}

// body is that of a message: JSON without spaces, as protobuf puts some into it at random; what is
// no text quoted.
func body(m *nats.Msg) string {
	if strings.HasPrefix(m.Subject, "$O.pluginhost-plugins.C.") {
		return "<package>"
	}
	if readable(m.Data) {
		return compact(string(m.Data))
	}
	return strconv.QuoteToASCII(string(m.Data))
}

// compact is JSON without spaces, and any other text as it is.
func compact(text string) string {
	var short bytes.Buffer
	if err := json.Compact(&short, []byte(text)); err != nil {
		return text
	}
	return short.String()
}

func readable(data []byte) bool {
	return utf8.Valid(data) && !bytes.ContainsFunc(data, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' })
}

func indent(text string) string {
	if text == "" {
		return ""
	}
	return "    " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n    ") + "\n"
}
