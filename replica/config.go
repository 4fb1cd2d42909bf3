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

// Values of RuntimeConfig.Isolation, NATSConfig.Storage, NavidromeConfig.Artwork and NavidromeConfig.Subsonic.
const (
	IsolationReuse = "reuse" // a pool of instances that keep their memory from call to call
	IsolationFresh = "fresh" // a new instance for every call
	IsolationClean = "clean" // restored instances; Validate refuses it in this version

	StorageFile   = "file"   // JetStream keeps its data on disk
	StorageMemory = "memory" // JetStream keeps its data in memory

	ArtworkProxy = "proxy" // artwork URLs are made from ShareURL
	ArtworkBus   = "bus"   // Navidrome is asked for artwork URLs over NATS

	SubsonicHTTP = "http" // Subsonic calls go to Navidrome over HTTP
	SubsonicBus  = "bus"  // Subsonic calls go to Navidrome over NATS
)

// Limits of configuration values.
const (
	configMinMemory = 64 << 10 // bytes; one WebAssembly page
	configMaxMemory = 4 << 30  // bytes; what 32-bit WebAssembly can address
	configMaxName   = 255      // bytes
	configMaxToken  = 256      // bytes
	configMaxURL    = 4096     // bytes
	configMaxCopies = 5        // JetStream's own limit
	configMaxCalls  = 10_000   // instances, and calls at once
	configMaxQueue  = 1 << 20  // calls
	configMaxWorker = 256      // compilers
	configMaxShown  = 120      // bytes of a foreign text that a fault quotes
)

// Config is everything a replica can be told. Its fields are the keys of pluginhost.toml under the same names.
// Start from DefaultConfig, set Name, Data and Plugins.Folder, and call Validate before use.
type Config struct {
	// Name is what operators call this replica: 1 to 255 bytes of printable text.
	// It need not be unique. No default here; the pluginhost command uses the host name.
	Name string
	// Data is the folder of everything the replica keeps on disk.
	// No default here; the pluginhost command uses $XDG_DATA_HOME/pluginhost.
	Data string
	// Plugins says which plugins are hosted.
	Plugins PluginsConfig
	// PluginConfig has the entries handed to each plugin: plugin id, then entry key, then value.
	// Use PluginConfigFor to read it, which ignores case. Defaults to none.
	PluginConfig map[string]map[string]string
	// NATS is the server to connect to, or the one to embed.
	NATS NATSConfig
	// Runtime bounds the guests.
	Runtime RuntimeConfig
	// Scheduler is about plugins' schedules.
	Scheduler SchedulerConfig
	// Navidrome says how to reach Navidrome for the host services that need it.
	Navidrome NavidromeConfig
	// HTTP is the replica's own HTTP server.
	HTTP HTTPConfig
}

// PluginsConfig is section [Plugins].
type PluginsConfig struct {
	// Enabled false hosts no plugin at all. Defaults to true.
	Enabled bool
	// Folder holds one folder for each plugin. No default here; the pluginhost command uses <Data>/plugins.
	Folder string
	// CacheSize is how many bytes compiled modules may take on disk; the oldest go first. Defaults to 100,000,000 ("100MB").
	CacheSize int64
}

// NATSConfig is section [NATS].
type NATSConfig struct {
	// URL is the server to connect to, or several separated by commas: nats, tls, ws or wss.
	// Defaults to empty: a server with JetStream is embedded.
	URL string
	// Creds is the path of a credentials file, for a server at URL. Defaults to none.
	Creds string
	// TLS is for a server at URL.
	TLS TLSConfig
	// Replicas is how many copies JetStream keeps, 1 to 5. Defaults to 0: 3 on a clustered server, 1 otherwise.
	Replicas int
	// Storage is where JetStream keeps its data: StorageFile or StorageMemory. Defaults to StorageFile.
	Storage string
	// Listen is the host:port of the embedded server; port 0 picks a free one. Defaults to "127.0.0.1:4222".
	Listen string
	// Token is what clients of the embedded server must present, by writing its URL as nats://TOKEN@host:port:
	// up to 256 letters, digits and -._~ . Required unless Listen is a loopback address. Defaults to none.
	Token string
}

