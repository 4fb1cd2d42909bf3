package bus

import "sync"

// scheduleIndex is which schedules there are: by what the watch of their bucket tells, and
// before it comes to that by what this replica has written.
type scheduleIndex struct {
	mu     sync.Mutex
	known  map[string]knownSchedule // by key
	counts map[string]int           // schedules of each plugin
	told   uint64                   // the revision up to which the watch has told everything
}

// knownSchedule is the newest that is known of a schedule.
type knownSchedule struct {
	plugin   string // empty of one that we have removed, until the watch says so
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
	x.known, x.counts, x.told = make(map[string]knownSchedule), make(map[string]int), 0
}

// tell notes what the watch has told of a schedule: the plugin that has it at a revision,
// or none where it is gone. Revision 0 is that it was found to be gone.
func (x *scheduleIndex) tell(key, plugin string, revision uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	newest := x.known[key].revision
	isOld := revision <= newest
	if revision == 0 {
		isOld = newest > x.told
	}
	x.told = max(x.told, revision)
	if !isOld {
		x.put(key, plugin, revision)
	}
}

// wrote notes a schedule that we have set. Where the watch has come further, it has told
// what became of it.
func (x *scheduleIndex) wrote(key, plugin string, revision uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if revision > max(x.told, x.known[key].revision) {
		x.put(key, plugin, revision)
	}
}

// removed notes that we have removed a schedule that was at a revision.
func (x *scheduleIndex) removed(key string, revision uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.known[key].revision <= revision {
		x.put(key, "", revision)
	}
}

// put replaces what is known of a schedule; mu is held.
func (x *scheduleIndex) put(key, plugin string, revision uint64) {
	if before := x.known[key].plugin; before != "" {
		if x.counts[before]--; x.counts[before] == 0 {
			delete(x.counts, before)
		}
	}
	if plugin != "" {
		x.counts[plugin]++
	}
	// Nothing older than what was told is told any more.
	if plugin == "" && revision <= x.told {
		delete(x.known, key)
	} else {
		x.known[key] = knownSchedule{plugin, revision}
	}
}

// has says whether there is a schedule, and how many its plugin has.
func (x *scheduleIndex) has(key, plugin string) (is bool, count int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.known[key].plugin != "", x.counts[plugin]
}

// of are the schedules of a plugin by key, with their revisions.
func (x *scheduleIndex) of(plugin string) map[string]uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	revisions := make(map[string]uint64)
	for key, known := range x.known {
		if known.plugin == plugin {
			revisions[key] = known.revision
		}
	}
	return revisions
}
