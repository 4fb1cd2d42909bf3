package netguard

import (
	"fmt"
	"strings"
)

// escapedQuery escapes what a query cannot have (RFC 3986, 3.4): net/http would send it as it
// is, and a raw space ends the address for the server. Brackets stay, as all servers take
// them, and so does everything that is escaped already.
func escapedQuery(query string) string {
	if !strings.ContainsFunc(query, isForeignToQueries) {
		return query
	}
	var b strings.Builder
	for i := range len(query) {
		if isForeignToQueries(rune(query[i])) {
			fmt.Fprintf(&b, "%%%02X", query[i])
		} else {
			b.WriteByte(query[i])
		}
	}
	return b.String()
}

// isForeignToQueries judges a byte, or a letter beyond ASCII.
func isForeignToQueries(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune("\"<>\\^`{|}", r)
}
