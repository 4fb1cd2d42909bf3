package replica

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
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

// Validate returns nil or a *ConfigError with every fault there is. It touches no network; it asks the system for the
// time zone and whether the named files are there.
func (c Config) Validate() error {
	var f configFaults
	f.name("Name", c.Name)
	f.folder("Data", c.Data)
	f.folder(ConfigKey("Plugins", "Folder"), c.Plugins.Folder)
	f.size(ConfigKey("Plugins", "CacheSize"), c.Plugins.CacheSize, "1GB")
	f.pluginConfig(c.PluginConfig)
	f.nats(c.NATS)
	f.runtime(c.Runtime)
	f.cache(c.Cache)
	f.scheduler(c.Scheduler)
	f.webSocket(c.WebSocket)
	f.navidrome(c.Navidrome)
	if c.HTTP.Listen != "" {
		f.listen(ConfigKey("HTTP", "Listen"), c.HTTP.Listen)
	}
	f.token(ConfigKey("HTTP", "Token"), c.HTTP.Token)
	if len(f.found) == 0 {
		return nil
	}
	return &ConfigError{Faults: f.found}
}

// configFaults collects what Validate finds. Each method checks one kind of value.
type configFaults struct {
	found []*ConfigFault
}

func (f *configFaults) add(key, format string, args ...any) {
	f.clash(key, "", format, args...)
}

func (f *configFaults) clash(key, against, format string, args ...any) {
	f.found = append(f.found, &ConfigFault{Key: key, Against: against, Text: fmt.Sprintf(format, args...)})
}

func (f *configFaults) pluginConfig(sections map[string]map[string]string) {
	for _, id := range configIDs(f, sections, "PluginConfig") {
		seen := map[string]string{}
		for _, key := range slices.Sorted(maps.Keys(sections[id])) {
			if twin, twice := seen[strings.ToLower(key)]; twice {
				f.add(ConfigKey("PluginConfig", id, key), "the same entry as %s, as case does not matter here; keep one of them", quoteConfig(twin))
				continue
			}
			seen[strings.ToLower(key)] = key
		}
	}
}

// configIDs returns the plugin ids of sections in order, without those that were there already in another case.
func configIDs[V any](f *configFaults, sections map[string]V, path ...string) []string {
	var ids []string
	seen := map[string]string{}
	for _, id := range slices.Sorted(maps.Keys(sections)) {
		key := ConfigSection(append(slices.Clone(path), id)...)
		twin, twice := seen[strings.ToLower(id)]
		switch {
		case id == "":
			f.add(key, "the plugin id is empty; write %s", ConfigSection(append(slices.Clone(path), "my-plugin")...))
		case twice:
			f.add(key, "the same plugin as %s, as case does not matter here; keep one of them", quoteConfig(twin))
		default:
			seen[strings.ToLower(id)] = id
			ids = append(ids, id)
		}
	}
	return ids
}

func (f *configFaults) nats(n NATSConfig) {
	urlKey, listenKey, tokenKey := ConfigKey("NATS", "URL"), ConfigKey("NATS", "Listen"), ConfigKey("NATS", "Token")
	certKey, keyKey := ConfigKey("NATS", "TLS", "Cert"), ConfigKey("NATS", "TLS", "Key")
	embedded := n.URL == ""
	if !embedded {
		f.natsURL(urlKey, n.URL)
	}
	for _, file := range []struct{ key, path string }{
		{ConfigKey("NATS", "Creds"), n.Creds},
		{ConfigKey("NATS", "TLS", "CA"), n.TLS.CA},
		{certKey, n.TLS.Cert},
		{keyKey, n.TLS.Key},
	} {
		switch {
		case file.path == "":
		case embedded:
			f.clash(file.key, urlKey, "%s is for the server at %s, which is empty; the embedded server takes %s only", quoteConfig(file.path), urlKey, tokenKey)
		default:
			f.file(file.key, file.path)
		}
	}
	if n.TLS.Cert != "" && n.TLS.Key == "" {
		f.clash(certKey, keyKey, "%s needs %s as well", quoteConfig(n.TLS.Cert), keyKey)
	} else if n.TLS.Cert == "" && n.TLS.Key != "" {
		f.clash(keyKey, certKey, "%s needs %s as well", quoteConfig(n.TLS.Key), certKey)
	}
	copies := ConfigKey("NATS", "Replicas")
	if n.Replicas < 0 || n.Replicas > configMaxCopies {
		f.add(copies, "%d is not allowed; it takes 1 to %d copies, or 0 to decide by the server", n.Replicas, configMaxCopies)
	} else if embedded && n.Replicas > 1 {
		f.clash(copies, urlKey, "%d copies need a cluster at %s; the embedded server is alone and takes 0 or 1", n.Replicas, urlKey)
	}
	f.choice(ConfigKey("NATS", "Storage"), n.Storage, StorageFile, StorageMemory)
	loopback := f.listen(listenKey, n.Listen)
	f.token(tokenKey, n.Token)
	switch {
	case !embedded && n.Token != "":
		f.clash(tokenKey, urlKey, "goes only with the embedded server, and %s names another one; that server's own token goes into its URL as nats://TOKEN@host:port", urlKey)
	case embedded && n.Token == "" && !loopback:
		f.clash(listenKey, tokenKey, "%s can be reached from other machines, so %s is required, which clients write as nats://TOKEN@host:port; without one only a loopback address such as 127.0.0.1:4222 is allowed", quoteConfig(n.Listen), tokenKey)
	}
}

