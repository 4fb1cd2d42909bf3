package netguard_test

import (
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/hostsvc/netguard"
)

// Any text is a pattern or an error, and a pattern is stable: it is most specific
// against itself, and matching never panics.
func FuzzParsePattern(f *testing.F) {
	for _, seed := range []string{"*", "https://*.example.com:*/v1/*", "http*://192.168.*.*/a%2Fb", "//[fe80::1%25eth0]:80/x?y", "/foo/*", "https://a*b*c.com/**", "ws://10.*"} {
		f.Add(seed, "https://a.example.com/v1/x")
	}
	f.Fuzz(func(t *testing.T, text, rawURL string) {
		pattern, err := netguard.ParsePattern(text)
		if err != nil {
			return
		}
		if pattern.String() != text {
			t.Fatalf("pattern %q became %q", text, pattern)
		}
		patterns, err := netguard.ParseList([]string{text})
		if err != nil {
			t.Fatal(err)
		}
		// The only pattern allows what it matches; it may allow more, namely what
		// matches once double slashes are single ones.
		if _, err := patterns.Check(rawURL, "GET"); err != nil && pattern.Match(rawURL) {
			t.Fatalf("pattern %q matches %q, but: %v", text, rawURL, err)
		}
	})
}

// Whatever a plugin asks for below a folder, what is sent is below that folder for
// every server: one that decodes the path, one that resolves dots, both, or none.
func FuzzThePathStaysInItsFolder(f *testing.F) {
	for _, seed := range []string{"x", "../secret", "%2e%2e/secret", "..%2fsecret", `..\secret`, "..%5c..%5csecret", "..;/secret", "//..//secret", "x/%2F..%2F..", "%252e%252e/", "?../../", "#/..", "%00/..", "./.", "a b/ü", "%zz"} {
		f.Add("https://a.com/v1/" + seed)
		f.Add("https://a.com/" + seed)
	}
	patterns, err := netguard.Parse(map[string][]string{"https://a.com/v1/*": {"*"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, rawURL string) {
		sent, err := patterns.Check(rawURL, "GET")
		if err != nil {
			return
		}
		if sent.Scheme != "https" || sent.Host != "a.com" || sent.User != nil || sent.Opaque != "" {
			t.Fatalf("%q is sent to %q", rawURL, sent)
		}
		raw := sent.EscapedPath()
		decoded, err := url.PathUnescape(raw)
		if err != nil {
			t.Fatalf("%q is sent with a bad path %q", rawURL, raw)
		}
		slashes := strings.ReplaceAll(decoded, `\`, "/")
		for _, reading := range []string{raw, decoded, slashes, path.Clean(raw), path.Clean(decoded), path.Clean(slashes)} {
			if reading != "/v1" && !strings.HasPrefix(reading, "/v1/") {
				t.Fatalf("%q is sent as %q, which some servers read as %q", rawURL, raw, reading)
			}
		}
		again, err := patterns.Check(sent.String(), "GET")
		if err != nil || again.String() != sent.String() {
			t.Fatalf("%q is sent as %q, but that as %v (%v)", rawURL, sent, again, err)
		}
	})
}
