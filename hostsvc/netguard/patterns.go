package netguard

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// Patterns is the set of URL patterns of one plugin and the methods each allows.
// It does not change after it was made and is safe for concurrent use.
type Patterns struct {
	rules []rule // the most specific first
}

type rule struct {
	Pattern
	methods map[string]bool // upper case; "*" is every method
}

// Parse reads the patterns of an HTTP permission: pattern to methods, where "*" is
// every method and an empty list none. The error wraps ErrPattern and names every
// bad pattern; an empty map is not an error, it just allows nothing.
func Parse(allowed map[string][]string) (*Patterns, error) {
	if len(allowed) > MaxPatterns {
		return nil, fmt.Errorf("%w: %d patterns, but at most %d are allowed: join some with a wildcard", ErrPattern, len(allowed), MaxPatterns)
	}
	found := make(map[string]rule, len(allowed))
	var faults []error
	// In order, so that of equal patterns the same one is always named.
	for _, text := range slices.Sorted(maps.Keys(allowed)) {
		pattern, err := ParsePattern(text)
		if err == nil && len(allowed[text]) > MaxMethods {
			err = fmt.Errorf("%w %q: it lists %d methods, but at most %d are allowed", ErrPattern, text, len(allowed[text]), MaxMethods)
		}
		if err != nil {
			faults = append(faults, err)
			continue
		}
		key := pattern.canonical()
		r, ok := found[key]
		if !ok {
			r = rule{Pattern: pattern, methods: map[string]bool{}}
			found[key] = r
		}
		for _, method := range allowed[text] {
			r.methods[strings.ToUpper(method)] = true
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	rules := slices.SortedFunc(maps.Values(found), func(a, b rule) int { return comparePatterns(a.Pattern, b.Pattern) })
	return &Patterns{rules: rules}, nil
}

// ParseList reads the patterns of a permission without methods, where any match
// allows. Errors are those of Parse.
func ParseList(patterns []string) (*Patterns, error) {
	allowed := make(map[string][]string, len(patterns))
	for _, text := range patterns {
		allowed[text] = []string{"*"}
	}
	return Parse(allowed)
}

// Check decides about a request. It returns the URL to send, which is the one
// asked for in canonical form: lower-case host, no default port, no dot segments,
// no fragment. The method can be in any case.
//
// The error is a *BlockedError of kind ErrURL or ErrNotAllowed; its reasons are
// those that Navidrome gives.
func (ps *Patterns) Check(rawURL, method string) (*url.URL, error) {
	return ps.check(rawURL, method, Pattern.matchOrigin)
}

// CheckRedirect is Check for where a redirect from a URL leads that Check or CheckRedirect has
// passed. If no pattern matches that, the one for all hosts below a host, such as
// *.example.com, which from matches, holds for example.com as well: who answers for the hosts below
// it may lead there, and could as well answer in its place.
func (ps *Patterns) CheckRedirect(from *url.URL, rawURL, method string) (*url.URL, error) {
	before, err := parseTarget(from.String())
	if err != nil {
		return nil, &BlockedError{Kind: ErrURL, Reason: "invalid URL: " + err.Error()}
	}
	return ps.check(rawURL, method, Pattern.matchOrigin, func(p Pattern, t target) bool {
		return p.matchParent(t) && (p.matchOrigin(before) || p.matchParent(before))
	})
}

// check decides by the rules that match in the first of several ways.
func (ps *Patterns) check(rawURL, method string, ways ...func(Pattern, target) bool) (*url.URL, error) {
	t, err := parseTarget(rawURL)
	if err != nil {
		return nil, &BlockedError{Kind: ErrURL, Reason: "invalid URL: " + err.Error()}
	}
	if len(ps.rules) == 0 {
		return nil, &BlockedError{Kind: ErrNotAllowed, Reason: "no allowed URLs configured for plugin"}
	}
	reason := ""
	for _, path := range slices.Compact([]string{t.path, singleSlashes(t.path)}) {
		if reason = ps.deny(t, path, rawURL, strings.ToUpper(method), ways); reason == "" {
			u, err := t.url(path)
			if err != nil {
				return nil, &BlockedError{Kind: ErrURL, Reason: "invalid URL: " + err.Error()}
			}
			return u, nil
		}
	}
	return nil, &BlockedError{Kind: ErrNotAllowed, Reason: reason}
}

// deny returns why a path must not be sent, or "".
func (ps *Patterns) deny(t target, path, rawURL, method string, ways []func(Pattern, target) bool) string {
	all := readings(path)
	for _, reading := range all {
		r, ok := ps.mostSpecific(t, all[0], reading, ways)
		if !ok {
			return fmt.Sprintf("URL %s does not match any allowed URL patterns", rawURL)
		}
		if !r.methods["*"] && !r.methods[method] {
			return fmt.Sprintf("operation %s not allowed for URL pattern %s", method, r.text)
		}
	}
	return ""
}

func (ps *Patterns) mostSpecific(t target, spelled, reading string, ways []func(Pattern, target) bool) (rule, bool) {
	for _, matches := range ways {
		for _, r := range ps.rules {
			if matches(r.Pattern, t) && r.path.match(spelled, reading) {
				return r, true
			}
		}
	}
	return rule{}, false
}
