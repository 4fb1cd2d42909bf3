package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pluginhost/pluginhost/sdk/packagestore"
	"github.com/pluginhost/pluginhost/subjects"
)

const (
	// packageTimeout bounds an operation with packages whose context has no deadline.
	packageTimeout = 5 * time.Minute
	// leftoverAge is how old content must be that no record names before it is
	// deleted: another install may be about to name it.
	leftoverAge = time.Hour
)

// Package is a plugin's package, checked by who installs it.
type Package struct {
	// ID is what the plugin is called by: 1 to 255 bytes.
	ID string
	// Name and Version are those of its manifest.
	Name, Version string
	// Digest is the SHA-256 of Content in lower-case hex; empty has it computed.
	Digest string
	// Content is the .ndp file: 1 byte to subjects.MaxPackage.
	Content []byte
}

// InstallPackage gives the whole cluster a plugin. The content is stored, checked as it
// is stored, and then named by a record, upon which every replica loads the plugin by
// itself, also those that are away now, once they are back; Refresh has the running ones
// tell what came of it. progress is told how many of all bytes are stored; it may be nil.
//
// The error is [subjects.ErrInstalled] if the cluster has a package of that id, or of an id that
// differs in case only, [subjects.ErrPackageMoved] if somebody else installs the plugin at the same
// time, [subjects.ErrNoPackageStore] if no replica has ever run: nothing is installed. After any
// other error the plugin may be installed, which Package says. Cancelling ctx once all is stored is too late.
// Without a deadline in ctx, InstallPackage takes five minutes at most. The user needs the rights of
// an operator.
func (c *Client) InstallPackage(ctx context.Context, p Package, progress func(done, total int64)) error {
	return c.putPackage(ctx, p, progress, func(all []packageRecord, there packageRecord) error {
		for _, other := range append(all, there) { // which may be newer than the others
			if !other.Removed && strings.EqualFold(other.ID, p.ID) { // they would share their configuration
				return fmt.Errorf("%w: %s, version %s", subjects.ErrInstalled, other.ID, other.Version)
			}
		}
		return nil
	})
}

// UpdatePackage is InstallPackage in the place of the package that the cluster has. Every
// replica goes on with the former one until the new one is ready to take calls, or where
// it does not load. The same package again has its content stored anew, which cures one
// that is damaged. Content that nobody needs any more is deleted when it is an hour old.
//
// The error is [subjects.ErrNotInstalled] where the cluster has none, and otherwise as
// that of InstallPackage.
func (c *Client) UpdatePackage(ctx context.Context, p Package, progress func(done, total int64)) error {
	return c.putPackage(ctx, p, progress, func(_ []packageRecord, there packageRecord) error {
		return there.installed(p.ID)
	})
}

// RemovePackage takes a plugin from the whole cluster: every replica unloads it when its
// calls are finished, unless its plugins folder has one of that id. A record stays, so
// that no replica brings the plugin back which was away. Refresh has the running ones tell
// what came of it. What the plugin has scheduled goes as with any that is removed, if a
// replica is running.
//
// The error is [subjects.ErrNotInstalled] where the cluster has none, and otherwise as
// that of InstallPackage.
func (c *Client) RemovePackage(ctx context.Context, id string) error {
	ctx, cancel := bounded(ctx, packageTimeout)
	defer cancel()
	o, err := c.openRecords(ctx)
	if err != nil {
		return err
	}
	there, err := o.get(ctx, id)
	if err == nil {
		err = there.installed(id)
	}
	if err != nil {
		return err
	}
	record := there.PackageRecord
	record.Time, record.Removed = time.Now().UTC(), true
	if err := o.put(ctx, record, there.revision); err != nil {
		return err
	}
	if o.store, err = packagestore.Open(ctx, o.js); err == nil { // else there is nothing to delete
		o.prune(ctx, id)
	}
	return nil
}

// Package returns the record of the package that the cluster has for a plugin.
// [subjects.ErrNotInstalled] is that there is none. It asks JetStream itself, so no
// replica need be running; the user needs the rights of an operator.
func (c *Client) Package(ctx context.Context, id string) (subjects.PackageRecord, error) {
	ctx, cancel := bounded(ctx, packageTimeout)
	defer cancel()
	o, err := c.openRecords(ctx)
	if err != nil {
		return subjects.PackageRecord{}, err
	}
	there, err := o.get(ctx, id)
	if err == nil {
		err = there.installed(id)
	}
	return there.PackageRecord, err
}

