package replica

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/subjects"
)

const (
	// A package that could not be had is tried again after a while, which grows.
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// packageFailure is a package that could not be had.
type packageFailure struct {
	record subjects.PackageRecord
	pause  time.Duration // until the next attempt
	timer  *time.Timer
}

// entry is the plugin of a package, before anything of it is known.
func (p *packages) entry(at place) plugin.Entry {
	return plugin.Entry{ID: at.ID, Dir: filepath.Join(p.folder, at.record.Digest)}
}

// open looks at a plugin, after it has unpacked its package where that is not there.
// What it returns can be read until release is called.
func (p *packages) open(ctx context.Context, at place) (entry plugin.Entry, release func()) {
	if at.record == nil {
		return plugin.Load(p.replica.config.Load().Plugins.Folder, at.ID), func() {}
	}
	p.use(at.record.Digest)
	entry = p.entry(at)
	if at.twin != "" {
		entry.Err = plugin.TwinError(at.ID, at.twin)
		return entry, func() { p.unuse(at.record.Digest) }
	}
	if found := plugin.LoadAt(entry.Dir, at.ID); found.Err == nil || errors.Is(found.Err, plugin.ErrBadID) {
		entry = found
	} else if err := p.unpack(ctx, at.ID, *at.record); err != nil {
		entry.Err = fmt.Errorf("the package of version %s cannot be used: %w", at.record.Version, err)
	} else {
		entry = plugin.LoadAt(entry.Dir, at.ID)
	}
	p.tried(at.ID, *at.record, entry.Err)
	return entry, func() { p.unuse(at.record.Digest) }
}

// unpack fetches a package and puts it where it belongs, complete or not at all.
func (p *packages) unpack(ctx context.Context, id string, record subjects.PackageRecord) error {
	select {
	case p.fetching <- struct{}{}:
		defer func() { <-p.fetching }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	content, err := p.bus.Fetch(ctx, record)
	if err != nil {
		return err
	}
	parsed, err := plugin.ParsePackage(ctx, content)
	if err != nil {
		return err
	}
	err = plugin.Install(ctx, p.folder, record.Digest, parsed, nil)
	if errors.Is(err, plugin.ErrInstalled) {
		if plugin.LoadAt(filepath.Join(p.folder, record.Digest), id).Err == nil {
			return nil // by another plugin with the same package
		}
		err = plugin.Update(ctx, p.folder, record.Digest, parsed, nil)
	}
	return err
}

// tried notes whether a package could be had, and when to try again.
func (p *packages) tried(id string, record subjects.PackageRecord, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := p.failures[id]
	if last != nil {
		last.timer.Stop()
		delete(p.failures, id)
	}
	if err == nil || p.stopped {
		return
	}
	next := &packageFailure{record: record, pause: firstRetry}
	if last != nil && last.record == record {
		next.pause = min(2*last.pause, lastRetry)
	}
	next.timer = time.AfterFunc(next.pause, func() { p.retry(id, record) })
	p.failures[id] = next
}

// retry has a plugin loaded whose package could not be had, if that is still what it
// is to be loaded from.
func (p *packages) retry(id string, record subjects.PackageRecord) {
	if at := p.replica.locate(id); at.record != nil && *at.record == record {
		p.replica.hosted(id).askReload(false)
	}
}

func (p *packages) stopRetries() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	for _, failure := range p.failures {
		failure.timer.Stop()
	}
}

// use keeps an unpacked package from being deleted, until unuse.
func (p *packages) use(digest string) {
	p.unpacked.Lock()
	defer p.unpacked.Unlock()
	p.inUse[digest]++
}

func (p *packages) unuse(digest string) {
	p.unpacked.Lock()
	p.inUse[digest]--
	unused := p.inUse[digest] == 0
	if unused {
		delete(p.inUse, digest)
	}
	p.unpacked.Unlock()
	if unused {
		p.rouse() // nobody may need it any more
	}
}

// sweep deletes unpacked packages that no record names and nobody reads. What is
// served is in memory.
func (p *packages) sweep(ctx context.Context) {
	p.unpacked.Lock()
	defer p.unpacked.Unlock()
	names, err := os.ReadDir(p.folder)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	needed := make(map[string]bool)
	for _, record := range p.bus.Installed() {
		needed[record.Digest] = true
	}
	for _, name := range names {
		digest := name.Name()
		if strings.HasPrefix(digest, ".") || needed[digest] || p.inUse[digest] > 0 {
			continue
		}
		var failed error
		if name.IsDir() {
			_, failed = plugin.Remove(ctx, p.folder, digest)
		} else {
			failed = os.Remove(filepath.Join(p.folder, digest))
		}
		err = errors.Join(err, failed)
	}
	if err != nil && ctx.Err() == nil {
		p.replica.log.Warn("unpacked packages that nobody needs could not be deleted", "folder", p.folder, "error", err)
	}
}
