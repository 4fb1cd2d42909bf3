package plugin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pluginhost/pluginhost/internal/regular"
)

// ErrLinked is what [Link] returns where the plugin is a symlink to that folder already.
var ErrLinked = errors.New("symlink already exists and points to the correct source")

// IsLinked says whether the plugin of this id is a symlink in a plugins folder, as [Link] makes it.
func IsLinked(dir, id string) bool {
	if checkID(id) != nil {
		return false
	}
	info, err := os.Lstat(filepath.Join(dir, id))
	return err == nil && info.Mode().Type() == os.ModeSymlink
}

// Link makes the plugin of this id a symlink to a folder with a valid manifest.json, for a plugin under development; its
// plugin.wasm may come later. Where there is a plugin, it takes its place if replace is true, at once. The error is
// [ErrBadID], a [*ManifestError], [ErrLinked], [ErrInstalled], the cause of ctx, or what the system says.
func Link(ctx context.Context, dir, id, source string, replace bool) (err error) {
	if err := CheckNewID(id); err != nil {
		return err
	}
	if _, _, err := ReadManifest(source); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("plugins folder: %w", err)
	}
	f, err := stage(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	path := filepath.Join(dir, id)
	if target, err := os.Readlink(path); err == nil && target == source {
		return fmt.Errorf("%w: %s", ErrLinked, source)
	}
	if err := apart(path, source); err != nil {
		return err
	}
	link := filepath.Join(f.hidden, "link")
	if err := os.Symlink(source, link); err != nil {
		return err
	}
	inTheWay := f.vacant(id)
	switch {
	case inTheWay == nil:
		if err := os.Rename(link, path); err != nil {
			return err
		}
		f.unmark(id)
		return nil
	case !replace || !errors.Is(inTheWay, ErrInstalled):
		return inTheWay
	}
	if _, err := os.Lstat(path); err != nil { // another in all but case
		return inTheWay
	}
	return f.exchange(link, id)
}

// apart refuses to replace a plugin by a link to itself, or to what is in it. A source that is
// the plugin's folder already is [ErrLinked].
func apart(path, source string) error {
	place, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil //nolint:nilerr // nothing is there, or a link to nothing
	}
	target, err := filepath.EvalSymlinks(source)
	if err != nil {
		return err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if info.Mode().Type() == os.ModeSymlink {
		return nil // the link goes, and nothing else
	}
	if target == place {
		return fmt.Errorf("%w: %s is in the plugins folder itself", ErrLinked, source)
	}
	for _, pair := range [][2]string{{place, target}, {target, place}} {
		if inside, err := filepath.Rel(pair[0], pair[1]); err == nil && filepath.IsLocal(inside) {
			return fmt.Errorf("%s and %s lie within each other: keep the source apart from the plugins folder", path, source)
		}
	}
	return nil
}

// ReadManifest reads the manifest.json of a plugin's folder, as [ParseManifest] does.
func ReadManifest(dir string) (*Manifest, []Problem, error) {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, nil, fmt.Errorf("source folder not found: %w", err)
	case err != nil:
		return nil, nil, err
	case !info.IsDir():
		return nil, nil, fmt.Errorf("source path is not a directory: %s", dir)
	}
	path := filepath.Join(dir, ManifestName)
	data, err := regular.Read(path, MaxManifestSize+1)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, fmt.Errorf("source folder missing manifest.json: %w", err)
	}
	if err != nil {
		return nil, nil, err
	}
	manifest, warnings, err := ParseManifest(data)
	if err != nil {
		return nil, warnings, fmt.Errorf("%s: %w", path, err)
	}
	return manifest, warnings, nil
}