func (f *configFaults) runtime(r RuntimeConfig) {
	f.calls(r, RuntimeOverride{
		Isolation: &r.Isolation, PoolSize: &r.PoolSize, InstanceTTL: &r.InstanceTTL, MaxConcurrent: &r.MaxConcurrent,
		Queue: &r.Queue, Timeout: &r.Timeout, MaxTimeout: &r.MaxTimeout, InitTimeout: &r.InitTimeout, MaxMemory: &r.MaxMemory,
	}, "Runtime")
	f.size(ConfigKey("Runtime", "HostMemory"), r.HostMemory, "2GB")
	f.duration(ConfigKey("Runtime", "CompileTimeout"), &r.CompileTimeout)
	if r.CompileMemory < configCompiler {
		f.add(ConfigKey("Runtime", "CompileMemory"), "%d bytes is not allowed; it takes 64MiB or more, such as \"512MB\"", r.CompileMemory)
	}
	f.count(ConfigKey("Runtime", "CompileWorkers"), &r.CompileWorkers, 1, configMaxWorker)
	for _, id := range configIDs(f, r.Plugin, "Runtime", "Plugin") {
		f.calls(r.with(r.Plugin[id]), r.Plugin[id], "Runtime", "Plugin", id)
	}
}

// calls checks the settings that section gives, where r is what applies there in the end.
func (f *configFaults) calls(r RuntimeConfig, given RuntimeOverride, section ...string) {
	key := func(name string) string { return ConfigKey(append(slices.Clone(section), name)...) }
	if given.Isolation != nil {
		f.choice(key("Isolation"), *given.Isolation, IsolationClean, IsolationReuse, IsolationFresh)
	}
	f.count(key("PoolSize"), given.PoolSize, 1, configMaxCalls)
	f.duration(key("InstanceTTL"), given.InstanceTTL)
	f.count(key("MaxConcurrent"), given.MaxConcurrent, 1, configMaxCalls)
	f.count(key("Queue"), given.Queue, 0, configMaxQueue)
	f.duration(key("Timeout"), given.Timeout)
	f.duration(key("MaxTimeout"), given.MaxTimeout)
	f.duration(key("InitTimeout"), given.InitTimeout)
	if r.Timeout > 0 && r.MaxTimeout > 0 && r.Timeout > r.MaxTimeout {
		longest := ConfigKey("Runtime", "MaxTimeout")
		if given.MaxTimeout != nil {
			longest = key("MaxTimeout")
		}
		if given.Timeout != nil {
			f.clash(key("Timeout"), longest, "%v is more than the %v of %s; it takes that or less", r.Timeout, r.MaxTimeout, longest)
		} else if given.MaxTimeout != nil {
			usual := ConfigKey("Runtime", "Timeout")
			f.clash(longest, usual, "%v is less than the %v of %s; it takes that or more", r.MaxTimeout, r.Timeout, usual)
		}
	}
	if given.MaxMemory == nil {
		return
	}
	if *given.MaxMemory < configMinMemory || *given.MaxMemory > configMaxMemory {
		f.add(key("MaxMemory"), "%d bytes is not allowed; it takes 64KiB to 4GiB, the most a WebAssembly guest can address", *given.MaxMemory)
	} else if host := ConfigKey("Runtime", "HostMemory"); r.HostMemory > 0 && *given.MaxMemory > r.HostMemory {
		f.clash(key("MaxMemory"), host, "%d bytes is more than the %d bytes of %s; it takes that or less", *given.MaxMemory, r.HostMemory, host)
	}
}

