package schedule

import (
	"maps"
	"slices"
	"sync"
)

// scheduleIndex is which schedules there are: by what the watch of their bucket tells, and
// before it comes to that by what this replica has written.
type scheduleIndex struct {
	mu     sync.Mutex
	known  map[string]knownSchedule  // by key
	counts map[string]map[string]int // schedules by plugin and the run of OnInit that set them
	bytes  int64                     // what all schedules take
	told   uint64                    // the revision up to which the watch has told everything
}

// knownSchedule is the newest that is known of a schedule.
type knownSchedule struct {
	// plugin has it; empty is a schedule that is gone. Of one that this replica has
	// removed, that is known until the watch says so.
	plugin string
	// run is the run of OnInit that set it without an id; empty is none.
	run string
	// claimed is the replica that runs a one-time schedule, which goes after that.
	claimed string
	// size is about what the schedule takes in bytes, with its fire.
	size     int64
	revision uint64
}

func newScheduleIndex() *scheduleIndex {
	x := &scheduleIndex{}
	x.reset()
	return x
}

// reset forgets everything: the bucket is another one.
func (x *scheduleIndex) reset() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.known, x.counts, x.told, x.bytes = make(map[string]knownSchedule), make(map[string]map[string]int), 0, 0
}

// tell notes what the watch has told of a schedule: how it is at a revision, without a
// plugin if it is gone. Revision 0 is that it was found to be gone.
func (x *scheduleIndex) tell(key string, is knownSchedule) {
	x.mu.Lock()
	defer x.mu.Unlock()
	newest := x.known[key].revision
	isOld := is.revision <= newest
	if is.revision == 0 {
		isOld = newest > x.told
	}
	x.told = max(x.told, is.revision)
	if !isOld {
		x.put(key, is)
	}
}

// wrote notes a schedule that we have set. Where the watch has come further, it has told
// what became of it.
func (x *scheduleIndex) wrote(key string, is knownSchedule) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if is.revision > max(x.told, x.known[key].revision) {
		x.put(key, is)
	}
}

// removed notes that we have removed a schedule that was at a revision.
func (x *scheduleIndex) removed(key string, revision uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.known[key].revision <= revision {
		x.put(key, knownSchedule{revision: revision})
	}
}

// put replaces what is known of a schedule; mu is held.
func (x *scheduleIndex) put(key string, is knownSchedule) {
	x.count(x.known[key], -1)
	x.count(is, 1)
	x.bytes += is.size - x.known[key].size
	// Nothing older than what was told is told any more.
	if is.plugin == "" && is.revision <= x.told {
		delete(x.known, key)
	} else {
		x.known[key] = is
	}
}

// count counts one more, or one less, of the schedules like one; mu is held.
func (x *scheduleIndex) count(like knownSchedule, by int) {
	if like.plugin == "" {
		return
	}
	runs := x.counts[like.plugin]
	if runs == nil {
		runs = make(map[string]int)
		x.counts[like.plugin] = runs
	}
	if runs[like.run] += by; runs[like.run] == 0 {
		delete(runs, like.run)
	}
	if len(runs) == 0 {
		delete(x.counts, like.plugin)
	}
}

// plugins are those that have schedules, in no order.
func (x *scheduleIndex) plugins() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Collect(maps.Keys(x.counts))
}

// counted says how many schedules of a plugin count for a run of OnInit: those that it
// set without an id, and those that none did. replaces says that one under a key is
// among them.
func (x *scheduleIndex) counted(key, plugin, run string) (replaces bool, count int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	is, runs := x.known[key], x.counts[plugin]
	if count = runs[""]; run != "" {
		count += runs[run]
	}
	return is.plugin != "" && (is.run == "" || is.run == run), count
}

// sum returns how many bytes all schedules take with their fires, and one of them.
func (x *scheduleIndex) sum(key string) (all, one int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.bytes, x.known[key].size
}

// total is how many schedules a plugin has.
func (x *scheduleIndex) total(plugin string) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	total := 0
	for _, count := range x.counts[plugin] {
		total += count
	}
	return total
}

// of are the schedules of a plugin by key.
func (x *scheduleIndex) of(plugin string) map[string]knownSchedule {
	x.mu.Lock()
	defer x.mu.Unlock()
	of := make(map[string]knownSchedule)
	for key, known := range x.known {
		if known.plugin == plugin {
			of[key] = known
		}
	}
	return of
}

// runs are the runs of OnInit that have set schedules without an id, by plugin.
func (x *scheduleIndex) runs() map[string][]string {
	x.mu.Lock()
	defer x.mu.Unlock()
	found := make(map[string][]string)
	for plugin, runs := range x.counts {
		for run := range runs {
			if run != "" {
				found[plugin] = append(found[plugin], run)
			}
		}
	}
	return found
}
