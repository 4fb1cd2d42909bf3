package config

import (
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits of values.
const (
	minMemory   = 64 << 10 // bytes; one WebAssembly page
	maxMemory   = 4 << 30  // bytes; what 32-bit WebAssembly can address
	minCompiler = 64 << 20 // bytes; what compiling the smallest plugin takes, and some more
	maxName     = 255      // bytes
	maxToken    = 256      // bytes
	maxURL      = 4096     // bytes
	maxCopies   = 5        // JetStream's own limit
	maxPayload  = 500_000  // bytes of a schedule's payload; encoded, it fits a message of 1 MB
	maxProxies  = 1_000    // addresses and ranges
	maxHosts    = 1_000    // names of the gateway
	maxAgents   = 1_000    // plugins in an order
	maxWords    = 100      // texts of a list
	maxWord     = 512      // bytes
)

// orEmpty takes an empty text as well.
func orEmpty(check func(f *faults, key, text string)) func(*faults, string, string) {
	return func(f *faults, key, text string) {
		if text != "" {
			check(f, key, text)
		}
	}
}

func (f *faults) name(key, name string) {
	if !isPrintable(name) || strings.TrimSpace(name) != name {
		f.add(key, "%s is not allowed; it takes 1 to %d bytes of printable text without spaces around it", quote(name), maxName)
	}
}

func (f *faults) printable(key, text string) {
	if !isPrintable(text) {
		f.add(key, "%s is not allowed; it takes 1 to %d bytes of printable text", quote(text), maxName)
	}
}

// isPrintable says whether a text has 1 to maxName bytes, all of it printable.
func isPrintable(text string) bool {
	return text != "" && len(text) <= maxName && utf8.ValidString(text) &&
		!strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

func (f *faults) folder(key, path string) {
	if path == "" || strings.ContainsRune(path, 0) {
		f.add(key, "%s is not allowed; it takes the path of a folder", quote(path))
	}
}

func (f *faults) file(key, path string) {
	info, err := os.Stat(path)
	var pathErr *fs.PathError
	switch {
	case errors.As(err, &pathErr):
		f.add(key, "%s cannot be used: %v; it takes the path of a file", quote(path), pathErr.Err)
	case err != nil:
		f.add(key, "%s cannot be used: %v; it takes the path of a file", quote(path), err)
	case info.IsDir():
		f.add(key, "%s is a folder; it takes the path of a file", quote(path))
	case !info.Mode().IsRegular(): // to read a named pipe may take for ever
		f.add(key, "%s is not a regular file; it takes the path of one", quote(path))
	}
}

func (f *faults) choice(key, value string, allowed []string) {
	if slices.Contains(allowed, value) {
		return
	}
	quoted := make([]string, len(allowed))
	for i, choice := range allowed {
		quoted[i] = strconv.Quote(choice)
	}
	f.add(key, "%s is not allowed; it takes %s", quote(value), strings.Join(quoted, " or "))
}

func (f *faults) count(key string, value, least, most int) {
	if value < least || value > most {
		f.add(key, "%d is not allowed; it takes %d to %d", value, least, most)
	}
}

func (f *faults) list(key string, entries []string, most int, allowed func(f *faults, key, entry string)) {
	if len(entries) > most {
		f.add(key, "%d entries are too many; it takes up to %d", len(entries), most)
		return
	}
	for _, entry := range entries {
		allowed(f, key, entry)
	}
}

// proxy takes no zone and no IPv4 address in the form of IPv6: none would ever match.
func (f *faults) proxy(key, entry string) {
	address, err := netip.ParseAddr(entry)
	if err != nil {
		var network netip.Prefix
		network, err = netip.ParsePrefix(entry)
		address = network.Addr()
	}
	switch {
	case err != nil, address.Zone() != "":
		f.add(key, "%s is no address; each entry is one such as \"127.0.0.1\", or a range such as \"10.0.0.0/8\"", quote(entry))
	case address.Is4In6():
		f.add(key, "%s is an IPv4 address in the form of IPv6, which is not allowed; write it as IPv4, such as \"10.0.0.0/8\"", quote(entry))
	}
}

func (f *faults) word(key, entry string) {
	switch {
	case entry == "":
		f.add(key, "\"\" is not allowed, as every error contains it; each entry is a text of 1 to %d bytes", maxWord)
	case len(entry) > maxWord:
		f.add(key, "%s has %d bytes; each entry is a text of 1 to %d", quote(entry), len(entry), maxWord)
	}
}

// size gives the default as an example.
func (f *faults) size(key string, bytes, fallback int64) {
	if bytes <= 0 {
		f.add(key, "%d bytes is not allowed; it takes a size above 0, such as %s", bytes, writeSize(fallback))
	}
}

func (f *faults) compileMemory(key string, bytes int64) {
	if bytes < minCompiler {
		f.add(key, "%d bytes is not allowed; it takes 64MiB or more, such as \"512MB\"", bytes)
	}
}

func (f *faults) copies(key string, bytes int64) {
	if bytes < 0 {
		f.add(key, "%d bytes is not allowed; it takes a size such as \"32MB\", or 0 to turn it off", bytes)
	}
}

func (f *faults) payload(key string, bytes int64) {
	if bytes < 0 || bytes > maxPayload {
		f.add(key, "%d bytes is not allowed; it takes 0 to %d", bytes, maxPayload)
	}
}

func (f *faults) duration(key string, value time.Duration) {
	if value <= 0 {
		f.add(key, "%v is not allowed; it takes a duration above 0, such as \"10s\"", value)
	}
}

func (f *faults) listen(key, address string) {
	if _, ok := splitListen(address); !ok {
		f.add(key, "%s is not allowed; it takes host:port with a port from 0 (picks a free one) to 65535, such as \"127.0.0.1:4222\"", quote(address))
	}
}

// splitListen says whether only this machine can reach an address, and whether it is one.
func splitListen(address string) (isLoopback, ok bool) {
	host, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	ip, notIP := netip.ParseAddr(host)
	badHost := notIP != nil && strings.ContainsFunc(host, func(r rune) bool {
		return r != '-' && r != '.' && r != '_' && (r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r))
	})
	if err != nil || badHost {
		return false, false
	}
	return strings.EqualFold(host, "localhost") || notIP == nil && ip.IsLoopback(), true
}

// token never quotes the value. The alphabet is what a URL takes unescaped: clients write the token into one.
func (f *faults) token(key, token string) {
	if len(token) > maxToken || strings.ContainsFunc(token, func(r rune) bool {
		return !strings.ContainsRune("-._~", r) && (r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r))
	}) {
		f.add(key, "this token is not allowed; it takes up to %d letters, digits and -._~", maxToken)
	}
}

