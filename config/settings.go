package config

import (
	"slices"
	"strings"
	"time"
)

// setting is one thing that can be set: a key of the file, with its flag and variable if it has them.
type setting struct {
	path []string // canonical spelling, sections first
	// flag is the name of the flag, of a text; variable is the same in the environment.
	flag string
	value
	change change
	// then looks at what goes together, once the values of this setting and of those before it are checked; nil is nothing.
	then func(f *faults)
}

func (s setting) key() string { return Key(s.path...) }

// variable is the name of the environment variable, empty for a setting without a flag.
func (s setting) variable() string {
	if s.flag == "" {
		return ""
	}
	return "PLUGINHOST_" + strings.ToUpper(s.flag)
}

// settings is the table of all settings with a fixed path, in the order of the fields of c, which they are bound to.
func settings(c *Config) []setting {
	var (
		top       = at()
		plugins   = at("Plugins")
		nats      = at("NATS")
		tls       = at("NATS", "TLS")
		runtime   = at("Runtime")
		cache     = at("Cache")
		scheduler = at("Scheduler")
		webSocket = at("WebSocket")
		navidrome = at("Navidrome")
		http      = at("HTTP")
		agents    = at("Agents")
		scrobbles = at("Scrobbles")
		listen    = at("ListenBrainz")
	)
	const reach = anewHTTP | anewWebSocket | anewSubsonicAPI
	// A plugin may leave these two out, [Runtime] does not.
	given := &RuntimeOverride{Timeout: &c.Runtime.Timeout, MaxTimeout: &c.Runtime.MaxTimeout}
	return slices.Concat([]setting{
		{path: top("Name"), flag: "name", value: text(&c.Name, "", (*faults).name), change: restart},
		{path: top("Data"), flag: "data", value: text(&c.Data, "", (*faults).folder), change: restart},

		{path: plugins("Enabled"), value: toggle(&c.Plugins.Enabled, true), change: restart},
		{path: plugins("Folder"), flag: "plugins", value: text(&c.Plugins.Folder, "", (*faults).folder), change: restart},
		{path: plugins("CacheSize"), value: size(&c.Plugins.CacheSize, 1_000_000_000), change: restart},
		{path: plugins("Watch"), value: toggle(&c.Plugins.Watch, true), change: restart, then: c.checkPluginConfig},

		{path: nats("URL"), flag: "nats", value: text(&c.NATS.URL, "", orEmpty((*faults).natsURL)), change: restart},
		{path: nats("Creds"), flag: "creds", value: text(&c.NATS.Creds, "", c.NATS.checkFile), change: restart},
		{path: tls("CA"), value: text(&c.NATS.TLS.CA, "", c.NATS.checkFile), change: restart},
		{path: tls("Cert"), value: text(&c.NATS.TLS.Cert, "", c.NATS.checkFile), change: restart},
		{path: tls("Key"), value: text(&c.NATS.TLS.Key, "", c.NATS.checkFile), change: restart, then: c.NATS.checkPair},
		{path: nats("Replicas"), value: count(&c.NATS.Replicas, 0, 0, maxCopies).within("0–5; embedded: 0 or 1", c.NATS.checkCopies), change: restart},
		{path: nats("Storage"), value: choice(&c.NATS.Storage, StorageFile, StorageMemory), change: restart},
		{path: nats("Listen"), flag: "listen", value: text(&c.NATS.Listen, defaultListen, (*faults).listen), change: restart},
		{path: nats("Token"), value: text(&c.NATS.Token, "", (*faults).token), change: restart, then: c.NATS.checkToken},
	}, callSettings(runtime, &c.Runtime, given), []setting{
		{path: runtime("HostMemory"), value: size(&c.Runtime.HostMemory, 2_000_000_000), change: restart},
		{path: runtime("CompileTimeout"), value: duration(&c.Runtime.CompileTimeout, time.Minute), change: restart},
		{path: runtime("CompileMemory"), value: size(&c.Runtime.CompileMemory, 512_000_000).within("64 MiB or more", (*faults).compileMemory), change: restart},
		{path: runtime("CompileWorkers"), value: count(&c.Runtime.CompileWorkers, 2, 1, 256), change: restart, then: c.checkOverrides},

		{path: cache("MaxValue"), value: size(&c.Cache.MaxValue, 1_000_000), change: anewCache},
		{path: cache("MaxEntries"), value: count(&c.Cache.MaxEntries, 10_000, 1, 1<<20), change: anewCache},
		{path: cache("MaxBytes"), value: size(&c.Cache.MaxBytes, 64_000_000), change: anewCache},
		{path: cache("Copy"), value: size(&c.Cache.Copy, 32_000_000).within("0 or more", (*faults).copies), change: restart},
		{path: cache("Staleness"), value: duration(&c.Cache.Staleness, 100*time.Millisecond), change: restart},

		{path: scheduler("TimeZone"), value: text(&c.Scheduler.TimeZone, "UTC", (*faults).timeZone), change: anewScheduler},
		{path: scheduler("MaxSchedules"), value: count(&c.Scheduler.MaxSchedules, 1_000, 1, 100_000), change: anewScheduler},
		{path: scheduler("MaxPayload"), value: size(&c.Scheduler.MaxPayload, 64_000).within("0–500,000 bytes", (*faults).payload), change: anewScheduler},

		{path: webSocket("MaxConnections"), value: count(&c.WebSocket.MaxConnections, 50, 1, 10_000), change: anewWebSocket},
		{path: webSocket("MaxMessage"), value: size(&c.WebSocket.MaxMessage, 1_000_000), change: anewWebSocket},
		{path: webSocket("Ping"), value: duration(&c.WebSocket.Ping, 20*time.Second), change: anewWebSocket},

		{path: navidrome("URL"), value: text(&c.Navidrome.URL, "", orEmpty((*faults).webURL)), change: reach},
		{path: navidrome("UserHeader"), value: text(&c.Navidrome.UserHeader, "Remote-User", (*faults).headerName), change: reach},
		{path: navidrome("User"), value: text(&c.Navidrome.User, "", orEmpty((*faults).name)), change: atOnce},
		{path: navidrome("ShareURL"), value: text(&c.Navidrome.ShareURL, "", orEmpty((*faults).webURL)), change: restart},
		{path: navidrome("ArtworkListen"), value: text(&c.Navidrome.ArtworkListen, "127.0.0.1:8070", orEmpty((*faults).listen)), change: restart},
		{path: navidrome("Artwork"), value: choice(&c.Navidrome.Artwork, ArtworkProxy, ArtworkBus), change: restart},
		{path: navidrome("Subsonic"), value: choice(&c.Navidrome.Subsonic, SubsonicHTTP, SubsonicBus), change: anewSubsonicAPI, then: c.Navidrome.checkShared},

		{path: http("Listen"), flag: "http", value: text(&c.HTTP.Listen, "127.0.0.1:8080", orEmpty((*faults).listen)), change: restart},
		{path: http("Token"), value: text(&c.HTTP.Token, "", orEmpty((*faults).accessToken)), change: restart},
		{path: http("Hosts"), value: list(&c.HTTP.Hosts, maxHosts, "names", (*faults).hostName), change: restart},
		{path: http("TrustedProxies"), value: list(&c.HTTP.TrustedProxies, maxProxies, "addresses or ranges", (*faults).proxy), change: restart},

		{path: agents("Order"), value: list(&c.Agents.Order, maxAgents, "plugin ids", (*faults).pluginID), change: atOnce},
		{path: agents("Only"), value: toggle(&c.Agents.Only, false), change: atOnce},

		{path: scrobbles("MaxAge"), value: duration(&c.Scrobbles.MaxAge, 14*24*time.Hour), change: atOnce},
		{path: scrobbles("Unlinked"), value: duration(&c.Scrobbles.Unlinked, 24*time.Hour), change: atOnce},
		{path: scrobbles("MaxIntake"), value: size(&c.Scrobbles.MaxIntake, 256_000_000), change: restart},
		{path: scrobbles("MaxQueue"), value: count(&c.Scrobbles.MaxQueue, 1_000_000, 1, 100_000_000), change: atOnce},
		{path: scrobbles("MaxUser"), value: count(&c.Scrobbles.MaxUser, 100_000, 1, 100_000_000), change: atOnce},
		{path: scrobbles("MaxUnlinked"), value: count(&c.Scrobbles.MaxUnlinked, 1_000, 1, 100_000_000), change: atOnce},
		{path: scrobbles("MaxDead"), value: count(&c.Scrobbles.MaxDead, 100_000, 1, 10_000_000), change: restart, then: c.checkWords},

		{path: listen("Listen"), flag: "listenbrainz", value: text(&c.ListenBrainz.Listen, "", orEmpty((*faults).listen)), change: restart, then: c.checkUsers},
	})
}

