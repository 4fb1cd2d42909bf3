package listenbrainz

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/pluginhost/pluginhost/sdk/excerpt"
	"github.com/pluginhost/pluginhost/subjects"
)

// What a submission can be.
const (
	playingNow = "playing_now"
	single     = "single"
	imported   = "import"
)

const (
	// maxListens is how many listens ListenBrainz takes at once.
	maxListens = 1000
	// maxDepth is how many lists and objects may lie within each other; a listen needs 5.
	maxDepth = 32
	// earliest is since when ListenBrainz takes plays: 2002-10-01.
	earliest = 1033430400
	// skew is how far the clock of a sender may be ahead.
	skew = 10 * time.Minute
)

// submission is what was sent at once.
type submission struct {
	kind    string
	listens []listen  // in the order of time
	at      time.Time // it came
}

// parse reads a submission that has come now. Its errors are of *malformedError.
func parse(body []byte, now time.Time) (*submission, error) {
	if depth(body) > maxDepth {
		return nil, malformed("the body has more than %d lists and objects within each other", maxDepth)
	}
	s := &submission{at: now}
	if err := s.decode(body); err != nil {
		return nil, err
	}
	switch {
	case s.kind != playingNow && s.kind != single && s.kind != imported:
		return nil, malformed("listen_type is %s: send %s, %s or %s", excerpt.Quoted(s.kind), playingNow, single, imported)
	case len(s.listens) == 0:
		return nil, malformed("payload has no listen: send at least one")
	case len(s.listens) > 1 && s.kind != imported:
		return nil, malformed("payload has %d listens: %s takes one; send %s for more", len(s.listens), s.kind, imported)
	}
	for i := range s.listens {
		if err := s.listens[i].check(s.kind, now); err != nil {
			return nil, malformed("payload[%d].%s", i, err)
		}
	}
	slices.SortStableFunc(s.listens, func(a, b listen) int { return cmp.Compare(a.at(), b.at()) })
	return s, nil
}

// decode reads the object around the listens, one after the other: a list of a million nothings shall
// take no more memory than it has bytes.
func (s *submission) decode(body []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	if first, err := decoder.Token(); err != nil {
		return noJSON(err)
	} else if first != json.Delim('{') {
		return malformed("the body is no object of JSON")
	}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return noJSON(err)
		}
		switch key {
		case "listen_type":
			s.kind = ""
			var wrong *json.UnmarshalTypeError
			if err := decoder.Decode(&s.kind); errors.As(err, &wrong) {
				return malformed("listen_type is no text")
			} else if err != nil {
				return noJSON(err)
			}
		case "payload":
			if err := s.decodeListens(decoder); err != nil {
				return err
			}
		default:
			if err := decoder.Decode(new(json.RawMessage)); err != nil {
				return noJSON(err)
			}
		}
	}
	if _, err := decoder.Token(); err != nil { // the end of the object
		return noJSON(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return malformed("the body goes on after its object of JSON")
	}
	return nil
}

func (s *submission) decodeListens(decoder *json.Decoder) error {
	s.listens = nil // the last payload counts
	if first, err := decoder.Token(); err != nil {
		return noJSON(err)
	} else if first != json.Delim('[') {
		return malformed("payload is no list")
	}
	for decoder.More() {
		i := len(s.listens)
		if i == maxListens {
			return malformed("payload has more than %d listens: send them in several requests", maxListens)
		}
		var raw json.RawMessage
		if err := decoder.Decode(&raw); err != nil {
			return noJSON(err)
		}
		if len(raw) > subjects.MaxPlay {
			return malformed("payload[%d] has more than %d bytes", i, subjects.MaxPlay)
		}
		var one listen
		if err := json.Unmarshal(raw, &one); err != nil {
			return malformed("payload[%d]%s", i, misfit(err))
		}
		s.listens = append(s.listens, one)
	}
	if _, err := decoder.Token(); err != nil { // the end of the list
		return noJSON(err)
	}
	return nil
}

// noJSON says where a body is no JSON, or ends too early.
func noJSON(err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return malformed("the body is no JSON at byte %d: %s", syntax.Offset, excerpt.Cut(syntax.Error(), excerpt.Most))
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return malformed("the body ends before its JSON does")
	}
	return malformed("the body is no JSON: %s", excerpt.Cut(err.Error(), excerpt.Most))
}

// misfit says what in a listen is of the wrong type.
func misfit(err error) string {
	var wrong *json.UnmarshalTypeError
	switch {
	case !errors.As(err, &wrong):
		return " cannot be read: " + excerpt.Cut(err.Error(), excerpt.Most)
	case wrong.Field == "":
		return " is no object"
	default:
		return "." + wrong.Field + " has a wrong type: " + excerpt.Cut(wrong.Value, excerpt.Most)
	}
}

// depth is how many lists and objects of JSON lie within each other.
func depth(body []byte) (deepest int) {
	within, text := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case text && c == '\\':
			i++
		case c == '"':
			text = !text
		case text:
		case c == '{' || c == '[':
			within++
			deepest = max(deepest, within)
		case c == '}' || c == ']':
			within--
		}
	}
	return deepest
}
