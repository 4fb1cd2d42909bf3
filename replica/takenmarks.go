package replica

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/internal/regular"
	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/subjects"
)

// maxTakenMarks is how much of the file of takenMarks is read, in bytes.
const maxTakenMarks = 1 << 20

// takenMarks are the marks of removals in the plugins folder that this replica has taken up, in a file of its data folder. A
// mark that comes while no replica runs is one that it does not know when it starts.
type takenMarks struct {
	V     int      `json:"v"`
	Marks []string `json:"marks"`
}

func takenMarksFile(config *config.Config) string { return filepath.Join(config.Data, "removals.json") }

// takeUpRemovals notes the plugins that were removed by command while this replica did not run, and own something that
// nobody else looks after.
func (r *Replica) takeUpRemovals(ctx context.Context, config *config.Config) {
	marks := plugin.RemovalMarks(config.Plugins.Folder)
	if len(marks) == 0 {
		return
	}
	var taken takenMarks
	if content, err := regular.Read(takenMarksFile(config), maxTakenMarks); err == nil {
		_ = json.Unmarshal(content, &taken) // without them a removal may be noted once more
	}
	for _, id := range r.ownerless() {
		mark, removed := marks[id]
		if removed && !slices.Contains(taken.Marks, mark) && r.locate(id).Print == "" {
			r.log.Info("a plugin was removed by command before this replica started", "plugin", id)
			r.removals.removed(ctx, id)
		}
	}
	r.rememberMarks(config)
}

// rememberMarks notes that the marks there are now have been taken up.
func (r *Replica) rememberMarks(config *config.Config) {
	taken := takenMarks{V: subjects.Version, Marks: slices.Sorted(maps.Values(plugin.RemovalMarks(config.Plugins.Folder)))}
	content, err := json.Marshal(taken)
	if err == nil {
		next := takenMarksFile(config) + ".new"
		if err = os.WriteFile(next, content, 0o600); err == nil {
			err = os.Rename(next, takenMarksFile(config))
		}
	}
	if err != nil {
		r.log.Warn("which removals were taken up cannot be remembered", "error", err)
	}
}