// callSettings are the settings that one plugin can have for itself, in the section that at leads to: bound to the fields
// of r, and those of one plugin to o.
func callSettings(at func(name string) []string, r *Runtime, o *RuntimeOverride) []setting {
	return []setting{
		{path: at("Isolation"), value: choice(&r.Isolation, IsolationClean, IsolationReuse, IsolationFresh).orOwn(&o.Isolation), change: anew},
		{path: at("PoolSize"), value: count(&r.PoolSize, 8, 1, 10_000).orOwn(&o.PoolSize), change: anew},
		{path: at("InstanceTTL"), value: duration(&r.InstanceTTL, time.Minute).orOwn(&o.InstanceTTL), change: anew},
		{path: at("MaxConcurrent"), value: count(&r.MaxConcurrent, 10, 1, 10_000).orOwn(&o.MaxConcurrent), change: anew},
		{path: at("Queue"), value: count(&r.Queue, 256, 0, 1<<20).orOwn(&o.Queue), change: anew},
		{path: at("Timeout"), value: duration(&r.Timeout, 10*time.Second).orOwn(&o.Timeout), change: anew},
		{path: at("MaxTimeout"), value: duration(&r.MaxTimeout, 60*time.Second).orOwn(&o.MaxTimeout), change: anew},
		{path: at("InitTimeout"), value: duration(&r.InitTimeout, 5*time.Minute).orOwn(&o.InitTimeout), change: anew,
			then: func(f *faults) { f.timeouts(at, r, o) }},
		{path: at("MaxMemory"), value: size(&r.MaxMemory, 256_000_000).within("64 KiB – 4 GiB", r.checkMemory).orOwn(&o.MaxMemory), change: anew},
	}
}

