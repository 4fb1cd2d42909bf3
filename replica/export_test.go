package replica

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/internal/watch"
	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/sdk/call"
)

// WatchClosely has the plugins folder watched with little patience, and only
// where the system tells of a change. onLook, if it is not nil, runs before each
// look.
func WatchClosely(onLook func()) Option {
	return func(r *Replica) {
		r.pace = watch.Pace{Quiet: 30 * time.Millisecond, Poll: time.Hour, Check: time.Hour}
		r.onLook = onLook
	}
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
func ForgetRemovedAfter(away time.Duration) Option {
	return func(r *Replica) { r.ForgetRemovedAfter(away) }
}

// ForgetRemovedAfter has what removed plugins leave behind removed after a while, from
// now on.
func (r *Replica) ForgetRemovedAfter(away time.Duration) { r.away.Store(int64(away)) }

// UnkeyedGeneration is what the id of a generation would be without a key, as former
// versions had it: anybody can try settings until it fits.
func UnkeyedGeneration(config config.Config, id, files string, manifest *plugin.Manifest) (string, error) {
	settings, err := config.Behaviour(id, permissionsOf(manifest))
	sum := sha256.Sum256(append([]byte(files), settings...))
	return hex.EncodeToString(sum[:])[:16], err
}

// DigestOfSource is the digest of the files that a generation would be made of.
func DigestOfSource(entry plugin.Entry) (string, error) {
	settings := config.Default()
	s, err := readSource(nil, &settings, entry)
	return s.files, err
}

// IsMade says whether there is a generation of a plugin, which may not take calls yet.
func (r *Replica) IsMade(id string) bool {
	h := r.find(id)
	return h != nil && h.current.Load() != nil
}

// ObserveInit has OnInit of the version that serves run once more, and tells an observer.
func (r *Replica) ObserveInit(ctx context.Context, id string, observer call.Observer) error {
	g := *r.find(id).current.Load()
	g.observer = observer
	return g.onInit(ctx, r.config.Load())
}
