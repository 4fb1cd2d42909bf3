package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
)

var (
	// ErrInstalled is what [Install] returns where a plugin of that id is in the folder.
	ErrInstalled = errors.New("plugin already installed")
	// ErrSymlink is what [Update] returns for a plugin under development: the package would take the link's place.
	ErrSymlink = errors.New("plugin is a development symlink")
)

// Progress is told how many bytes of all are done.
type Progress func(done, total int64)

// Install unpacks a package into the plugins folder, which is made if it is missing, as the plugin of this id. The plugin
// is there as a whole or not at all, whenever the process ends. Folders get mode 0700 and files 0600. progress may be
// nil. The error is [ErrBadID], [ErrInstalled], the cause of ctx, or what the system says.
func Install(ctx context.Context, dir, id string, p *Package, progress Progress) error {
	return replace(ctx, dir, id, p, progress, func(f *staging, unpacked string) error {
		if err := f.vacant(id); err != nil {
			return err
		}
		return os.Rename(unpacked, filepath.Join(dir, id))
	})
}

// Update is [Install] in the place of the plugin of this id: there is always the old one or the new one. The error is
// [ErrBadID], [ErrNotFound], [ErrSymlink], the cause of ctx, or what the system says.
func Update(ctx context.Context, dir, id string, p *Package, progress Progress) error {
	return replace(ctx, dir, id, p, progress, func(f *staging, unpacked string) error {
		if err := f.occupied(id); err != nil {
			return err
		}
		return f.exchange(unpacked, id)
	})
}

// replace unpacks a package under a hidden name and has it put in place.
func replace(ctx context.Context, dir, id string, p *Package, progress Progress, put func(f *staging, unpacked string) error) (err error) {
	if err := CheckNewID(id); err != nil {
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
	const unpacked = "new"
	if err := p.unpack(ctx, f.room, unpacked, progress); err != nil {
		return fmt.Errorf("plugin %s: %w", id, err)
	}
	if err := f.give(unpacked); err != nil {
		return fmt.Errorf("plugin %s: %w", id, err)
	}
	if err := ctx.Err(); err != nil { // the last chance
		return context.Cause(ctx)
	}
	if err := put(f, filepath.Join(f.hidden, unpacked)); err != nil {
		return explainMount(err)
	}
	f.unmark(id)
	return syncFolder(f.root, ".")
}

// vacant says what is in the way of a new plugin.
func (s *staging) vacant(id string) error {
	names, _, err := listNames(s.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		switch {
		case name == id:
			return fmt.Errorf("%w: %s (path: %s)", ErrInstalled, id, filepath.Join(s.dir, id))
		case FoldID(name) == FoldID(id): // they would share their configuration
			return fmt.Errorf("%w: %s, which differs from %s in nothing but case", ErrInstalled, name, id)
		}
	}
	return nil
}

// occupied says why there is nothing that a package can replace.
func (s *staging) occupied(id string) error {
	symlink, err := removable(filepath.Join(s.dir, id), id)
	if err == nil && symlink {
		return fmt.Errorf("%w: remove %s first, its target stays", ErrSymlink, id)
	}
	return err
}

// unpack writes the files of a package into a new folder of room, to the disk.
func (p *Package) unpack(ctx context.Context, room *os.Root, into string, progress Progress) error {
	if err := room.Mkdir(into, 0o700); err != nil {
		return err
	}
	root, err := room.OpenRoot(into)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // its files are synced
	var done int64
	folders := map[string]bool{".": true}
	for _, file := range p.files {
		folder := path.Dir(file.name)
		if err := root.MkdirAll(folder, 0o700); err != nil {
			return err
		}
		for ; !folders[folder]; folder = path.Dir(folder) {
			folders[folder] = true
		}
		write := func(piece int) {
			done += int64(piece)
			if progress != nil {
				progress(done, p.Unpacked)
			}
		}
		if err := file.unpack(ctx, root, write); err != nil {
			return err
		}
	}
	for folder := range folders {
		if err := syncFolder(root, filepath.FromSlash(folder)); err != nil {
			return err
		}
	}
	return nil
}

func (f packageFile) unpack(ctx context.Context, root *os.Root, wrote func(bytes int)) (err error) {
	to, err := root.OpenFile(f.name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	if _, err := f.copyTo(ctx, writer{to, wrote}, MaxPackageTotal); err != nil {
		return err
	}
	return to.Sync()
}

// writer tells of what is written.
type writer struct {
	to    io.Writer
	wrote func(bytes int)
}

// Write implements io.Writer.
func (w writer) Write(p []byte) (int, error) {
	n, err := w.to.Write(p)
	w.wrote(n)
	return n, err
}

// syncFolder has the names in a folder written to the disk.
func syncFolder(root *os.Root, name string) error {
	folder, err := root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
