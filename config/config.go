package config

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Values of Runtime.Isolation, NATS.Storage, Navidrome.Artwork and Navidrome.Subsonic.
const (
	IsolationClean = "clean" // a pool of instances that are restored after every call
	IsolationReuse = "reuse" // a pool of instances that keep their memory from call to call
	IsolationFresh = "fresh" // a new instance for every call

	StorageFile   = "file"   // JetStream keeps its data on disk
	StorageMemory = "memory" // JetStream keeps its data in memory

	ArtworkProxy = "proxy" // artwork URLs are made from ShareURL
	ArtworkBus   = "bus"   // Navidrome is asked for artwork URLs over NATS

	SubsonicHTTP = "http" // Subsonic calls go to Navidrome over HTTP
	SubsonicBus  = "bus"  // Subsonic calls go to Navidrome over NATS
)

// Config is everything a replica can be told. Its fields are the keys of pluginhost.toml under the same names.
// Start from Default, set Name, Data and Plugins.Folder, and call Validate before use.
type Config struct {
	// File is the path of the file that the configuration was read from, for messages; no key sets it. Defaults to none.
	File string
	// Name is what operators call this replica: 1 to 255 bytes of printable text.
	// It need not be unique. No default here; the pluginhost command uses the host name.
	Name string
	// Data is the folder of everything the replica keeps on disk.
	// No default here; the pluginhost command uses $XDG_DATA_HOME/pluginhost.
	Data string
	// Plugins says which plugins are hosted.
	Plugins Plugins
	// PluginConfig has the entries handed to each plugin: plugin id, then entry key, then value.
	// Use PluginConfigFor to read it, which ignores case. Defaults to none.
	PluginConfig map[string]map[string]string
	// NATS is the server to connect to, or the one to embed.
	NATS NATS
	// Runtime bounds the guests.
	Runtime Runtime
	// Cache bounds what plugins cache.
	Cache Cache
	// Scheduler is about plugins' schedules.
	Scheduler Scheduler
	// WebSocket bounds plugins' WebSocket connections.
	WebSocket WebSocket
	// Navidrome says how to reach Navidrome for the host services that need it.
	Navidrome Navidrome
	// HTTP is the replica's own HTTP server.
	HTTP HTTP
	// Agents says in which order plugins are asked for metadata when several are.
	Agents Agents
	// Scrobbles bounds the plays that wait for plugins.
	Scrobbles Scrobbles
	// ListenBrainz is the listener that music servers scrobble to as if it were ListenBrainz.
	ListenBrainz ListenBrainz
	// Users are the users of the music server whose names and ids are known, up to 10,000: no two of one name, whatever
	// its case, or of one id. Others are learned from requests that have both. Defaults to none.
	Users []User
}

// Plugins is section [Plugins].
type Plugins struct {
	// Enabled false hosts no plugin at all. Defaults to true.
	Enabled bool
	// Folder holds one folder for each plugin. No default here; the pluginhost command uses <Data>/plugins.
	Folder string
	// CacheSize is how many bytes compiled modules may take on disk; the oldest go first, and those of loaded plugins
	// never. Defaults to 1,000,000,000 ("1GB").
	CacheSize int64
	// Watch has plugins loaded, loaded anew and unloaded when their folders change. Defaults to true.
	Watch bool
}