// minAccessToken is how long a token must be that lets in whoever has it.
const minAccessToken = 16

func (f *faults) accessToken(key, token string) {
	if len(token) < minAccessToken {
		f.add(key, "this token is not allowed, as it can be guessed; it takes %d to %d letters, digits and -._~", minAccessToken, maxToken)
		return
	}
	f.token(key, token)
}

// hostName takes a name of a host, or all below one.
func (f *faults) hostName(key, entry string) {
	name := strings.TrimPrefix(entry, "*.")
	if name == "" || len(entry) > 255 || strings.ContainsFunc(name, func(r rune) bool {
		return !strings.ContainsRune("-_.", r) && (r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r))
	}) {
		f.add(key, "%s is no name of a host; each entry is one such as \"plugins.example.com\", or all below one, such as \"*.example.com\", without a port", quote(entry))
	}
}

func (f *faults) pluginID(key, entry string) {
	if entry == "" || len(entry) > 255 {
		f.add(key, "%s is no id of a plugin; each entry is one of 1 to 255 bytes", quote(entry))
	}
}

// natsURL takes what nats.go takes: one URL, or several separated by commas, the scheme nats unless one is given.
func (f *faults) natsURL(key, list string) {
	bad := func(why string) {
		f.add(key, "%s %s; it takes nats://host:port, tls://, ws:// or wss://, or several of them separated by commas", quote(withoutUserinfo(list)), why)
	}
	if len(list) > maxURL {
		bad("is too long")
		return
	}
	web := map[bool]bool{}
	for _, server := range strings.Split(list, ",") {
		server = strings.TrimSpace(server)
		if !strings.Contains(server, "://") {
			server = "nats://" + server
		}
		// The parser's own words may quote a password, so they are not passed on.
		u, err := url.Parse(server)
		switch {
		case err != nil || u.Hostname() == "" || !validURLPort(u):
			bad("is no server URL")
			return
		case !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme):
			bad("has another scheme")
			return
		case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
			bad("has more than a host and a port")
			return
		}
		web[u.Scheme == "ws" || u.Scheme == "wss"] = true
	}
	if len(web) > 1 {
		bad("mixes WebSocket servers with others")
	}
}

func (f *faults) webURL(key, address string) {
	if !isWebURL(address) {
		f.add(key, "%s is not allowed; it takes http://host or https://host, with a port and a path if need be, but no user, query or fragment", quote(withoutUserinfo(address)))
	}
}

func isWebURL(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && validURLPort(u) && u.User == nil &&
		u.RawQuery == "" && !u.ForceQuery && u.Fragment == "" && len(address) <= maxURL
}

func validURLPort(u *url.URL) bool {
	if u.Port() == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	return err == nil && port > 0
}

// withoutUserinfo works on text that may be no URL at all, and rather hides too much.
func withoutUserinfo(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return address
	}
	scheme, _, found := strings.Cut(address[:at], "://")
	if !found {
		return "***" + address[at:]
	}
	return scheme + "://***" + address[at:]
}

func (f *faults) timeZone(key, zone string) {
	_, err := time.LoadLocation(zone)
	switch {
	case zone == "" || strings.EqualFold(zone, "Local"):
		f.add(key, "%s is not allowed, as every replica must mean the same zone; it takes a name such as \"UTC\" or \"Europe/Berlin\"", quote(zone))
	case err != nil:
		f.add(key, "%s is no known time zone; it takes a name such as \"UTC\" or \"Europe/Berlin\"", quote(zone))
	}
}

func (f *faults) headerName(key, name string) {
	if name == "" || len(name) > maxName || strings.ContainsFunc(name, func(r rune) bool {
		return !strings.ContainsRune("!#$%&'*+-.^_`|~", r) && (r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r))
	}) {
		f.add(key, "%s is no name of an HTTP header; it takes one such as \"Remote-User\"", quote(name))
	}
}
