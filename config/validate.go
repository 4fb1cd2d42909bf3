package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Validate returns nil or an *InvalidError with every fault there is. It touches no network; it asks the system for the
// time zone and whether the named files are there.
func (c Config) Validate() error {
	var f faults
	f.check(settings(&c))
	if len(f.found) == 0 {
		return nil
	}
	return &InvalidError{Faults: f.found}
}

// faults collects what Validate finds.
type faults struct {
	found []*Fault
}

func (f *faults) add(key, format string, args ...any) {
	f.clash(key, "", format, args...)
}

func (f *faults) clash(key, against, format string, args ...any) {
	f.found = append(f.found, &Fault{Key: key, Against: against, Text: fmt.Sprintf(format, args...)})
}

func (f *faults) check(all []setting) {
	for _, s := range all {
		s.check(f, s.key())
		if s.then != nil {
			s.then(f)
		}
	}
}

func (c *Config) checkPluginConfig(f *faults) {
	for _, id := range idsOf(f, c.PluginConfig, pluginConfigSection) {
		seen := map[string]string{}
		for _, key := range slices.Sorted(maps.Keys(c.PluginConfig[id])) {
			if twin, twice := seen[strings.ToLower(key)]; twice {
				f.add(Key(pluginConfigSection, id, key), "the same entry as %s, as case does not matter here; keep one of them", quote(twin))
				continue
			}
			seen[strings.ToLower(key)] = key
		}
	}
}

func (c *Config) checkOverrides(f *faults) {
	for _, id := range idsOf(f, c.Runtime.Plugin, "Runtime", pluginSection) {
		own := c.Runtime.Plugin[id]
		applies := c.Runtime.with(own)
		f.check(ofPlugin(callSettings(at("Runtime", pluginSection, id), &applies, &own)))
	}
}

func (c *Config) checkWords(f *faults) {
	for _, id := range idsOf(f, c.Scrobbles.Plugin, "Scrobbles", pluginSection) {
		words := c.Scrobbles.Plugin[id]
		f.check(wordSettings(id, &words))
	}
}

// bothWords looks for texts that would mean both.
func (f *faults) bothWords(at func(name string) []string, words *ScrobbleWords) {
	retry, final := Key(at("Retry")...), Key(at("Final")...)
	for _, word := range words.Final {
		if slices.Contains(words.Retry, word) {
			f.clash(final, retry, "%s is in %s as well; keep it in one of them", quote(word), retry)
		}
	}
}

// idsOf returns the plugin ids of sections in order, without those that were there already in another case.
func idsOf[V any](f *faults, sections map[string]V, path ...string) []string {
	var ids []string
	seen := map[string]string{}
	for _, id := range slices.Sorted(maps.Keys(sections)) {
		key := Section(append(slices.Clone(path), id)...)
		twin, twice := seen[strings.ToLower(id)]
		switch {
		case id == "":
			f.add(key, "the plugin id is empty; write %s", Section(append(slices.Clone(path), "my-plugin")...))
		case twice:
			f.add(key, "the same plugin as %s, as case does not matter here; keep one of them", quote(twin))
		default:
			seen[strings.ToLower(id)] = id
			ids = append(ids, id)
		}
	}
	return ids
}

// checkFile takes a file for the server at URL.
func (n *NATS) checkFile(f *faults, key, path string) {
	urlKey := Key("NATS", "URL")
	switch {
	case path == "":
	case n.URL == "":
		f.clash(key, urlKey, "%s is for the server at %s, which is empty; the embedded server takes %s only", quote(path), urlKey, Key("NATS", "Token"))
	default:
		f.file(key, path)
	}
}

func (n *NATS) checkPair(f *faults) {
	certKey, keyKey := Key("NATS", "TLS", "Cert"), Key("NATS", "TLS", "Key")
	if n.TLS.Cert != "" && n.TLS.Key == "" {
		f.clash(certKey, keyKey, "%s needs %s as well", quote(n.TLS.Cert), keyKey)
	} else if n.TLS.Cert == "" && n.TLS.Key != "" {
		f.clash(keyKey, certKey, "%s needs %s as well", quote(n.TLS.Key), certKey)
	}
}

func (n *NATS) checkCopies(f *faults, key string, copies int) {
	if copies < 0 || copies > maxCopies {
		f.add(key, "%d is not allowed; it takes 1 to %d copies, or 0 to decide by the server", copies, maxCopies)
	} else if urlKey := Key("NATS", "URL"); n.URL == "" && copies > 1 {
		f.clash(key, urlKey, "%d copies need a cluster at %s; the embedded server is alone and takes 0 or 1", copies, urlKey)
	}
}

// checkToken looks at the token of the embedded server, beside its address.
func (n *NATS) checkToken(f *faults) {
	urlKey, listenKey, tokenKey := Key("NATS", "URL"), Key("NATS", "Listen"), Key("NATS", "Token")
	isLoopback, isAddress := splitListen(n.Listen)
	switch {
	case n.URL != "" && n.Token != "":
		f.clash(tokenKey, urlKey, "goes only with the embedded server, and %s names another one; that server's own token goes into its URL as nats://TOKEN@host:port", urlKey)
	case n.URL == "" && n.Token == "" && isAddress && !isLoopback:
		f.clash(listenKey, tokenKey, "%s can be reached from other machines, so %s is required, which clients write as nats://TOKEN@host:port; without one only a loopback address such as 127.0.0.1:4222 is allowed", quote(n.Listen), tokenKey)
	}
}

// timeouts looks at the times of calls in the section that at leads to: r is what applies there in the end, given what the
// section itself says.
func (f *faults) timeouts(at func(name string) []string, r *Runtime, given *RuntimeOverride) {
	if r.Timeout <= 0 || r.MaxTimeout <= 0 || r.Timeout <= r.MaxTimeout {
		return
	}
	longest := Key("Runtime", "MaxTimeout")
	if given.MaxTimeout != nil {
		longest = Key(at("MaxTimeout")...)
	}
	if given.Timeout != nil {
		f.clash(Key(at("Timeout")...), longest, "%v is more than the %v of %s; it takes that or less", r.Timeout, r.MaxTimeout, longest)
	} else if given.MaxTimeout != nil {
		usual := Key("Runtime", "Timeout")
		f.clash(longest, usual, "%v is less than the %v of %s; it takes that or more", r.MaxTimeout, r.Timeout, usual)
	}
}

func (r *Runtime) checkMemory(f *faults, key string, bytes int64) {
	if bytes < minMemory || bytes > maxMemory {
		f.add(key, "%d bytes is not allowed; it takes 64KiB to 4GiB, the most a WebAssembly guest can address", bytes)
	} else if host := Key("Runtime", "HostMemory"); r.HostMemory > 0 && bytes > r.HostMemory {
		f.clash(key, host, "%d bytes is more than the %d bytes of %s; it takes that or less", bytes, r.HostMemory, host)
	}
}

// checkShared looks at what addresses of artwork need.
func (n *Navidrome) checkShared(f *faults) {
	if !n.ServesArtwork() || !isWebURL(n.ShareURL) {
		return
	}
	urlKey, userKey, shareKey := Key("Navidrome", "URL"), Key("Navidrome", "User"), Key("Navidrome", "ShareURL")
	if n.URL == "" {
		f.clash(shareKey, urlKey, "images are fetched from Navidrome: set %s as well, or leave %s out", urlKey, shareKey)
	}
	if n.User == "" {
		f.clash(shareKey, userKey, "images are fetched from Navidrome as one of its users: set %s as well, or leave %s out", userKey, shareKey)
	}
}