// NATS is section [NATS].
type NATS struct {
	// URL is the server to connect to, or several separated by commas: nats, tls, ws or wss.
	// Defaults to empty: a server with JetStream is embedded.
	URL string
	// Creds is the path of a credentials file, for a server at URL. Defaults to none.
	Creds string
	// TLS is for a server at URL.
	TLS TLS
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

// TLS is section [NATS.TLS]: paths of PEM files.
type TLS struct {
	// CA has the authorities that may vouch for the server. Defaults to the system's.
	CA string
	// Cert is the certificate to present, together with Key. Defaults to none.
	Cert string
	// Key is the private key of Cert. Defaults to none.
	Key string
}

// Runtime is section [Runtime]. For gives what applies to one plugin.
type Runtime struct {
	// Isolation says what a call may see of earlier ones: IsolationClean, IsolationReuse or IsolationFresh. Defaults to
	// IsolationClean; a plugin that cannot be restored runs with IsolationFresh then.
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
	// InitTimeout is how long OnInit may take, in which a plugin may do its first synchronisation. Defaults to 5 minutes.
	InitTimeout time.Duration
	// MaxMemory is how many bytes one guest may have, 64 KiB to 4 GiB. Defaults to 256,000,000 ("256MB").
	MaxMemory int64
	// HostMemory is how many bytes all guests of the replica may have together; at least MaxMemory. Defaults to 2,000,000,000 ("2GB").
	HostMemory int64
	// CompileTimeout is how long compiling one plugin may take. Defaults to 1 minute.
	CompileTimeout time.Duration
	// CompileMemory is how many bytes compiling one plugin may take, in a process of its own that is ended there; 64 MiB
	// or more. Defaults to 512,000,000 ("512MB").
	CompileMemory int64
	// CompileWorkers is how many plugins are compiled at the same time, 1 to 256. Defaults to 2.
	CompileWorkers int
	// Plugin has what differs for single plugins, by plugin id. Use For to read it, which ignores case. Defaults to none.
	Plugin map[string]RuntimeOverride
}

// RuntimeOverride is a section [Runtime.Plugin.<id>]. A nil field leaves the setting as it is for all plugins;
// units, limits and meaning are those of the field of the same name in Runtime.
type RuntimeOverride struct {
	Isolation     *string        // IsolationClean, IsolationReuse or IsolationFresh
	PoolSize      *int           // idle instances
	InstanceTTL   *time.Duration // how long an idle instance is kept
	MaxConcurrent *int           // calls at the same time
	Queue         *int           // calls waiting
	Timeout       *time.Duration // for callers that do not say
	MaxTimeout    *time.Duration // the most a caller may ask for
	InitTimeout   *time.Duration // of OnInit
	MaxMemory     *int64         // bytes of one guest
}

// Cache is section [Cache].
type Cache struct {
	// MaxValue is how many bytes one value may have; no more than fits the NATS server's max_payload with its key is
	// ever taken. Defaults to 1,000,000 ("1MB").
	MaxValue int64
	// MaxEntries is how many values a plugin may have. Defaults to 10,000.
	MaxEntries int
	// MaxBytes is how many bytes all values of a plugin may have together, with their keys. Defaults to 64,000,000 ("64MB").
	MaxBytes int64
	// Copy is how many bytes this replica may keep of all plugins' values to answer without asking NATS; 0 is off.
	// Defaults to 32,000,000 ("32MB").
	Copy int64
	// Staleness is for how long such a copy may be answered after another replica has overwritten the value.
	// Defaults to 100 milliseconds.
	Staleness time.Duration
}

// Scheduler is section [Scheduler].
type Scheduler struct {
	// TimeZone is the IANA zone of schedules that name none. "Local" is refused. Defaults to "UTC".
	TimeZone string
	// MaxSchedules is how many schedules a plugin may have, 1 to 100,000. Defaults to 1,000.
	MaxSchedules int
	// MaxPayload is how many bytes the payload of a schedule may have, up to 500,000. Defaults to 64,000 ("64kB").
	MaxPayload int64
}

// WebSocket is section [WebSocket].
type WebSocket struct {
	// MaxConnections is how many connections a plugin may have, on all replicas together, 1 to 10,000. Defaults to 50.
	MaxConnections int
	// MaxMessage is how many bytes one message may have, in either direction; no more than fits the NATS server's
	// max_payload is ever sent. Defaults to 1,000,000 ("1MB").
	MaxMessage int64
	// Ping is how often a connection is pinged; it counts as dead after three times as long without a word. Defaults to
	// 20 seconds.
	Ping time.Duration
}

// Navidrome is section [Navidrome].
type Navidrome struct {
	// URL is Navidrome's own address, http or https, with its base path if it has one. Defaults to none.
	URL string
	// UserHeader is the request header in which Navidrome trusts a user name. Defaults to "Remote-User".
	UserHeader string
	// User is the user as whom artwork is fetched. Required with ShareURL and ArtworkProxy. Defaults to none.
	User string
	// ShareURL is the public address in artwork links, http or https. Defaults to none.
	ShareURL string
	// ArtworkListen is the host:port where artwork is served to the public, with ShareURL and ArtworkProxy; port 0 picks a
	// free one, empty leaves it to other replicas. Defaults to "127.0.0.1:8070".
	ArtworkListen string
	// Artwork says who makes artwork URLs: ArtworkProxy or ArtworkBus. Defaults to ArtworkProxy.
	Artwork string
	// Subsonic says how Subsonic calls travel: SubsonicHTTP or SubsonicBus. Defaults to SubsonicHTTP.
	Subsonic string
}

// ServesArtwork says whether artwork addresses lead to replicas.
func (n Navidrome) ServesArtwork() bool { return n.ShareURL != "" && n.Artwork == ArtworkProxy }

// HTTP is section [HTTP]: health, and the gateway by which plugins are called over HTTP.
type HTTP struct {
	// Listen is a host:port; port 0 picks a free one, empty turns the server off. Defaults to "127.0.0.1:8080".
	Listen string
	// Token is an access token with every scope and of no user, beside those that "pluginhost token create" makes: 16 to 256 letters, digits
	// and -._~ . Defaults to none.
	Token string
	// Hosts are the names that the gateway goes by, in the header Host, beside addresses and names without a dot; "*.example.com" is all
	// below example.com. Up to 1,000. Defaults to none.
	Hosts []string
	// TrustedProxies are the addresses, or ranges of them such as 10.0.0.0/8, of proxies whose X-Forwarded-For is
	// believed: up to 1,000, without zones, and IPv4 as such. Defaults to none.
	TrustedProxies []string
}

// Agents is section [Agents]: whom the gateway asks of several plugins with MetadataAgent.
type Agents struct {
	// Order are ids of plugins: these are asked first, in this order. Up to 1,000. Defaults to none.
	Order []string
	// Only says that no others are asked. Otherwise all others follow in the order of their ids. Defaults to false.
	Only bool
}

// Scrobbles is section [Scrobbles].
type Scrobbles struct {
	// MaxAge is how long a play is kept after it was accepted, and for how long a double of it is
	// recognised. Defaults to 336 hours, 14 days.
	MaxAge time.Duration
	// Unlinked is how long plays wait of a user for whom a plugin has never been authorised. Defaults to 24 hours.
	Unlinked time.Duration
	// MaxIntake is how many bytes of plays are accepted that are not in the queues of plugins yet. Defaults to
	// 256,000,000 ("256MB").
	MaxIntake int64
	// MaxQueue is how many plays may wait for one plugin, MaxUser how many of one user, and MaxUnlinked how many of one for
	// whom the plugin has never been authorised. Default to 1,000,000, 100,000 and 1,000.
	MaxQueue, MaxUser, MaxUnlinked int
	// MaxDead is how many dead letters are kept. Defaults to 100,000.
	MaxDead int
	// Plugin has what errors of single plugins mean, by plugin id. Use WordsFor to read it, which ignores case. Defaults to
	// none.
	Plugin map[string]ScrobbleWords
}

// ScrobbleWords is a section [Scrobbles.Plugin.<id>]: texts that the errors of a plugin contain, up to 100 of 1 to 512
// bytes in each list, and none in both.
type ScrobbleWords struct {
	// Retry are those of a play that is tried again, Final those of one that never is.
	Retry, Final []string
}

// WordsFor returns what errors of plugin id mean. Ids match whatever their case.
func (s Scrobbles) WordsFor(id string) ScrobbleWords {
	words, _ := sectionOf(s.Plugin, id)
	return words
}

// ListenBrainz is section [ListenBrainz].
type ListenBrainz struct {
	// Listen is a host:port; port 0 picks a free one. Defaults to empty, which is off.
	Listen string
}

// User is a section [[Users]].
type User struct {
	// Name is what the user logs in with: 1 to 255 bytes of printable text. Required.
	Name string
	// ID is the music server's id of the user: 1 to 255 bytes of printable text. Required.
	ID string
	// DisplayName is what the user is called: up to 255 bytes of printable text. Defaults to none.
	DisplayName string
	// Admin says that the user administers the music server. Defaults to false.
	Admin bool
}

// Default has every default that does not depend on the machine: Name, Data and Plugins.Folder are empty.
func Default() Config {
	var c Config
	for _, s := range settings(&c) {
		s.reset()
	}
	return c
}

// FileName names File in a message, or says how to give one.
func (c *Config) FileName() string {
	if c.File == "" {
		return "the configuration file (none was read: name one with --config)"
	}
	return c.File
}

// PluginConfigFor returns a copy of the entries of plugin id, never nil. Ids match whatever their case, and entry keys
// are lower-case, as plugins expect them. A plugin without a section gets an empty map.
func (c Config) PluginConfigFor(id string) map[string]string {
	section, _ := sectionOf(c.PluginConfig, id)
	entries := make(map[string]string, len(section))
	for key, value := range section {
		entries[strings.ToLower(key)] = value
	}
	return entries
}

// For returns the settings of plugin id: its [Runtime.Plugin.<id>] section laid over the rest. Ids match whatever their
// case. The result has no Plugin map.
func (r Runtime) For(id string) Runtime {
	section, _ := sectionOf(r.Plugin, id)
	return r.with(section)
}

// LongestTimeout is the longest MaxTimeout of all plugins.
func (r Runtime) LongestTimeout() time.Duration {
	longest := r.MaxTimeout
	for id := range r.Plugin {
		longest = max(longest, r.For(id).MaxTimeout)
	}
	return longest
}

// Callbacks is how many callbacks of the host itself run at the same time: the rest of MaxConcurrent is left to calls.
func (r Runtime) Callbacks() int { return max(r.MaxConcurrent/2, 1) }

func (r Runtime) with(o RuntimeOverride) Runtime {
	r.Plugin = nil
	for _, s := range callSettings(at(), &r, &o) {
		s.override()
	}
	return r
}

// sectionOf prefers the exact spelling, so that a Config that Validate refuses still gives one answer.
func sectionOf[V any](sections map[string]V, id string) (V, bool) {
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
