package netguard

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Pattern is one URL pattern; the package comment describes the syntax. The zero
// value matches nothing.
type Pattern struct {
	text   string // as it was written
	scheme string // "*", "http*", "ws*", or one scheme
	host   hostPattern
	port   portPattern
	path   pathPattern
}

// portPattern is any port, one port, or the default port of the URL's scheme.
type portPattern struct {
	any    bool
	number uint16 // 0: the default
}

// ParsePattern reads a pattern. Its errors wrap ErrPattern and say what is wrong
// with the pattern.
func ParsePattern(text string) (Pattern, error) {
	p, err := parsePattern(text)
	if err != nil {
		if len(text) > 100 {
			text = text[:100] + "…"
		}
		return Pattern{}, fmt.Errorf("%w %q: %w", ErrPattern, text, err)
	}
	return p, nil
}

func parsePattern(text string) (Pattern, error) {
	everyHost := hostPattern{kind: hostAny, text: "*"}
	anyPort := portPattern{any: true}
	switch {
	case text == "":
		return Pattern{}, errors.New("it is empty")
	case len(text) > MaxPatternLength:
		return Pattern{}, fmt.Errorf("it is longer than %d bytes", MaxPatternLength)
	case text == "*":
		return Pattern{text: text, scheme: "*", host: everyHost, port: anyPort}, nil
	case text[0] == '/' && !strings.HasPrefix(text, "//"):
		path, err := parsePathPattern(text)
		return Pattern{text: text, scheme: "*", host: everyHost, port: anyPort, path: path}, err
	}
	scheme, rest, ok := strings.Cut(text, "//")
	if !ok || (scheme != "" && !strings.HasSuffix(scheme, ":")) {
		return Pattern{}, errors.New("it has no scheme: begin it with https://")
	}
	p := Pattern{text: text}
	var err error
	if p.scheme, err = parseSchemePattern(strings.ToLower(strings.TrimSuffix(scheme, ":"))); err != nil {
		return Pattern{}, err
	}
	authority, path := rest, ""
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority, path = rest[:end], rest[end:]
	}
	if err := p.parseAuthority(authority); err != nil {
		return Pattern{}, err
	}
	if p.path, err = parsePathPattern(path); err != nil {
		return Pattern{}, err
	}
	if p.path == (pathPattern{kind: pathExact, text: "/"}) && p.host.kind != hostExact {
		p.path = pathPattern{kind: pathAny}
	}
	return p, nil
}

func parseSchemePattern(scheme string) (string, error) {
	switch {
	case scheme == "":
		return "*", nil
	case scheme == "*", scheme == "http*", scheme == "ws*", defaultPort(scheme) != 0:
		return scheme, nil
	}
	return "", fmt.Errorf("scheme %q is not http, https, ws, wss, http*, ws* or *", scheme)
}

func (p *Pattern) parseAuthority(authority string) error {
	if strings.Contains(authority, "@") {
		return errors.New("user information is not allowed")
	}
	var host, port string
	bracketed := strings.HasPrefix(authority, "[")
	if bracketed {
		address, after, ok := strings.Cut(authority[1:], "]")
		if !ok || (after != "" && after[0] != ':') {
			return errors.New("bad brackets")
		}
		host, port = strings.Replace(address, "%25", "%", 1), strings.TrimPrefix(after, ":")
	} else {
		host, port, _ = strings.Cut(authority, ":")
	}
	if host == "" {
		return errors.New("it has no host: write * for every host")
	}
	var err error
	if p.host, err = parseHostPattern(host, bracketed); err != nil {
		return err
	}
	switch {
	case port == "*", port == "" && p.host.kind == hostAny:
		p.port.any = true
	default:
		p.port.number, err = parsePort(port, defaultPort(p.scheme))
	}
	return err
}

// String returns the pattern as it was written.
func (p Pattern) String() string { return p.text }

// Match reports whether the pattern matches a URL in every way in which a server
// may read it. A URL that is refused whatever the patterns (bad syntax, user
// information, longer than MaxURLLength, hidden dot segments) does not match.
func (p Pattern) Match(rawURL string) bool {
	t, err := parseTarget(rawURL)
	if err != nil || !p.matchOrigin(t) {
		return false
	}
	if _, err := t.url(t.path); err != nil {
		return false
	}
	all := readings(t.path)
	for _, reading := range all {
		if !p.path.match(all[0], reading) {
			return false
		}
	}
	return true
}

func (p Pattern) matchOrigin(t target) bool {
	return p.matchScheme(t.scheme) && p.matchPort(t) && p.host.match(t.host)
}

// matchParent is matchOrigin for the host that all hosts of the pattern are below.
func (p Pattern) matchParent(t target) bool {
	return p.matchScheme(t.scheme) && p.matchPort(t) && p.host.isBelow(t.host)
}

func (p Pattern) matchScheme(scheme string) bool {
	if family, ok := strings.CutSuffix(p.scheme, "*"); ok {
		return family == "" || scheme == family || scheme == family+"s"
	}
	return p.scheme == scheme
}

func (p Pattern) matchPort(t target) bool {
	if p.port.number == 0 {
		return p.port.any || t.port == defaultPort(t.scheme)
	}
	return p.port.number == t.port
}

// canonical is the same for patterns that match the same URLs.
func (p Pattern) canonical() string {
	port := strconv.Itoa(int(p.port.number))
	if p.port.any {
		port = "*"
	}
	return fmt.Sprintf("%s|%s|%s|%d|%s", p.scheme, p.host.text, port, p.path.kind, p.path.text)
}

// comparePatterns orders the more specific pattern first, as the package comment
// says.
func comparePatterns(a, b Pattern) int {
	return cmp.Or(
		cmp.Compare(b.host.literals(), a.host.literals()),
		cmp.Compare(a.portRank(), b.portRank()),
		cmp.Compare(b.path.kind, a.path.kind),
		cmp.Compare(len(b.path.text), len(a.path.text)),
		cmp.Compare(a.schemeRank(), b.schemeRank()),
		cmp.Compare(a.canonical(), b.canonical()),
	)
}

func (p Pattern) portRank() int {
	if p.port.any {
		return 1
	}
	return 0
}

func (p Pattern) schemeRank() int {
	switch {
	case p.scheme == "*":
		return 2
	case strings.HasSuffix(p.scheme, "*"):
		return 1
	}
	return 0
}
