package replica

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/subjects"
)

const (
	// maxFetching bounds how many packages are in memory at once while they are
	// unpacked.
	maxFetching = 2
	// rereadTimeout bounds how long a refresh waits for the record of a package.
	rereadTimeout = 5 * time.Second
)

// packages are the plugins that are installed for the whole cluster. Each replica
// unpacks them into a folder of its own, by their digests. It has a plugin loaded when
// its record changes.
type packages struct {
	replica  *Replica
	bus      *bus.Packages
	folder   string        // where they are unpacked
	fetching chan struct{} // a token for each that is being fetched
	wake     chan struct{} // has a token when there is something to do
	cancel   context.CancelFunc
	done     sync.WaitGroup

	mu       sync.Mutex
	changed  map[string]bool            // plugins whose records have changed
	failures map[string]*packageFailure // by plugin
	stopped  bool

	// unpacked is held while packages are deleted from the folder, and guards inUse:
	// how many read one, by its digest.
	unpacked sync.Mutex
	inUse    map[string]int
}

// openPackages begins to follow the packages. The caller starts and stops it.
func (r *Replica) openPackages(ctx context.Context, config *config.Config) (_ *packages, err error) {
	p := &packages{
		replica:  r,
		folder:   filepath.Join(config.Data, "packages"),
		fetching: make(chan struct{}, maxFetching),
		wake:     make(chan struct{}, 1),
		cancel:   func() {},
		changed:  make(map[string]bool),
		inUse:    make(map[string]int),
		failures: make(map[string]*packageFailure),
	}
	if err := plugin.Recover(p.folder); err != nil {
		r.log.Warn("what a killed replica has left of packages cannot be deleted", "folder", p.folder, "error", err)
	}
	if p.bus, err = r.bus.OpenPackages(ctx, p.note); err != nil {
		return nil, err
	}
	return p, nil
}

// note notes that the record of a plugin has changed.
func (p *packages) note(id string) {
	p.mu.Lock()
	p.changed[id] = true
	p.mu.Unlock()
	p.rouse()
}

func (p *packages) rouse() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// take returns the plugins whose records have changed since it was called last.
func (p *packages) take() map[string]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	changed := p.changed
	p.changed = make(map[string]bool)
	return changed
}

// start takes up changes from now on.
func (p *packages) start(ctx context.Context) {
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	p.cancel = cancel
	p.done.Go(func() { p.run(running) })
}

func (p *packages) run(ctx context.Context) {
	for {
		for id := range p.take() {
			p.takeUp(id)
		}
		p.sweep(ctx)
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		}
	}
}

// takeUp has a plugin loaded or unloaded as its record says.
func (p *packages) takeUp(id string) {
	at := p.replica.locate(id)
	switch {
	case at.record == nil && at.Print != "": // the watch looks after the folder
		p.warnUnused(id)
	case at.record == nil && p.replica.find(id) == nil: // it was never here
	default:
		p.replica.hosted(id).askReload(false)
	}
}

// stop ends it; nothing is loaded any more.
func (p *packages) stop() {
	p.cancel()
	p.done.Wait()
	p.bus.Stop()
	p.stopRetries()
}

// place is where a plugin is found.
type place struct {
	// Sighting is how it looks from outside; its Print is empty where there is no
	// plugin, or none can be.
	plugin.Sighting
	// record is that of its package; nil is the plugins folder.
	record *subjects.PackageRecord
	// twin is the id of another plugin that keeps the package from being used: it differs
	// in nothing but case.
	twin string
	// kept says why the plugin counts as there although it is missing from the plugins folder.
	kept string
}

// locate finds a plugin: what is in the plugins folder, or was and is not removed, comes
// before what is installed for the cluster.
func (r *Replica) locate(id string) place {
	at := place{Sighting: r.folder.lookAt(id)}
	if at.Print != "" {
		return at
	}
	if at.kept = r.folder.keeps(id); at.kept != "" {
		return at
	}
	if record, ok := r.packages.bus.Of(id); ok {
		at.record = &record
		at.Print = "package " + record.Digest
		if at.twin = r.twinOf(id); at.twin != "" {
			at.Print += "; after " + at.twin
		}
	}
	return at
}

// twinOf finds the plugin that comes before a package whose id differs from its own in
// nothing but case: one of the plugins folder, or a package that sorts before it.
func (r *Replica) twinOf(id string) string {
	fold := plugin.FoldID(id)
	twin := ""
	for _, record := range r.packages.bus.Installed() {
		if record.ID < id && (twin == "" || record.ID < twin) && plugin.FoldID(record.ID) == fold {
			twin = record.ID
		}
	}
	return cmp.Or(r.folder.like(id), twin)
}

// sightings are the plugins that there are, wherever they come from, in no order. The
// error is that of plugin.Look.
func (r *Replica) sightings() ([]plugin.Sighting, error) {
	survey, err := r.folder.look()
	if err != nil {
		return nil, err
	}
	sightings := survey.Sightings
	for _, record := range r.packages.bus.Installed() {
		if at := r.locate(record.ID); at.record != nil {
			sightings = append(sightings, at.Sighting)
		}
	}
	return sightings, nil
}

// entries are what is to be loaded when the replica starts.
func (r *Replica) entries(config *config.Config) ([]plugin.Entry, error) {
	r.packages.take() // all of them are among the entries
	if _, err := r.folder.look(); err != nil {
		return nil, err
	}
	entries, err := plugin.Scan(config.Plugins.Folder)
	if err != nil {
		return nil, err
	}
	for _, record := range r.packages.bus.Installed() {
		if at := r.locate(record.ID); at.record != nil {
			entries = append(entries, r.packages.entry(at))
		} else {
			r.packages.warnUnused(record.ID)
		}
	}
	return entries, nil
}

// reread takes up the record of a plugin as it is now. Without an answer what is known
// goes on to count.
func (p *packages) reread(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(ctx, rereadTimeout)
	defer cancel()
	if err := p.bus.Reread(ctx, id); err != nil {
		p.replica.log.Warn("whether a package has changed could not be asked", "plugin", id, "error", err)
	}
}

// unused says that a plugin of the folder keeps a package of the same id from being
// used; empty is that none does.
func (p *packages) unused(id string) string {
	record, ok := p.bus.Of(id)
	if !ok {
		return ""
	}
	return fmt.Sprintf("the package of version %s that is installed for the cluster is not used: the plugins folder has a plugin of this id", record.Version)
}

func (p *packages) warnUnused(id string) {
	if text := p.unused(id); text != "" {
		p.replica.log.Warn(cut(text, maxText), "plugin", id)
	}
}

// digestOf is the digest of the package that an entry was unpacked from; empty is an
// entry of the plugins folder.
func (p *packages) digestOf(entry plugin.Entry) string {
	if entry.Symlink || filepath.Dir(entry.Dir) != p.folder {
		return ""
	}
	return filepath.Base(entry.Dir)
}
