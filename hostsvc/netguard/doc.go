// Package netguard decides where a plugin may connect to. The HTTP and the
// WebSocket service share it.
//
// Two checks stand one behind the other, and both must pass at every hop:
//
//   - [Patterns] holds the URL patterns of the plugin's manifest and decides
//     about a URL and a method before anything is sent. It works on text only.
//   - [Guard] looks at the address that is really dialled, after the name was
//     resolved. A name that resolves to one address while it is checked and to
//     another one when it is dialled gains nothing.
//
// # URL patterns
//
// A pattern is [scheme://]host[:port][/path]. The parts mean:
//
//   - scheme: http, https, ws or wss. "http*" is http or https, "ws*" is ws or
//     wss, "*" or no scheme at all ("//host/path") is any of the four.
//   - host: a name or an IP address, in any case, with or without a final dot.
//     A leading "*." is one or more labels (never the bare domain behind it);
//     any other "*" is one or more characters of one label. "*" alone is every
//     host. Where the labels are numbers and "*" only, the pattern is one for
//     IPv4 addresses and matches no name: "192.168.*.*", or shorter "192.168.*".
//   - port: without one, the default port of the URL's scheme; ":*" is any port.
//     A host of "*" without a port is any port, too.
//   - path: without one, every path. "/*" at the end is that folder and all below
//     it: "/v1/*" matches "/v1", "/v1/" and "/v1/x", but not "/v1x". Any other path
//     is exact ("/v1" is not "/v1/"), and a "*" elsewhere in it is an ordinary
//     character. A path of "/" behind a host with "*" is every path, as it was in
//     Navidrome 0.58.
//   - query and fragment play no part.
//
// "*" alone matches everything and "/path" matches that path on every host.
// There is no other syntax, and in particular no regular expression.
//
// # Which pattern decides
//
// The most specific pattern that matches decides, and its decision is final: when
// the method is not in its list, the request is denied, whatever less specific
// patterns say. The order is total. The first of these that differs counts:
//
//  1. host: more literal characters first, so an exact host beats every wildcard
//  2. port: one port before ":*"
//  3. path: exact before "/*", a longer "/*" before a shorter one, every path last
//  4. scheme: one before "http*" and "ws*", these before any
//  5. the pattern's canonical text, in byte order
//
// So a pattern that matches a part of what another one matches always comes
// first. Patterns that mean the same (HTTPS://A.com and https://a.com:443/*) are
// one pattern with the methods of both.
//
// # Paths
//
// What is checked is what is sent. Dot segments ("..", "%2e%2e") are resolved
// first, and the resolved path is the one that goes out. A doubled or an encoded
// slash is kept, because to some servers it matters, but others read it as a
// single slash: every reading must be allowed. Where only the path with single
// slashes is allowed, that one is sent. A dot segment that shows up in one reading
// alone ("..%2F", "..;") is refused.
package netguard

// Limits of what this package takes from a manifest or a plugin.
const (
	// MaxPatterns is how many URL patterns a plugin may have.
	MaxPatterns = 200
	// MaxPatternLength is the longest URL pattern, in bytes.
	MaxPatternLength = 2048
	// MaxMethods is how many methods a pattern may list.
	MaxMethods = 32
	// MaxURLLength is the longest URL a plugin may ask for, in bytes, as it is
	// written and as it is sent.
	MaxURLLength = 8 << 10
)
