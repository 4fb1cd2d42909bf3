package config

import (
	"encoding/json"

	"github.com/pluginhost/pluginhost/plugin"
)

// change is what it takes until another value of a setting applies: nothing, a restart, or a new generation of plugins,
// of all or of those with one of some permissions.
type change uint8

const (
	atOnce  change = 0
	restart change = 1 << iota
	anew           // all plugins
	anewHTTP
	anewWebSocket
	anewSubsonicAPI
	anewCache
	anewScheduler
)

// changesOf are the changes for which a plugin is loaded anew. One whose permissions are not known, which nil is, may have
// any.
func changesOf(p *plugin.Permissions) change {
	concerns := anew
	if p == nil || p.HTTP != nil {
		concerns |= anewHTTP
	}
	if p == nil || p.WebSocket != nil {
		concerns |= anewWebSocket
	}
	if p == nil || p.SubsonicAPI != nil {
		concerns |= anewSubsonicAPI
	}
	if p == nil || p.Cache != nil {
		concerns |= anewCache
	}
	if p == nil || p.Scheduler != nil {
		concerns |= anewScheduler
	}
	return concerns
}

// Behaviour is what a plugin with these permissions behaves by, in a form that is the same for the same settings: of a
// plugin without a manifest, which nil is, it is every setting that some plugin behaves by. Replicas of several versions
// compare it, so what is there keeps its form.
func (c *Config) Behaviour(id string, permissions *plugin.Permissions) ([]byte, error) {
	type reach struct{ URL, UserHeader string }
	settings := struct {
		Config    map[string]string
		Runtime   Runtime
		Navidrome *reach     `json:",omitempty"`
		Subsonic  string     `json:",omitempty"`
		Cache     []int64    `json:",omitempty"`
		Scheduler *Scheduler `json:",omitempty"`
		WebSocket *WebSocket `json:",omitempty"`
	}{Config: c.PluginConfigFor(id), Runtime: c.Runtime.For(id)}
	concerns := changesOf(permissions)
	if concerns&anewScheduler != 0 {
		settings.Scheduler = &c.Scheduler
	}
	if concerns&anewWebSocket != 0 {
		settings.WebSocket = &c.WebSocket
	}
	if concerns&(anewHTTP|anewWebSocket|anewSubsonicAPI) != 0 {
		settings.Navidrome = &reach{c.Navidrome.URL, c.Navidrome.UserHeader}
	}
	if concerns&anewSubsonicAPI != 0 {
		settings.Subsonic = c.Navidrome.Subsonic
	}
	if concerns&anewCache != 0 {
		settings.Cache = []int64{c.Cache.MaxValue, int64(c.Cache.MaxEntries), c.Cache.MaxBytes}
	}
	return json.Marshal(settings)
}

// KeepFixed takes over from the configuration of a running replica what cannot change while it runs, and returns the keys
// of what differed.
func (c *Config) KeepFixed(running *Config) (changed []string) {
	others := settings(running)
	for i, s := range settings(c) {
		if s.change == restart && s.keep(others[i].value) {
			changed = append(changed, s.key())
		}
	}
	return changed
}
