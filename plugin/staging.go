package plugin

import (
	"context"
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
// has it closes it.
type staging struct {
	dir    string
	hidden string
	lock   *flock.Flock
	// swap exchanges two folders at once; errors.ErrUnsupported is that it cannot.
	swap func(a, b string) error
}

// stage waits until nobody else changes the folder and puts right what a process left behind that was killed.
func stage(ctx context.Context, dir string) (*staging, error) {
	lock := flock.New(filepath.Join(dir, lockName), flock.SetPermissions(0o600))
	if _, err := lock.TryLockContext(ctx, lockPoll); err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("another process changes the plugins folder %s: %w", dir, context.Cause(ctx))
		}
		return nil, fmt.Errorf("plugins folder: %w", err)
	}
	s := &staging{dir: dir, lock: lock, swap: exchange}
	err := s.recover()
	if err == nil {
		err = s.give(lock.Path())
	}
	if err == nil {
		s.hidden, err = os.MkdirTemp(dir, stagingPrefix)
	}
	if err != nil {
		return nil, fmt.Errorf("plugins folder: %w", errors.Join(err, lock.Unlock()))
	}
	return s, nil
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

// give gives what was written to the owner of the folder.
func (s *staging) give(path string) error {
	owner, err := os.Stat(s.dir)
	if err != nil {
		return err
	}
	return giveTo(owner, path)
}

// close removes what is left. The lock's file stays: somebody may wait for it.
func (s *staging) close() error {
	err := os.RemoveAll(s.hidden)
	if err != nil {
		err = fmt.Errorf("%w in %s, which can be deleted: %w", ErrLeftBehind, s.hidden, err)
	}
	return errors.Join(err, s.lock.Unlock())
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
	names, err := listNames(dir)
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
	return errors.Join((&staging{dir: dir}).recover(), lock.Unlock())
}

func isStaging(name string) bool { return strings.HasPrefix(name, stagingPrefix) }

func (s *staging) recover() error {
	names, err := listNames(s.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !isStaging(name) {
			continue
		}
		left := filepath.Join(s.dir, name)
		if err := s.restore(filepath.Join(left, formerName)); err != nil {
			return err
		}
		_ = os.RemoveAll(left) // what stays is hidden, and in nobody's way
	}
	return nil
}

// restore puts a plugin back whose place nobody took.
func (s *staging) restore(former string) error {
	if info, err := os.Lstat(former); err != nil || !info.IsDir() {
		return nil //nolint:nilerr // nothing that can be a plugin
	}
	entries, err := os.ReadDir(former)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		path := filepath.Join(s.dir, entry.Name())
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			continue // the new one is there
		}
		if err := os.Rename(filepath.Join(former, entry.Name()), path); err != nil {
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