// at returns the path of a key in a section.
func at(section ...string) func(name string) []string {
	return func(name string) []string { return append(slices.Clone(section), name) }
}

// overrideSettings are the keys of [Runtime.Plugin.<id>], bound to the fields of o.
func overrideSettings(id string, o *RuntimeOverride) []setting {
	return ofPlugin(callSettings(at("Runtime", pluginSection, id), new(Runtime), o))
}

// wordSettings are the keys of [Scrobbles.Plugin.<id>], bound to the fields of w.
func wordSettings(id string, w *ScrobbleWords) []setting {
	section := at("Scrobbles", pluginSection, id)
	const bounds = "texts of 1–512 bytes"
	return []setting{
		{path: section("Retry"), value: list(&w.Retry, maxWords, bounds, (*faults).word), change: atOnce},
		{path: section("Final"), value: list(&w.Final, maxWords, bounds, (*faults).word), change: atOnce,
			then: func(f *faults) { f.bothWords(section, w) }},
	}
}

// userSettings are the keys of a section [[Users]], bound to the fields of u. Their path is below that section.
func userSettings(u *User) []setting {
	const bounds = "1–255 bytes, printable"
	return []setting{
		{path: []string{"Name"}, value: text(&u.Name, "", (*faults).name).bounded(bounds), change: atOnce},
		{path: []string{"ID"}, value: text(&u.ID, "", (*faults).printable).bounded(bounds), change: atOnce},
		{path: []string{"DisplayName"}, value: text(&u.DisplayName, "", orEmpty((*faults).printable)).bounded(bounds), change: atOnce},
		{path: []string{"Admin"}, value: toggle(&u.Admin, false), change: atOnce},
	}
}

// ofPlugin turns settings into those of one plugin.
func ofPlugin(all []setting) []setting {
	for i := range all {
		all[i].value = all[i].forPlugin()
	}
	return all
}

// namesIn lists the keys and sections directly below path, keys first.
func namesIn(all []setting, path []string) (keys, sections []string) {
	depth := len(path)
	for _, s := range all {
		if len(s.path) <= depth || !slices.Equal(s.path[:depth], path) {
			continue
		}
		name := s.path[depth]
		switch {
		case len(s.path) == depth+1:
			keys = append(keys, name)
		case !slices.Contains(sections, name):
			sections = append(sections, name)
		}
	}
	return keys, sections
}
