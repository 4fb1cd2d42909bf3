package netguard

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// hostName is the host of a URL in its one canonical form.
type hostName struct {
	text   string     // lower case, no final dot, no brackets
	addr   netip.Addr // valid for an IP literal; IPv4-mapped addresses are IPv4
	labels []string   // of a name or an IPv4 literal
}

// parseHost reads a host as url.URL.Hostname returns it. bracketed says that it
// stood in brackets, where only an IPv6 address may.
func parseHost(text string, bracketed bool) (hostName, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		if addr.Is6() != bracketed {
			return hostName{}, errors.New("an IPv6 address belongs in brackets, and nothing else does")
		}
		if !onlyBytes(addr.Zone(), zoneBytes) {
			return hostName{}, fmt.Errorf("bad zone in address %q", text)
		}
		addr = addr.Unmap()
		name := hostName{text: addr.String(), addr: addr}
		if addr.Is4() {
			name.labels = strings.Split(name.text, ".")
		}
		return name, nil
	}
	if bracketed {
		return hostName{}, fmt.Errorf("%q is not an IPv6 address", text)
	}
	text = strings.ToLower(strings.TrimSuffix(text, "."))
	labels, err := splitLabels(text, "")
	if err != nil {
		return hostName{}, err
	}
	// 127.1, 2130706433 and 0x7f.1 are addresses to some resolvers and names to
	// others, and no real name ends in a number.
	if isNumber(labels[len(labels)-1]) {
		return hostName{}, fmt.Errorf("%q ends in a number but is not an IPv4 address: write all four parts in decimal", text)
	}
	return hostName{text: text, labels: labels}, nil
}

const (
	labelBytes = "abcdefghijklmnopqrstuvwxyz0123456789-_"
	zoneBytes  = labelBytes + "ABCDEFGHIJKLMNOPQRSTUVWXYZ."
)

// splitLabels splits a lower-case name and checks its form; extra holds bytes that
// are allowed besides the usual ones.
func splitLabels(text, extra string) ([]string, error) {
	if len(text) > 253 {
		return nil, errors.New("the host is longer than 253 bytes")
	}
	labels := strings.Split(text, ".")
	for _, label := range labels {
		switch {
		case label == "":
			return nil, fmt.Errorf("host %q has an empty label", text)
		case len(label) > 63:
			return nil, fmt.Errorf("host %q has a label longer than 63 bytes", text)
		case !onlyBytes(label, labelBytes+extra):
			return nil, fmt.Errorf("host %q has characters that no host name has: write an international name in its xn-- form", text)
		}
	}
	return labels, nil
}

func onlyBytes(s, allowed string) bool {
	for i := range len(s) {
		if strings.IndexByte(allowed, s[i]) < 0 {
			return false
		}
	}
	return true
}

func isNumber(label string) bool {
	if hex, ok := strings.CutPrefix(label, "0x"); ok {
		return onlyBytes(hex, "0123456789abcdef")
	}
	return onlyBytes(label, "0123456789")
}

type hostKind int

const (
	hostAny    hostKind = iota // *
	hostBelow                  // *.example.com: labels holds what follows the first star
	hostLabels                 // admin.*.example.com
	hostIPv4                   // 192.168.*.*
	hostExact
)

// hostPattern is the host part of a pattern.
type hostPattern struct {
	kind   hostKind
	text   string // canonical
	labels []string
}

func parseHostPattern(text string, bracketed bool) (hostPattern, error) {
	if !strings.Contains(text, "*") {
		name, err := parseHost(text, bracketed)
		return hostPattern{kind: hostExact, text: name.text}, err
	}
	if bracketed {
		return hostPattern{}, errors.New("an IPv6 address takes no *")
	}
	if text == "*" {
		return hostPattern{kind: hostAny, text: text}, nil
	}
	if strings.Contains(text, "**") {
		return hostPattern{}, errors.New("** means nothing: write one *")
	}
	text = strings.ToLower(strings.TrimSuffix(text, "."))
	labels, err := splitLabels(text, "*")
	if err != nil {
		return hostPattern{}, err
	}
	if onlyBytes(text, "0123456789.*") && strings.ContainsAny(text, "0123456789") {
		return parseIPv4Pattern(text, labels)
	}
	if labels[0] == "*" {
		return hostPattern{kind: hostBelow, text: text, labels: labels[1:]}, nil
	}
	return hostPattern{kind: hostLabels, text: text, labels: labels}, nil
}

// parseIPv4Pattern lets a final * stand for all parts that are not written.
func parseIPv4Pattern(text string, labels []string) (hostPattern, error) {
	for len(labels) < 4 && labels[len(labels)-1] == "*" {
		labels = append(labels, "*")
	}
	if len(labels) != 4 {
		return hostPattern{}, fmt.Errorf("%q is not an IPv4 address: it needs four parts, or * as the last one", text)
	}
	return hostPattern{kind: hostIPv4, text: strings.Join(labels, "."), labels: labels}, nil
}

// literals counts the characters that are not wildcards: the more, the fewer
// hosts match.
func (p hostPattern) literals() int { return len(p.text) - strings.Count(p.text, "*") }

func (p hostPattern) match(host hostName) bool {
	switch p.kind {
	case hostAny:
		return true
	case hostExact:
		return p.text == host.text
	case hostIPv4:
		return host.addr.Is4() && matchLabels(p.labels, host.labels)
	case hostLabels:
		return !host.addr.IsValid() && matchLabels(p.labels, host.labels)
	case hostBelow:
		above := len(host.labels) - len(p.labels)
		return !host.addr.IsValid() && above > 0 && matchLabels(p.labels, host.labels[above:])
	}
	return false
}

// isBelow says whether the hosts of the pattern are those below one host.
func (p hostPattern) isBelow(host hostName) bool {
	return p.kind == hostBelow && !host.addr.IsValid() && matchLabels(p.labels, host.labels)
}

func matchLabels(patterns, labels []string) bool {
	if len(patterns) != len(labels) {
		return false
	}
	for i, pattern := range patterns {
		if !matchLabel(pattern, labels[i]) {
			return false
		}
	}
	return true
}

// matchLabel matches one label; each * is one or more characters.
func matchLabel(pattern, label string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == label
	}
	first, middle, last := parts[0], parts[1:len(parts)-1], parts[len(parts)-1]
	rest, ok := strings.CutPrefix(label, first)
	if !ok {
		return false
	}
	for _, part := range middle {
		if rest == "" {
			return false
		}
		at := strings.Index(rest[1:], part)
		if at < 0 {
			return false
		}
		rest = rest[1+at+len(part):]
	}
	return len(rest) > len(last) && strings.HasSuffix(rest, last)
}