// TLSConfig is section [NATS.TLS]: paths of PEM files.
type TLSConfig struct {
	// CA has the authorities that may vouch for the server. Defaults to the system's.
	CA string
	// Cert is the certificate to present, together with Key. Defaults to none.
	Cert string
	// Key is the private key of Cert. Defaults to none.
	Key string
}

// RuntimeConfig is section [Runtime]. For gives what applies to one plugin.
type RuntimeConfig struct {
	// Isolation says what a call may see of earlier ones: IsolationReuse or IsolationFresh. Defaults to IsolationReuse.
	Isolation string
	// PoolSize is how many idle instances a plugin keeps, 1 to 10,000. Defaults to 8.
	PoolSize int
	// InstanceTTL is how long an idle instance is kept. Defaults to 1 minute.
	InstanceTTL time.Duration
	// MaxConcurrent is how many calls of a plugin run at the same time, 1 to 10,000. Defaults to 10.
	MaxConcurrent int
	// Queue is how many calls of a plugin may wait for their turn, 0 (refuse at once) to 1,048,576. Defaults to 256.
	Queue int
	// Timeout is how long a call may take when its caller does not say. Defaults to 10 seconds.
	Timeout time.Duration
	// MaxTimeout is the longest time a caller may ask for; at least Timeout. Defaults to 60 seconds.
	MaxTimeout time.Duration
	// MaxMemory is how many bytes one guest may have, 64 KiB to 4 GiB. Defaults to 256,000,000 ("256MB").
	MaxMemory int64
	// HostMemory is how many bytes all guests of the replica may have together; at least MaxMemory. Defaults to 2,000,000,000 ("2GB").
	HostMemory int64
	// CompileTimeout is how long compiling one plugin may take. Defaults to 1 minute.
	CompileTimeout time.Duration
	// CompileWorkers is how many plugins are compiled at the same time, 1 to 256. Defaults to 2.
	CompileWorkers int
	// Plugin has what differs for single plugins, by plugin id. Use For to read it, which ignores case. Defaults to none.
	Plugin map[string]RuntimeOverride
}

// RuntimeOverride is a section [Runtime.Plugin.<id>]. A nil field leaves the setting as it is for all plugins;
// units, limits and meaning are those of the field of the same name in RuntimeConfig.
type RuntimeOverride struct {
	Isolation     *string        // IsolationReuse or IsolationFresh
	PoolSize      *int           // idle instances
	InstanceTTL   *time.Duration // how long an idle instance is kept
	MaxConcurrent *int           // calls at the same time
	Queue         *int           // calls waiting
	Timeout       *time.Duration // for callers that do not say
	MaxTimeout    *time.Duration // the most a caller may ask for
	MaxMemory     *int64         // bytes of one guest
}

// SchedulerConfig is section [Scheduler].
type SchedulerConfig struct {
	// TimeZone is the IANA zone of schedules that name none. "Local" is refused. Defaults to "UTC".
	TimeZone string
}

// NavidromeConfig is section [Navidrome].
type NavidromeConfig struct {
	// URL is Navidrome's own address, http or https, with its base path if it has one. Defaults to none.
	URL string
	// UserHeader is the request header in which Navidrome trusts a user name. Defaults to "Remote-User".
	UserHeader string
	// ShareURL is the public address in artwork links, http or https. Defaults to none.
	ShareURL string
	// Artwork says who makes artwork URLs: ArtworkProxy or ArtworkBus. Defaults to ArtworkProxy.
	Artwork string
	// Subsonic says how Subsonic calls travel: SubsonicHTTP or SubsonicBus. Defaults to SubsonicHTTP.
	Subsonic string
}

// HTTPConfig is section [HTTP]: health, metrics and the dashboard.
type HTTPConfig struct {
	// Listen is a host:port; port 0 picks a free one, empty turns the server off. Defaults to "127.0.0.1:8080".
	Listen string
	// Token is what HTTP clients must present: up to 256 letters, digits and -._~ . Defaults to none.
	Token string
}

