package netguard

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// cleanPath removes the dot segments of an escaped path (RFC 3986, 5.2.4), also
// those with encoded dots. Doubled and encoded slashes stay as they are. It fails
// for a dot segment that only some servers would see.
func cleanPath(escaped string) (string, error) {
	if escaped == "" {
		return "/", nil
	}
	if escaped[0] != '/' {
		return "", errors.New("the path does not begin with a slash")
	}
	segments := strings.Split(escaped[1:], "/")
	var kept []string
	for i, segment := range segments {
		last := i == len(segments)-1
		switch decodeDots(segment) {
		case ".":
		case "..":
			if len(kept) > 0 {
				kept = kept[:len(kept)-1]
			}
		default:
			if hidesDots(segment) {
				return "", fmt.Errorf("the path hides a dot segment in %q", segment)
			}
			kept = append(kept, segment)
			continue
		}
		if last { // "/a/.." is the folder "/", not the file before it
			kept = append(kept, "")
		}
	}
	return "/" + strings.Join(kept, "/"), nil
}

func decodeDots(segment string) string {
	return strings.NewReplacer("%2e", ".", "%2E", ".").Replace(segment)
}

// hidesDots reports whether a server that decodes slashes, takes a backslash for
// one, or cuts off parameters finds a dot segment inside this segment.
func hidesDots(segment string) bool {
	decoded, err := url.PathUnescape(segment)
	if err != nil {
		return true
	}
	return slices.ContainsFunc(strings.FieldsFunc(decoded, func(r rune) bool { return r == '/' || r == '\\' }),
		func(part string) bool {
			part, _, _ = strings.Cut(part, ";")
			return part == "." || part == ".."
		})
}

// singleSlashes makes every run of slashes one.
func singleSlashes(path string) string {
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	return path
}

// normalPath decodes a valid escaped path, except for an encoded slash, backslash
// and percent sign, which stay encoded: two paths that differ in meaning stay
// different, and two spellings of one path become equal.
func normalPath(escaped string) string {
	var b strings.Builder
	for i := 0; i < len(escaped); i++ {
		if escaped[i] != '%' || i+2 >= len(escaped) {
			b.WriteByte(escaped[i])
			continue
		}
		code := strings.ToUpper(escaped[i : i+3])
		decoded, err := url.PathUnescape(code)
		if err != nil || strings.ContainsAny(decoded, `/\%`) {
			decoded = code
		}
		b.WriteString(decoded)
		i += 2
	}
	return b.String()
}

// readings returns what servers may take a cleaned escaped path for, in normal
// form. The first is the path as it is spelled.
func readings(escaped string) []string {
	spelled := normalPath(escaped)
	found := []string{spelled}
	decoded := strings.NewReplacer("%2F", "/", "%5C", "/").Replace(spelled)
	for _, other := range []string{singleSlashes(spelled), decoded, singleSlashes(decoded)} {
		if !slices.Contains(found, other) {
			found = append(found, other)
		}
	}
	return found
}

type pathKind int

const (
	pathAny    pathKind = iota // no path
	pathFolder                 // /v1/*: text holds /v1
	pathExact
)

// pathPattern is the path part of a pattern.
type pathPattern struct {
	kind pathKind
	text string // normal form
}

func parsePathPattern(text string) (pathPattern, error) {
	if end := strings.IndexAny(text, "?#"); end >= 0 {
		text = text[:end]
	}
	folder, isFolder := strings.CutSuffix(text, "/*")
	if isFolder {
		text = folder
	}
	if text == "" {
		return pathPattern{kind: pathAny}, nil
	}
	u, err := url.Parse("http://host" + text)
	if err != nil {
		return pathPattern{}, fmt.Errorf("bad path %q", text)
	}
	escaped := u.EscapedPath()
	cleaned, err := cleanPath(escaped)
	if err != nil {
		return pathPattern{}, err
	}
	if cleaned != escaped {
		return pathPattern{}, fmt.Errorf("path %q has dot segments: write it without", text)
	}
	normal := normalPath(singleSlashes(cleaned))
	if !isFolder {
		return pathPattern{kind: pathExact, text: normal}, nil
	}
	normal = strings.TrimSuffix(normal, "/")
	if normal == "" {
		return pathPattern{kind: pathAny}, nil
	}
	return pathPattern{kind: pathFolder, text: normal}, nil
}

// match reports whether one reading of a path matches. The path as spelled is
// looked at, too: a pattern with an encoded slash means just that spelling, and a
// spelling inside a folder is inside it in every reading.
func (p pathPattern) match(spelled, reading string) bool {
	switch p.kind {
	case pathAny:
		return true
	case pathExact:
		return reading == p.text || spelled == p.text
	case pathFolder:
		return p.contains(reading) || p.contains(spelled)
	}
	return false
}

func (p pathPattern) contains(path string) bool {
	rest, ok := strings.CutPrefix(path, p.text)
	return ok && (rest == "" || rest[0] == '/')
}
