package replica

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/pluginhost/pluginhost/internal/watch"
	"github.com/pluginhost/pluginhost/plugin"
)

// WatchClosely has the plugins folder watched with little patience, and only
// where the system tells of a change. onLook, if it is not nil, runs before each
// look.
func (c *Config) WatchClosely(onLook func()) {
	c.Plugins.Watch = true
	c.pace = watch.Pace{Quiet: 30 * time.Millisecond, Poll: time.Hour, Check: time.Hour}
	c.onLook = onLook
}

// Settled says whether everything in the plugins folder has been taken up.
func (r *Replica) Settled() bool {
	for _, h := range r.known() {
		if h.isReloading() {
			return false
		}
	}
	changed, err := r.changed((*hosted).awaits)
	return err == nil && len(changed) == 0
}

// LookAgain has the watch look at the plugins folder.
func (r *Replica) LookAgain() { r.lookAgain() }

// ForgetRemovedAfter has what removed plugins leave behind removed after a while.
func (c *Config) ForgetRemovedAfter(away time.Duration) { c.away = away }

// ForgetRemovedAfter has what removed plugins leave behind removed after a while, from
// now on.
func (r *Replica) ForgetRemovedAfter(away time.Duration) {
	config := *r.config.Load()
	config.away = away
	r.config.Store(&config)
}

// UnkeyedGeneration is what the id of a generation would be without a key, as former
// versions had it: anybody can try settings until it fits.
func UnkeyedGeneration(config Config, id, files string, manifest *plugin.Manifest) (string, error) {
	settings, err := effectiveSettings(&config, id, manifest)
	sum := sha256.Sum256(append([]byte(files), settings...))
	return hex.EncodeToString(sum[:])[:16], err
}

// DigestOfSource is the digest of the files that a generation would be made of.
func DigestOfSource(entry plugin.Entry) (string, error) {
	config := DefaultConfig()
	s, err := readSource(nil, &config, entry)
	return s.files, err
}

// IsMade says whether there is a generation of a plugin, which may not take calls yet.
func (r *Replica) IsMade(id string) bool {
	h := r.find(id)
	return h != nil && h.current.Load() != nil
}