// DefaultConfig has every default that does not depend on the machine: Name, Data and Plugins.Folder are empty.
func DefaultConfig() Config {
	return Config{
		Plugins: PluginsConfig{Enabled: true, CacheSize: 100_000_000},
		NATS:    NATSConfig{Storage: StorageFile, Listen: "127.0.0.1:4222"},
		Runtime: RuntimeConfig{
			Isolation:      IsolationReuse,
			PoolSize:       8,
			InstanceTTL:    time.Minute,
			MaxConcurrent:  10,
			Queue:          256,
			Timeout:        10 * time.Second,
			MaxTimeout:     60 * time.Second,
			MaxMemory:      256_000_000,
			HostMemory:     2_000_000_000,
			CompileTimeout: time.Minute,
			CompileWorkers: 2,
		},
		Scheduler: SchedulerConfig{TimeZone: "UTC"},
		Navidrome: NavidromeConfig{UserHeader: "Remote-User", Artwork: ArtworkProxy, Subsonic: SubsonicHTTP},
		HTTP:      HTTPConfig{Listen: "127.0.0.1:8080"},
	}
}

// PluginConfigFor returns a copy of the entries of plugin id, never nil. Ids match whatever their case, and entry keys
// are lower-case, as plugins expect them. A plugin without a section gets an empty map.
func (c Config) PluginConfigFor(id string) map[string]string {
	section, _ := configSectionOf(c.PluginConfig, id)
	entries := make(map[string]string, len(section))
	for key, value := range section {
		entries[strings.ToLower(key)] = value
	}
	return entries
}

// For returns the settings of plugin id: its [Runtime.Plugin.<id>] section laid over the rest. Ids match whatever their
// case. The result has no Plugin map.
func (r RuntimeConfig) For(id string) RuntimeConfig {
	section, _ := configSectionOf(r.Plugin, id)
	return r.with(section)
}

func (r RuntimeConfig) with(o RuntimeOverride) RuntimeConfig {
	r.Plugin = nil
	overrideConfig(&r.Isolation, o.Isolation)
	overrideConfig(&r.PoolSize, o.PoolSize)
	overrideConfig(&r.InstanceTTL, o.InstanceTTL)
	overrideConfig(&r.MaxConcurrent, o.MaxConcurrent)
	overrideConfig(&r.Queue, o.Queue)
	overrideConfig(&r.Timeout, o.Timeout)
	overrideConfig(&r.MaxTimeout, o.MaxTimeout)
	overrideConfig(&r.MaxMemory, o.MaxMemory)
	return r
}

func overrideConfig[T any](dst, src *T) {
	if src != nil {
		*dst = *src
	}
}

// configSectionOf prefers the exact spelling, so that a Config that Validate refuses still gives one answer.
func configSectionOf[V any](sections map[string]V, id string) (V, bool) {
	if section, ok := sections[id]; ok {
		return section, true
	}
	lower := strings.ToLower(id)
	for _, spelled := range slices.Sorted(maps.Keys(sections)) {
		if strings.ToLower(spelled) == lower {
			return sections[spelled], true
		}
	}
	var none V
	return none, false
}

// ConfigFault is one thing that is wrong with a Config.
type ConfigFault struct {
	// Key names the setting as the file does: "[Runtime] PoolSize". ConfigKey makes it.
	Key string
	// Text says which value is bad and what is allowed. It never has a token or a password in it.
	Text string
	// Against is the key of the setting that Key does not go together with; empty when the value is bad by itself.
	Against string
}

// Error is the key and the text.
func (f *ConfigFault) Error() string { return f.Key + ": " + f.Text }

// ConfigError has all faults of a Config in the order of its fields, at least one.
type ConfigError struct {
	Faults []*ConfigFault
}

