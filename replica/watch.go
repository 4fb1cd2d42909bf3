package replica

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/pluginhost/pluginhost/internal/watch"
	"github.com/pluginhost/pluginhost/plugin"
)

// folderWatch has plugins loaded when their folders change.
type folderWatch struct {
	folder func() string            // the plugins folder
	others func() map[string]string // plugins that look other than they were loaded, and how
	reload func(id string)
	onLook func() // for tests
}

// startWatch watches the plugins folder until the replica drains.
func (r *Replica) startWatch() {
	config := r.config.Load()
	if !config.Plugins.Enabled || !config.Plugins.Watch {
		return
	}
	w := &folderWatch{
		folder: func() string { return r.config.Load().Plugins.Folder },
		others: func() map[string]string {
			others, _ := r.changed((*hosted).awaits) // the folder tells of its error
			return others
		},
		reload: func(id string) { r.hosted(id).askReload(false) },
		onLook: r.onLook,
	}
	r.watcher.Store(watch.Start(w, r.pace, r.log))
}

// lookAgain has the watch look at what a reload may have missed.
func (r *Replica) lookAgain() {
	if watcher := r.watcher.Load(); watcher != nil {
		watcher.Look()
	}
}

// Folders implements watch.Subject.
func (w *folderWatch) Folders() []string {
	folder := w.folder()
	folders := []string{folder}
	survey, _ := plugin.Look(folder) // Changed has its error told
	for _, s := range survey.Sightings {
		folders = append(folders, s.Folders...)
	}
	return folders
}

// Changed implements watch.Subject: ids of plugins, and how they look. While the
// folder cannot be read, nothing has: a file system that is away for a while
// costs no plugin.
func (w *folderWatch) Changed() map[string]string {
	if w.onLook != nil {
		w.onLook()
	}
	return w.others()
}

// Settled implements watch.Subject.
func (w *folderWatch) Settled(id string) { w.reload(id) }

// changed returns the plugins whose look from outside is another, as each of them is asked.
func (r *Replica) changed(isOther func(h *hosted, look string) bool) (map[string]string, error) {
	sightings, err := r.sightings()
	if err != nil {
		return nil, err
	}
	changed, there := make(map[string]string), make(map[string]bool)
	for _, s := range sightings {
		there[s.ID] = true
		if h := r.find(s.ID); h == nil || isOther(h, s.Print) {
			changed[s.ID] = s.Print
		}
	}
	for _, h := range r.all() {
		if !there[h.id] && r.folder.kept(h.id) == "" && isOther(h, "") {
			changed[h.id] = ""
		}
	}
	return changed, nil
}

// Rescan loads what has changed in the plugins folder, and of what is installed for
// the cluster, since it was read last,
// without waiting for files that are being written. It waits for the plugins or
// for ctx; its error says which could not be loaded.
func (r *Replica) Rescan(ctx context.Context) error {
	if !r.config.Load().Plugins.Enabled {
		return errPluginsOff
	}
	changed, err := r.changed((*hosted).looksOther)
	if err != nil {
		return err
	}
	var errs []error
	asked := make(map[string]*reload, len(changed))
	for id := range changed {
		asked[id] = r.hosted(id).askReload(false)
	}
	for _, id := range slices.Sorted(maps.Keys(asked)) {
		if err := asked[id].wait(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", id, err))
		}
	}
	return errors.Join(errs...)
}