func (f *configFaults) cache(c CacheConfig) {
	f.size(ConfigKey("Cache", "MaxValue"), c.MaxValue, "1MB")
	f.count(ConfigKey("Cache", "MaxEntries"), &c.MaxEntries, 1, configMaxValues)
	f.size(ConfigKey("Cache", "MaxBytes"), c.MaxBytes, "64MB")
	if c.Copy < 0 {
		f.add(ConfigKey("Cache", "Copy"), "%d bytes is not allowed; it takes a size such as \"32MB\", or 0 to turn it off", c.Copy)
	}
	f.duration(ConfigKey("Cache", "Staleness"), &c.Staleness)
}

func (f *configFaults) scheduler(s SchedulerConfig) {
	f.timeZone(ConfigKey("Scheduler", "TimeZone"), s.TimeZone)
	f.count(ConfigKey("Scheduler", "MaxSchedules"), &s.MaxSchedules, 1, configMaxPlans)
	if s.MaxPayload < 0 || s.MaxPayload > configMaxPlan {
		f.add(ConfigKey("Scheduler", "MaxPayload"), "%d bytes is not allowed; it takes 0 to %d", s.MaxPayload, configMaxPlan)
	}
}

func (f *configFaults) webSocket(w WebSocketConfig) {
	f.count(ConfigKey("WebSocket", "MaxConnections"), &w.MaxConnections, 1, configMaxSocket)
	f.size(ConfigKey("WebSocket", "MaxMessage"), w.MaxMessage, "1MB")
	f.duration(ConfigKey("WebSocket", "Ping"), &w.Ping)
}

func (f *configFaults) navidrome(n NavidromeConfig) {
	urlKey, userKey, shareKey := ConfigKey("Navidrome", "URL"), ConfigKey("Navidrome", "User"), ConfigKey("Navidrome", "ShareURL")
	f.webURL(urlKey, n.URL)
	f.headerName(ConfigKey("Navidrome", "UserHeader"), n.UserHeader)
	if n.User != "" {
		f.name(userKey, n.User)
	}
	shared := f.webURL(shareKey, n.ShareURL) && n.servesArtwork()
	if n.ArtworkListen != "" {
		f.listen(ConfigKey("Navidrome", "ArtworkListen"), n.ArtworkListen)
	}
	f.choice(ConfigKey("Navidrome", "Artwork"), n.Artwork, ArtworkProxy, ArtworkBus)
	f.choice(ConfigKey("Navidrome", "Subsonic"), n.Subsonic, SubsonicHTTP, SubsonicBus)
	if shared && n.URL == "" {
		f.clash(shareKey, urlKey, "images are fetched from Navidrome: set %s as well, or leave %s out", urlKey, shareKey)
	}
	if shared && n.User == "" {
		f.clash(shareKey, userKey, "images are fetched from Navidrome as one of its users: set %s as well, or leave %s out", userKey, shareKey)
	}
}

func (f *configFaults) name(key, name string) {
	if name == "" || len(name) > configMaxName || strings.TrimSpace(name) != name || !utf8.ValidString(name) ||
		strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		f.add(key, "%s is not allowed; it takes 1 to %d bytes of printable text without spaces around it", quoteConfig(name), configMaxName)
	}
}

func (f *configFaults) folder(key, path string) {
	if path == "" || strings.ContainsRune(path, 0) {
		f.add(key, "%s is not allowed; it takes the path of a folder", quoteConfig(path))
	}
}

