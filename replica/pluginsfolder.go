package replica

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/pluginhost/pluginhost/plugin"
)

// errFolderAway says that a plugin is not where it was, and that this is no removal: it goes on as it is.
var errFolderAway = errors.New("the plugin's files are away")

// pluginsFolder is the plugins folder, with what this replica has had from there. A plugin that is missing is removed if
// others are where it was, or `plugin remove` has left its mark. A folder that is empty all at once, or is on another file
// system, is taken for a volume that is not mounted: its plugins stay as they are until they are back, or are removed by
// command. It is safe for concurrent use.
type pluginsFolder struct {
	path string
	log  *slog.Logger

	mu      sync.Mutex
	had     map[string]*hadPlugin // by id
	unread  string                // why the folder could not be read when it was looked at last
	isEmpty bool                  // it has no plugin
	told    string                // the fault that the log has
	strays  string                // what to do about files that are no plugins; empty is none
}

// hadPlugin is a plugin that was seen in the folder and is not removed.
type hadPlugin struct {
	device string // that of the folder then
	look   string // its Print then
	mark   string // that of an earlier removal; the one that takes this plugin out leaves another
	// kept says why it is missing and counts as there; empty is one that is there. It stays until the plugin is back: what
	// comes first into an empty folder is not what says that the rest is gone.
	kept string
	// gone says that it is missing and not kept: nobody has unloaded it yet.
	gone bool
}

func newPluginsFolder(path string, log *slog.Logger) *pluginsFolder {
	return &pluginsFolder{path: path, log: log, had: make(map[string]*hadPlugin)}
}

// look looks at the whole folder. The error is that of plugin.Look.
func (f *pluginsFolder) look() (plugin.Survey, error) {
	marks := plugin.RemovalMarks(f.path)
	survey, err := plugin.Look(f.path)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unread, f.isEmpty = "", err == nil && survey.IsEmpty()
	if err != nil {
		f.unread = err.Error()
		f.tell()
		return survey, err
	}
	f.lookAtStrays(survey.Strays)
	there := make(map[string]bool, len(survey.Sightings))
	for _, s := range survey.Sightings {
		there[s.ID] = true
		f.sighted(s, survey.Device, marks[s.ID])
	}
	for id, had := range f.had {
		if there[id] || had.kept != "" {
			continue
		}
		had.gone = false
		switch {
		case f.isRemoved(id, had):
			had.gone = true
		case had.device != survey.Device && had.device != "" && survey.Device != "":
			had.kept = fmt.Sprintf("the plugins folder %s is on another file system than it was", f.path)
		case f.isEmpty:
			had.kept = fmt.Sprintf("the plugins folder %s is empty", f.path)
		default:
			had.gone = true
		}
	}
	f.tell()
	return survey, nil
}

// lookAtStrays notes files that look like plugins and are none; mu is held.
func (f *pluginsFolder) lookAtStrays(strays []string) {
	text := plugin.StrayText(f.path, strays)
	if text != f.strays && text != "" {
		f.log.Warn("files in the plugins folder are no plugins", "folder", f.path, "files", strays[:min(len(strays), maxList)], "count", len(strays), "hint", text)
	}
	f.strays = text
}

// lookAt looks at one plugin. Its Print is empty if it is not there.
func (f *pluginsFolder) lookAt(id string) plugin.Sighting {
	device, mark := plugin.FolderDevice(f.path), plugin.RemovalMark(f.path, id)
	s := plugin.LookAt(f.path, id)
	// While something is mounted or unmounted, where it was seen is known by the next look.
	if s.Print != "" && device == plugin.FolderDevice(f.path) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.sighted(s, device, mark)
	}
	return s
}

// sighted notes that a plugin is there, with the mark of an earlier removal; mu is held. While it
// looks as it did, another mark is that of the removal which takes it out in a moment. A folder without files, such as lost+found, has nothing to lose.
func (f *pluginsFolder) sighted(s plugin.Sighting, device, mark string) {
	if !s.HasFiles {
		return
	}
	if before := f.had[s.ID]; before != nil && before.look == s.Print {
		mark = before.mark
	}
	f.had[s.ID] = &hadPlugin{device: device, look: s.Print, mark: mark}
}

