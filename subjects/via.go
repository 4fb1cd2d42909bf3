package subjects

import (
	"fmt"
	"slices"
	"strings"
)

// MaxVia bounds how many plugins may call each other in a row.
const MaxVia = 8

// FormatVia is the value of HeaderVia for the ids of plugins that wait for a
// call, the outermost first.
func FormatVia(ids []string) string {
	tokens := make([]string, len(ids))
	for i, id := range ids {
		tokens[i] = Token(id)
	}
	return strings.Join(tokens, ",")
}

// ParseVia is the inverse of FormatVia; empty is nil. It refuses more than
// MaxVia ids and what FormatVia never makes.
func ParseVia(value string) ([]string, error) {
	if value == "" {
		return nil, nil
	}
	if strings.Count(value, ",") >= MaxVia {
		return nil, fmt.Errorf("more than %d plugins wait for each other", MaxVia)
	}
	tokens := slices.Collect(strings.SplitSeq(value, ","))
	for i, token := range tokens {
		id, err := ParseToken(token)
		if err != nil {
			return nil, err
		}
		tokens[i] = id
	}
	return tokens, nil
}
