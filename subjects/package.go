package subjects

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	// PackageStore is the object store of the packages that are installed for the whole
	// cluster: one object for each, named by its digest.
	PackageStore = "pluginhost-plugins"
	// PackageStream is the stream that keeps it.
	PackageStream = "OBJ_" + PackageStore
	// MaxPackage is the largest package, in bytes.
	MaxPackage = 128 << 20
	// PackageKeys begins the keys of all packages in StateBucket.
	PackageKeys = "package."
	// SourcePackage is the Source of a plugin that comes from such a package.
	SourcePackage = "package"

	packageSubject = "$O." + PackageStore + "."
	// PackageMetas matches the subjects of PackageMeta.
	PackageMetas = packageSubject + "M.>"
	// PackageChunks matches the subjects of PackageChunk.
	PackageChunks = packageSubject + "C.>"
)

var (
	// ErrInstalled says that the cluster has a package for a plugin of that id.
	ErrInstalled = errors.New("plugin already installed for the cluster")
	// ErrNotInstalled says that the cluster has none.
	ErrNotInstalled = errors.New("plugin not installed for the cluster")
	// ErrPackageMoved says that somebody else has installed, updated or removed the
	// package at the same time.
	ErrPackageMoved = errors.New("somebody else has changed the package meanwhile")
	// ErrPackageDamaged says that what is stored of a package is not the package.
	ErrPackageDamaged = errors.New("the package is damaged in the object store")
	// ErrNoPackageStore says that the NATS server has no object store for packages:
	// replicas make it.
	ErrNoPackageStore = errors.New("the NATS server has no object store for packages: start a replica on it and try again")
)

// PackageKey is the key in StateBucket of the package that is installed for a plugin.
func PackageKey(id string) string { return PackageKeys + Token(id) }

// PackageMeta is the subject of what is known of the object with a digest.
func PackageMeta(digest string) string {
	return packageSubject + "M." + base64.URLEncoding.EncodeToString([]byte(digest))
}

// PackageChunk is the subject of the content of an object; nuid tells apart what was
// stored under one name.
func PackageChunk(nuid string) string { return packageSubject + "C." + nuid }

// PackageRecord says which package the cluster has for a plugin, in StateBucket. It is
// written by compare-and-set, after the package was stored.
type PackageRecord struct {
	// V is Version.
	V int `json:"v"`
	// ID is that of the plugin.
	ID string `json:"id"`
	// Name is that of the manifest.
	Name string `json:"name"`
	// Version is that of the manifest.
	Version string `json:"version"`
	// Digest is the SHA-256 of the package, in lower-case hex.
	Digest string `json:"digest"`
	// Size is that of the package, in bytes.
	Size int64 `json:"size"`
	// Time is when it was installed, updated or removed.
	Time time.Time `json:"time"`
	// Removed tells of a package that was removed. The record stays, so that nobody
	// brings the plugin back who was away meanwhile.
	Removed bool `json:"removed,omitempty"`
}

// ParsePackageRecord reads and checks the record under a key of StateBucket.
func ParsePackageRecord(key string, body []byte) (PackageRecord, error) {
	var r PackageRecord
	if err := json.Unmarshal(body, &r); err != nil {
		return r, fmt.Errorf("record %s: %w", key, err)
	}
	var fault string
	switch {
	case r.V != Version:
		fault = fmt.Sprintf("its version is %d, not %d", r.V, Version)
	case r.ID == "" || len(r.ID) > MaxID || PackageKey(r.ID) != key:
		fault = "its id is not that of the key"
	case !isDigest(r.Digest):
		fault = "its digest is not a SHA-256 in hex"
	case r.Size <= 0 || r.Size > MaxPackage:
		fault = fmt.Sprintf("its size is not 1 to %d bytes", MaxPackage)
	default:
		return r, nil
	}
	return r, fmt.Errorf("record %s: %s", key, fault)
}

func isDigest(text string) bool {
	bytes, err := hex.DecodeString(text)
	return err == nil && len(bytes) == 32 && strings.ToLower(text) == text
}