// Packages returns the records of all packages that the cluster has, in the order of
// the plugins' ids. Otherwise it is as Package.
func (c *Client) Packages(ctx context.Context) ([]subjects.PackageRecord, error) {
	ctx, cancel := bounded(ctx, packageTimeout)
	defer cancel()
	o, err := c.openRecords(ctx)
	if err != nil {
		return nil, err
	}
	all, err := o.list(ctx)
	if err != nil {
		return nil, err
	}
	installed := []subjects.PackageRecord{}
	for _, record := range all {
		if !record.Removed {
			installed = append(installed, record.PackageRecord)
		}
	}
	slices.SortFunc(installed, func(a, b subjects.PackageRecord) int { return strings.Compare(a.ID, b.ID) })
	return installed, nil
}

// PackageContent returns the package that a record of Package names: the .ndp file, once
// its digest is right. [subjects.ErrPackageDamaged] is that it is not, or that the file is
// not there.
func (c *Client) PackageContent(ctx context.Context, record subjects.PackageRecord) ([]byte, error) {
	ctx, cancel := bounded(ctx, packageTimeout)
	defer cancel()
	js, err := c.jetStream()
	if err != nil {
		return nil, err
	}
	store, err := packagestore.Open(ctx, js)
	if err != nil {
		return nil, err
	}
	return store.Read(ctx, record.Digest, record.Size)
}

// putPackage stores a package and writes its record, if allowed does not refuse what is
// there.
func (c *Client) putPackage(ctx context.Context, p Package, progress func(done, total int64), allowed func(all []packageRecord, there packageRecord) error) error {
	ctx, cancel := bounded(ctx, packageTimeout)
	defer cancel()
	record, err := p.record()
	if err != nil {
		return err
	}
	o, err := c.openPackages(ctx)
	if errors.Is(err, subjects.ErrNoPackageStore) {
		// Where the servers have lost everything, a replica makes it anew.
		if _, asked := c.Refresh(ctx, p.ID); asked != nil {
			return err
		}
		o, err = c.openPackages(ctx)
	}
	if err != nil {
		return err
	}
	all, err := o.list(ctx)
	if err != nil {
		return err
	}
	there, err := o.get(ctx, p.ID)
	if err != nil {
		return err
	}
	if err := allowed(all, there); err != nil {
		return err
	}
	if err := o.store.Write(ctx, record.Digest, p.Content, progress); err != nil {
		return err
	}
	naming, cancel := packagestore.Outlive(ctx) // its content would stay for nothing
	defer cancel()
	record.Time = time.Now().UTC()
	if err := o.put(naming, record, there.revision); err != nil {
		return err
	}
	o.prune(ctx, p.ID)
	return nil
}

// record is what is to be written of a package.
func (p Package) record() (subjects.PackageRecord, error) {
	sum := sha256.Sum256(p.Content)
	digest := hex.EncodeToString(sum[:])
	switch {
	case p.ID == "" || len(p.ID) > subjects.MaxID:
		return subjects.PackageRecord{}, fmt.Errorf("a plugin's id has 1 to %d bytes, not %d", subjects.MaxID, len(p.ID))
	case len(p.Content) == 0 || len(p.Content) > subjects.MaxPackage:
		return subjects.PackageRecord{}, fmt.Errorf("a package has 1 to %d bytes, not %d", subjects.MaxPackage, len(p.Content))
	case p.Digest != "" && p.Digest != digest:
		return subjects.PackageRecord{}, fmt.Errorf("the digest of the package is %s, not %s", digest, p.Digest)
	}
	return subjects.PackageRecord{
		V: subjects.Version, ID: p.ID, Name: p.Name, Version: p.Version, Digest: digest, Size: int64(len(p.Content)),
	}, nil
}

// prune deletes content that nobody needs. What it leaves, the next one deletes.
func (o *packageRecords) prune(ctx context.Context, id string) {
	written, err := o.get(ctx, id)
	if err != nil {
		return
	}
	all, err := o.list(ctx)
	if err != nil {
		return
	}
	needed := make(map[string]bool)
	for _, record := range all {
		if !record.Removed {
			needed[record.Digest] = true
		}
	}
	_ = o.store.Prune(ctx, func(digest string) bool { return needed[digest] }, written.stored.Add(-leftoverAge))
}