// isRemoved says whether a plugin that is missing was removed by command; mu is held.
func (f *pluginsFolder) isRemoved(id string, had *hadPlugin) bool {
	mark := plugin.RemovalMark(f.path, id)
	return mark != "" && mark != had.mark
}

// keeps says why a plugin that is missing counts as there, after a look at the folder. Empty is one that is removed, or that
// this replica has not had from there.
func (f *pluginsFolder) keeps(id string) string {
	f.mu.Lock()
	_, known := f.had[id]
	f.mu.Unlock()
	if !known {
		return ""
	}
	_, _ = f.look() // kept tells its error
	return f.kept(id)
}

// kept is keeps by what was seen last.
func (f *pluginsFolder) kept(id string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	had := f.had[id]
	switch {
	case had == nil || had.kept != "" && f.isRemoved(id, had):
		return ""
	case had.kept == "":
		return f.unread
	default:
		return had.kept
	}
}

// like finds a plugin of the folder whose id differs from another in nothing but case, or is empty.
func (f *pluginsFolder) like(id string) string {
	fold := plugin.FoldID(id)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, other := range slices.Sorted(maps.Keys(f.had)) {
		if other != id && !f.had[other].gone && plugin.FoldID(other) == fold {
			return other
		}
	}
	return ""
}

// forget notes that a plugin is removed.
func (f *pluginsFolder) forget(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.had, id)
	f.tell()
}

// fault says what is wrong with the folder as a whole; empty is nothing.
func (f *pluginsFolder) fault() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	fault, _ := f.current()
	return fault
}

// folderFault says what is wrong with the plugins folder; empty is nothing. A folder that
// was empty from the start is a fault if there is something in the cluster that belongs to
// plugins which nobody has.
func (r *Replica) folderFault() string {
	if !r.config.Load().Plugins.Enabled {
		return ""
	}
	if fault := r.folder.fault(); fault != "" {
		return fault
	}
	var ids []string
	if r.folder.empty() {
		ids = r.ownerless()
	}
	if len(ids) == 0 {
		return ""
	}
	shown := strings.Join(ids[:min(len(ids), maxList)], ", ")
	return fmt.Sprintf("the plugins folder %s is empty, and no replica has %d plugins that own schedules, connections or what OnInit has made: %s. Look whether it is mounted; pluginhost plugin remove ID --purge drops what a plugin owns that is to go",
		r.folder.path, len(ids), shown)
}

// folderTold is what status tells of the plugins folder: its fault, or else files that look
// like plugins and are none.
func (r *Replica) folderTold() string {
	return cut(cmp.Or(r.folderFault(), r.folder.strayText()), maxErrorText)
}

// strayText says what to do about files that are no plugins; empty is that there are none.
func (f *pluginsFolder) strayText() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.strays
}

// empty says whether there was no plugin in the folder when it was looked at last.
func (f *pluginsFolder) empty() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.isEmpty
}

// current is the fault of the folder, and the plugins that are kept for it; mu is held.
func (f *pluginsFolder) current() (fault string, kept []string) {
	if f.unread != "" {
		return f.unread, slices.Sorted(maps.Keys(f.had))
	}
	for _, id := range slices.Sorted(maps.Keys(f.had)) {
		if had := f.had[id]; had.kept != "" {
			fault, kept = had.kept, append(kept, id)
		}
	}
	return fault, kept
}

// tell logs a fault that is new, and the end of one; mu is held.
func (f *pluginsFolder) tell() {
	fault, kept := f.current()
	if fault == f.told {
		return
	}
	f.told = fault
	switch {
	case fault == "":
		f.log.Info("nothing is missing from the plugins folder any more", "folder", f.path)
	case f.unread != "":
		f.log.Warn("the plugins folder cannot be read: plugins go on as they are", "error", fault)
	default:
		f.log.Warn("plugins are missing from the plugins folder all at once: they go on as they are, and lose nothing; look whether it is mounted, or remove them by command",
			"folder", f.path, "reason", fault, "plugins", kept[:min(len(kept), maxList)], "count", len(kept))
	}
}
