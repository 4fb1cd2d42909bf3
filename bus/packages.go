package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/sdk/packagestore"
	"github.com/pluginhost/pluginhost/subjects"
)

// Packages are the packages of plugins that are installed for the whole cluster. It is
// safe for concurrent use.
type Packages struct {
	bus     *Bus
	records jet.Records
	changed func(id string)
	unhear  func()

	mu    sync.Mutex
	known map[string]knownPackage // by key
}

// knownPackage is a record as it was seen last.
type knownPackage struct {
	subjects.PackageRecord
	revision uint64 // 0 where the record is lost
}

// OpenPackages begins to follow the packages, and makes their object store if it is
// missing. changed is called for each plugin whose record is there or changes; it must
// neither block nor ask Packages. The caller stops it.
func (b *Bus) OpenPackages(ctx context.Context, changed func(id string)) (*Packages, error) {
	state, err := b.jet.State(ctx)
	if err != nil {
		return nil, err
	}
	p := &Packages{bus: b, changed: changed, known: make(map[string]knownPackage)}
	if p.records, err = b.jet.OpenRecords(ctx, jet.StateBucket); err != nil {
		return nil, err
	}
	if err := b.ensurePackageStore(ctx); err != nil {
		return nil, err
	}
	p.unhear = state.Listen(subjects.PackageKeys, p.note)
	return p, nil
}

// ensurePackageStore makes the object store of packages if it is missing.
func (b *Bus) ensurePackageStore(ctx context.Context) error {
	if _, err := b.jet.EnsureStream(ctx, packagestore.Config(b.jet.Copies(), b.jet.Storage())); err != nil {
		return fmt.Errorf("object store %s: %w", subjects.PackageStore, err)
	}
	return nil
}

// Stop stops following.
func (p *Packages) Stop() { p.unhear() }

// note takes up what the follower tells. A record that is gone was lost, as with
// servers that keep all in memory: who removes a package leaves a record of that. The
// plugin goes on here, and whatever record comes next is newer.
func (p *Packages) note(c jet.Change) {
	if c.Anew {
		p.renew()
		return
	}
	if !c.Gone {
		p.learn(c.Key, c.Revision, c.Value)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	last, known := p.known[c.Key]
	if !known || c.Revision != 0 && c.Revision < last.revision {
		return
	}
	if last.revision = 0; !last.Removed {
		p.bus.config.Logger.Warn("the record of a package is lost: the plugin goes on until this replica ends, install it again",
			"plugin", last.ID, "version", last.Version)
	}
	p.known[c.Key] = last
}

// renew takes whatever record comes next for newer: revisions begin anew.
func (p *Packages) renew() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, known := range p.known {
		known.revision = 0
		p.known[key] = known
	}
}

// learn takes up a record, unless a newer one is known. One that cannot be read
// changes nothing.
func (p *Packages) learn(key string, revision uint64, body []byte) {
	record, err := subjects.ParsePackageRecord(key, body)
	if err != nil {
		p.bus.config.Logger.Warn("the record of a package cannot be read: it changes nothing", "error", err)
		return
	}
	p.mu.Lock()
	if last, known := p.known[key]; known && last.revision >= revision {
		p.mu.Unlock()
		return
	}
	p.known[key] = knownPackage{record, revision}
	p.mu.Unlock()
	p.changed(record.ID)
}

// Of returns the record of the package that the cluster has for a plugin. ok is false
// where there is none, or it was removed.
func (p *Packages) Of(id string) (record subjects.PackageRecord, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, ok := p.known[subjects.PackageKey(id)]
	return known.PackageRecord, ok && !known.Removed
}

// Installed returns the records of all packages that the cluster has, in the order of
// their keys.
func (p *Packages) Installed() []subjects.PackageRecord {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []subjects.PackageRecord
	for _, key := range slices.Sorted(maps.Keys(p.known)) {
		if known := p.known[key]; !known.Removed {
			all = append(all, known.PackageRecord)
		}
	}
	return all
}

// Reread takes up the record of a plugin as it is now, which the follower may be about
// to tell. It also makes the object store, where that was lost.
func (p *Packages) Reread(ctx context.Context, id string) error {
	if len(id) > subjects.MaxID {
		return nil // there can be none
	}
	key := subjects.PackageKey(id)
	var body json.RawMessage
	revision, err := p.records.Get(ctx, key, &body)
	switch {
	case err == nil, jet.IsUnreadable(err):
		p.learn(key, revision, body)
	case !errors.Is(err, jet.ErrNoRecord):
		return fmt.Errorf("record %s: %w", key, err)
	}
	return p.bus.ensurePackageStore(ctx)
}

// Fetch returns the content of a package from the object store, once its digest is
// right. [subjects.ErrPackageDamaged] is that it is not, or that the package is not
// there, [subjects.ErrNoPackageStore] that nothing is.
func (p *Packages) Fetch(ctx context.Context, record subjects.PackageRecord) ([]byte, error) {
	store, err := packagestore.Open(ctx, p.bus.jet.JetStream())
	if err != nil {
		return nil, err
	}
	return store.Read(ctx, record.Digest, record.Size)
}
