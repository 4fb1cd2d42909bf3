package plugin

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

const (
	lockName      = ".lock"     // who has it changes the folder
	stagingPrefix = ".staging-" // what is not yet, or no longer, a plugin
	// formerName is where a plugin waits for the one that takes its place, in a folder of staging, where two folders cannot
	// be exchanged at once.
	formerName = "former"
	lockPoll   = 50 * time.Millisecond
)

// staging is the right to change a plugins folder, with a hidden folder in it for what is made or taken away. Whoever
// has it closes it. Root may work in a folder whose owner changes it meanwhile: what root makes, and gives away, it reaches
// through room and root, never by a path that may lead elsewhere by then.
type staging struct {
	dir    string
	root   *os.Root // dir
	hidden string   // path of the hidden folder
	room   *os.Root // the hidden folder
	lock   *flock.Flock
	// swap exchanges two folders at once; errors.ErrUnsupported is that it cannot.
	swap func(a, b string) error
}

// stage waits until nobody else changes the folder and puts right what a process left behind that was killed.
func stage(ctx context.Context, dir string) (_ *staging, err error) {
	lock := flock.New(filepath.Join(dir, lockName), flock.SetPermissions(0o600))
	if _, err := lock.TryLockContext(ctx, lockPoll); err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("another process changes the plugins folder %s: %w", dir, context.Cause(ctx))
		}
		return nil, fmt.Errorf("plugins folder: %w", err)
	}
	s := &staging{dir: dir, lock: lock, swap: exchange}
	defer func() {
		if err != nil {
			err = fmt.Errorf("plugins folder: %w", errors.Join(err, s.release()))
		}
	}()
	if s.root, err = os.OpenRoot(dir); err != nil {
		return nil, err
	}
	if err := s.recover(); err != nil {
		return nil, err
	}
	if err := s.giveFile(lockName); err != nil {
		return nil, err
	}
	return s, s.makeRoom()
}

// makeRoom makes the hidden folder.
func (s *staging) makeRoom() (err error) {
	name := stagingPrefix + rand.Text()
	if err := s.root.Mkdir(name, 0o700); err != nil {
		return err
	}
	s.hidden = filepath.Join(s.dir, name)
	if s.room, err = s.root.OpenRoot(name); err != nil {
		return err
	}
	// Whoever owns the plugins folder may have put another in its place.
	info, err := s.room.Stat(".")
	if err != nil {
		return err
	}
	names, err := fs.ReadDir(s.room.FS(), ".")
	if err == nil && (!isOwn(info) || len(names) > 0) {
		err = fmt.Errorf("somebody else has taken the place of %s", s.hidden)
	}
	return err
}

// IsBusy says whether a process changes the plugins folder at this moment, so that [Install], [Update], [Remove] and
// [Link] would wait for it.
func IsBusy(dir string) bool {
	path := filepath.Join(dir, lockName)
	if _, err := os.Stat(path); err != nil {
		return false
	}
	lock := flock.New(path)
	free, err := lock.TryLock()
	return err == nil && !free || lock.Unlock() != nil
}

// give gives what was written into the hidden folder to the owner of the plugins folder.
func (s *staging) give(name string) error {
	owner, err := s.root.Stat(".")
	if err != nil {
		return err
	}
	return giveTree(owner, s.room, name)
}

// giveFile gives a file of the plugins folder to its owner.
func (s *staging) giveFile(name string) error {
	owner, err := s.root.Stat(".")
	if err != nil {
		return err
	}
	return giveFile(owner, s.root, name)
}

// close removes what is left. The lock's file stays: somebody may wait for it.
func (s *staging) close() error {
	err := os.RemoveAll(s.hidden)
	if err != nil {
		err = fmt.Errorf("%w in %s, which can be deleted: %w", ErrLeftBehind, s.hidden, err)
	}
	return errors.Join(err, s.release())
}

// release lets others change the folder.
func (s *staging) release() error {
	for _, root := range []*os.Root{s.room, s.root} {
		if root != nil {
			_ = root.Close() // nothing was written to it
		}
	}
	return s.lock.Unlock()
}

// exchange puts a folder in the place of the plugin of this id, which goes to where the folder was.
func (s *staging) exchange(with, id string) error {
	path := filepath.Join(s.dir, id)
	err := s.swap(with, path)
	if !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	former := filepath.Join(s.hidden, formerName)
	if err := os.Mkdir(former, 0o700); err != nil {
		return err
	}
	if err := os.Rename(path, filepath.Join(former, id)); err != nil {
		return err
	}
	// Who dies here leaves it to recover.
	if err := os.Rename(with, path); err != nil {
		return errors.Join(err, os.Rename(filepath.Join(former, id), path))
	}
	return nil
}

// Recover puts right what was left in a plugins folder by a process that was killed while it changed it: a plugin that
// was there is there, and files of none are gone. It does nothing while another process changes the folder, or where
// there is none.
func Recover(dir string) error {
	names, _, err := listNames(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || !slices.ContainsFunc(names, isStaging) {
		return err
	}
	lock := flock.New(filepath.Join(dir, lockName), flock.SetPermissions(0o600))
	if locked, err := lock.TryLock(); err != nil || !locked {
		return err
	}
	s := &staging{dir: dir, lock: lock}
	if s.root, err = os.OpenRoot(dir); err == nil {
		err = s.recover()
	}
	return errors.Join(err, s.release())
}

func isStaging(name string) bool { return strings.HasPrefix(name, stagingPrefix) }

func (s *staging) recover() error {
	names, _, err := listNames(s.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !isStaging(name) {
			continue
		}
		if err := s.restore(filepath.Join(name, formerName)); err != nil {
			return err
		}
		_ = s.root.RemoveAll(name) // what stays is hidden, and in nobody's way
	}
	return nil
}

// restore puts a plugin back whose place nobody took.
func (s *staging) restore(former string) error {
	if info, err := s.root.Lstat(former); err != nil || !info.IsDir() {
		return nil //nolint:nilerr // nothing that can be a plugin
	}
	entries, err := fs.ReadDir(s.root.FS(), filepath.ToSlash(former))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if _, err := s.root.Lstat(entry.Name()); !errors.Is(err, fs.ErrNotExist) {
			continue // the new one is there
		}
		if err := s.root.Rename(filepath.Join(former, entry.Name()), entry.Name()); err != nil {
			return err
		}
	}
	return nil
}

// explainMount says what to do about a plugin that is not on the file system of its folder.
func explainMount(err error) error {
	if errors.Is(err, syscall.EXDEV) {
		return fmt.Errorf("%w: the plugin is a mount, or part of a container image; have the plugins folder on a volume", err)
	}
	return err
}
