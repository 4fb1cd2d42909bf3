package plugin

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/pluginhost/pluginhost/internal/regular"
)

const (
	// marksName is the folder in a plugins folder with a file for each plugin that Remove took out, named by its id.
	marksName = ".removed"
	// maxMarks bounds how many are kept, and markAge for how long: a replica that was away longer takes the plugin for
	// missing, which loses nothing.
	maxMarks    = 1000
	markAge     = 30 * 24 * time.Hour
	maxMarkSize = 64 // bytes
)

// RemovalMark tells that the plugin of this id was taken out of a plugins folder by [Remove]: it is another text for each
// time. It is empty if nothing is known of a removal, as where the plugin was installed or linked again, or deleted by other
// means.
func RemovalMark(dir, id string) string {
	if checkID(id) != nil {
		return ""
	}
	mark, err := regular.Read(filepath.Join(dir, marksName, id), maxMarkSize)
	if err != nil {
		return ""
	}
	return string(mark)
}

// RemovalMarks are the marks in a plugins folder, as [RemovalMark] tells them, by id: at most 1000.
func RemovalMarks(dir string) map[string]string {
	names, _, err := listNames(filepath.Join(dir, marksName))
	if err != nil {
		return nil
	}
	marks := make(map[string]string)
	for _, id := range names[:min(len(names), maxMarks)] {
		if mark := RemovalMark(dir, id); mark != "" {
			marks[id] = mark
		}
	}
	return marks
}

// mark leaves the mark of a removal.
func (s *staging) mark(id string) error {
	if err := s.root.Mkdir(marksName, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	s.pruneMarks()
	if err := s.room.WriteFile(id, []byte(rand.Text()), 0o600); err != nil {
		return err
	}
	if err := s.give(id); err != nil {
		return err
	}
	// Nobody sees a half of it.
	if err := s.root.Rename(path.Join(filepath.Base(s.hidden), id), path.Join(marksName, id)); err != nil {
		return err
	}
	return s.giveMarks()
}

// giveMarks gives the folder of the marks to the owner of the plugins folder, if root has made it.
func (s *staging) giveMarks() error {
	owner, err := s.root.Stat(".")
	if err != nil {
		return err
	}
	marks, err := s.root.OpenRoot(marksName)
	if err != nil {
		return err
	}
	defer func() { _ = marks.Close() }() // nothing was written
	return giveFolder(owner, marks)
}

// unmark takes the mark away of a plugin that is there again. A mark that stays does no harm to who has seen it meanwhile.
func (s *staging) unmark(id string) { _ = s.root.Remove(path.Join(marksName, id)) }

// pruneMarks takes away the marks that are too old or too many.
func (s *staging) pruneMarks() {
	entries, err := fs.ReadDir(s.root.FS(), marksName)
	if err != nil {
		return
	}
	type mark struct {
		name string
		left time.Time
	}
	var marks []mark
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil {
			marks = append(marks, mark{entry.Name(), info.ModTime()})
		}
	}
	slices.SortFunc(marks, func(a, b mark) int { return b.left.Compare(a.left) }) // the newest first
	for i, m := range marks {
		if i >= maxMarks-1 || time.Since(m.left) > markAge {
			s.unmark(m.name)
		}
	}
}
