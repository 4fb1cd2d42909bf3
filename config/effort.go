package config

import (
	"github.com/pelletier/go-toml/v2/unstable"
)

// maxEffort is how many keys the parser may compare with others, for which it takes a few seconds: 46,000 keys are as many,
// or 10,000 users beside 15,000 keys.
const maxEffort = 1 << 30

// effort counts what the parser compares: it looks for each key among all that it knows, and forgets those of a section of
// a list, such as [[Users]], when the next of the same list begins.
type effort struct {
	compared int64
	known    int64  // keys that the parser knows
	list     string // the list of the newest section, empty for a section of none
	before   int64  // keys that were known before that list
}

// takesTooLong says whether a file is within its bounds and has more keys than can be parsed in good time. It takes no
// longer than to read the file once, and ends at the first fault of syntax, as the parser does.
func takesTooLong(data []byte) bool {
	var (
		e effort
		p unstable.Parser
	)
	p.Reset(data)
	for e.compared <= maxEffort && p.NextExpression() {
		e.expression(p.Expression())
	}
	return e.compared > maxEffort
}

func (e *effort) expression(node *unstable.Node) {
	switch node.Kind {
	case unstable.ArrayTable:
		list := ""
		for names := node.Key(); names.Next(); {
			list += string(names.Node().Data) + pathDelimiter
		}
		if list == e.list {
			e.known = e.before
		}
		e.list, e.before = list, e.known
		e.key(node)
	case unstable.Table:
		e.list = ""
		e.key(node)
	default:
		e.value(node)
	}
}

// key counts the names of a key or a section as if none was known. One that is, is found sooner; to forget what it has
// takes about as long.
func (e *effort) key(node *unstable.Node) {
	for names := node.Key(); names.Next(); {
		e.compared += e.known
		e.known++
	}
}

// value counts the keys in a value. The parser has bounded how deep they are.
func (e *effort) value(node *unstable.Node) {
	switch node.Kind {
	case unstable.KeyValue:
		e.key(node)
		e.value(node.Value())
	case unstable.Array, unstable.InlineTable:
		e.known++
		for below := node.Children(); below.Next(); {
			e.value(below.Node())
		}
	default: // a scalar has no keys
	}
}