func (f *configFaults) file(key, path string) {
	info, err := os.Stat(path)
	var pathErr *fs.PathError
	switch {
	case errors.As(err, &pathErr):
		f.add(key, "%s cannot be used: %v; it takes the path of a file", quoteConfig(path), pathErr.Err)
	case err != nil:
		f.add(key, "%s cannot be used: %v; it takes the path of a file", quoteConfig(path), err)
	case info.IsDir():
		f.add(key, "%s is a folder; it takes the path of a file", quoteConfig(path))
	case !info.Mode().IsRegular(): // to read a named pipe may take for ever
		f.add(key, "%s is not a regular file; it takes the path of one", quoteConfig(path))
	}
}

func (f *configFaults) choice(key, value string, allowed ...string) {
	if slices.Contains(allowed, value) {
		return
	}
	quoted := make([]string, len(allowed))
	for i, choice := range allowed {
		quoted[i] = strconv.Quote(choice)
	}
	f.add(key, "%s is not allowed; it takes %s", quoteConfig(value), strings.Join(quoted, " or "))
}

func (f *configFaults) count(key string, value *int, least, most int) {
	if value != nil && (*value < least || *value > most) {
		f.add(key, "%d is not allowed; it takes %d to %d", *value, least, most)
	}
}

func (f *configFaults) size(key string, value int64, example string) {
	if value <= 0 {
		f.add(key, "%d bytes is not allowed; it takes a size above 0, such as %q", value, example)
	}
}

func (f *configFaults) duration(key string, value *time.Duration) {
	if value != nil && *value <= 0 {
		f.add(key, "%v is not allowed; it takes a duration above 0, such as \"10s\"", *value)
	}
}

// listen says whether only this machine can reach address. A bad address counts as loopback: its fault is enough.
func (f *configFaults) listen(key, address string) (loopback bool) {
	host, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	ip, notIP := netip.ParseAddr(host)
	badHost := notIP != nil && strings.ContainsFunc(host, func(r rune) bool {
		return r != '-' && r != '.' && r != '_' && (r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r))
	})
	if err != nil || badHost {
		f.add(key, "%s is not allowed; it takes host:port with a port from 0 (picks a free one) to 65535, such as \"127.0.0.1:4222\"", quoteConfig(address))
		return true
	}
	return strings.EqualFold(host, "localhost") || notIP == nil && ip.IsLoopback()
}

// token never quotes the value. The alphabet is what a URL takes unescaped: clients write the token into one.
func (f *configFaults) token(key, token string) {
	if len(token) > configMaxToken || strings.ContainsFunc(token, func(r rune) bool {
		return !strings.ContainsRune("-._~", r) && (r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r))
	}) {
		f.add(key, "this token is not allowed; it takes up to %d letters, digits and -._~", configMaxToken)
	}
}

// natsURL takes what nats.go takes: one URL, or several separated by commas, the scheme nats unless one is given.
func (f *configFaults) natsURL(key, list string) {
	bad := func(why string) {
		f.add(key, "%s %s; it takes nats://host:port, tls://, ws:// or wss://, or several of them separated by commas", quoteConfig(withoutUserinfo(list)), why)
	}
	if len(list) > configMaxURL {
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

// webURL says whether address is empty or good.
func (f *configFaults) webURL(key, address string) bool {
	if address == "" {
		return true
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || !validURLPort(u) || u.User != nil ||
		u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || len(address) > configMaxURL {
		f.add(key, "%s is not allowed; it takes http://host or https://host, with a port and a path if need be, but no user, query or fragment", quoteConfig(withoutUserinfo(address)))
		return false
	}
	return true
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

func (f *configFaults) timeZone(key, zone string) {
	_, err := time.LoadLocation(zone)
	switch {
	case zone == "" || strings.EqualFold(zone, "Local"):
		f.add(key, "%s is not allowed, as every replica must mean the same zone; it takes a name such as \"UTC\" or \"Europe/Berlin\"", quoteConfig(zone))
	case err != nil:
		f.add(key, "%s is no known time zone; it takes a name such as \"UTC\" or \"Europe/Berlin\"", quoteConfig(zone))
	}
}

func (f *configFaults) headerName(key, name string) {
	if name == "" || len(name) > configMaxName || strings.ContainsFunc(name, func(r rune) bool {
		return !strings.ContainsRune("!#$%&'*+-.^_`|~", r) && (r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r))
	}) {
		f.add(key, "%s is no name of an HTTP header; it takes one such as \"Remote-User\"", quoteConfig(name))
	}
}