// Error has one line for each fault.
func (e *ConfigError) Error() string {
	lines := make([]string, len(e.Faults))
	for i, fault := range e.Faults {
		lines[i] = fault.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the faults to errors.Is and errors.As.
func (e *ConfigError) Unwrap() []error {
	errs := make([]error, len(e.Faults))
	for i, fault := range e.Faults {
		errs[i] = fault
	}
	return errs
}

// ConfigKey writes the path of a setting as it stands in the file: ConfigKey("NATS", "TLS", "CA") is "[NATS.TLS] CA".
// Parts that TOML does not take bare are quoted, and cut when very long.
func ConfigKey(path ...string) string {
	last := len(path) - 1
	switch {
	case last < 0:
		return ""
	case last == 0:
		return configKeyPart(path[0])
	}
	return ConfigSection(path[:last]...) + " " + configKeyPart(path[last])
}

// ConfigSection writes the path of a section as it stands in the file: ConfigSection("NATS", "TLS") is "[NATS.TLS]".
func ConfigSection(path ...string) string {
	parts := make([]string, len(path))
	for i, part := range path {
		parts[i] = configKeyPart(part)
	}
	return "[" + strings.Join(parts, ".") + "]"
}

func configKeyPart(part string) string {
	bare := func(r rune) bool {
		return r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
	}
	if part == "" || len(part) > configMaxShown || strings.ContainsFunc(part, func(r rune) bool { return !bare(r) }) {
		return quoteConfig(part)
	}
	return part
}

// quoteConfig quotes a foreign text on one line, cut when very long.
func quoteConfig(s string) string {
	if len(s) <= configMaxShown {
		return strconv.Quote(s)
	}
	cut := configMaxShown
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strconv.Quote(s[:cut]) + "…"
}

// Validate returns nil or a *ConfigError with every fault there is. It touches no network; it asks the system for the
// time zone and whether the named files are there.
func (c Config) Validate() error {
	var f configFaults
	f.name("Name", c.Name)
	f.folder("Data", c.Data)
	f.folder(ConfigKey("Plugins", "Folder"), c.Plugins.Folder)
	f.size(ConfigKey("Plugins", "CacheSize"), c.Plugins.CacheSize, "100MB")
	f.pluginConfig(c.PluginConfig)
	f.nats(c.NATS)
	f.runtime(c.Runtime)
	f.timeZone(ConfigKey("Scheduler", "TimeZone"), c.Scheduler.TimeZone)
	f.webURL(ConfigKey("Navidrome", "URL"), c.Navidrome.URL)
	f.headerName(ConfigKey("Navidrome", "UserHeader"), c.Navidrome.UserHeader)
	f.webURL(ConfigKey("Navidrome", "ShareURL"), c.Navidrome.ShareURL)
	f.choice(ConfigKey("Navidrome", "Artwork"), c.Navidrome.Artwork, ArtworkProxy, ArtworkBus)
	f.choice(ConfigKey("Navidrome", "Subsonic"), c.Navidrome.Subsonic, SubsonicHTTP, SubsonicBus)
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
		Queue: &r.Queue, Timeout: &r.Timeout, MaxTimeout: &r.MaxTimeout, MaxMemory: &r.MaxMemory,
	}, "Runtime")
	f.size(ConfigKey("Runtime", "HostMemory"), r.HostMemory, "2GB")
	f.duration(ConfigKey("Runtime", "CompileTimeout"), &r.CompileTimeout)
	f.count(ConfigKey("Runtime", "CompileWorkers"), &r.CompileWorkers, 1, configMaxWorker)
	for _, id := range configIDs(f, r.Plugin, "Runtime", "Plugin") {
		f.calls(r.with(r.Plugin[id]), r.Plugin[id], "Runtime", "Plugin", id)
	}
}

// calls checks the settings that section gives, where r is what applies there in the end.
func (f *configFaults) calls(r RuntimeConfig, given RuntimeOverride, section ...string) {
	key := func(name string) string { return ConfigKey(append(slices.Clone(section), name)...) }
	if given.Isolation != nil && *given.Isolation == IsolationClean {
		f.add(key("Isolation"), "\"clean\" is not available in this version; use \"fresh\", which makes the same promise that no call sees the memory of another, at the cost of a new instance for each")
	} else if given.Isolation != nil {
		f.choice(key("Isolation"), *given.Isolation, IsolationReuse, IsolationFresh)
	}
	f.count(key("PoolSize"), given.PoolSize, 1, configMaxCalls)
	f.duration(key("InstanceTTL"), given.InstanceTTL)
	f.count(key("MaxConcurrent"), given.MaxConcurrent, 1, configMaxCalls)
	f.count(key("Queue"), given.Queue, 0, configMaxQueue)
	f.duration(key("Timeout"), given.Timeout)
	f.duration(key("MaxTimeout"), given.MaxTimeout)
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

func (f *configFaults) webURL(key, address string) {
	if address == "" {
		return
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || !validURLPort(u) || u.User != nil ||
		u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || len(address) > configMaxURL {
		f.add(key, "%s is not allowed; it takes http://host or https://host, with a port and a path if need be, but no user, query or fragment", quoteConfig(withoutUserinfo(address)))
	}
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
