package cluster

import (
	"context"
	"sync"
	"time"

	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

// InitsConfig is the configuration of Inits.
type InitsConfig struct {
	// Heartbeat tells which replicas are alive, and which runs of OnInit they are
	// initialised by.
	Heartbeat *Heartbeat
	// Own is what this replica has of a plugin: the generation that it serves, the run
	// of OnInit that initialised that, and the run of a generation that is about to
	// serve. Empty is none.
	Own func(id string) (generation, run, holds string)
}

// Inits tells which runs of OnInit are in force, so that what others have set without an
// id can go: schedules and connections of which no later run knows the ids. It is safe
// for concurrent use.
type Inits struct {
	config  InitsConfig
	records jet.Records
	unhear  func()

	mu    sync.Mutex
	known map[string]map[string]knownInit // by plugin and generation
	keys  map[string]knownInit            // the same by key
}

type knownInit struct {
	subjects.InitRecord
	key      string
	revision uint64
}

// succeeded is the newest run that has succeeded, and the revision at which it did.
func (k knownInit) succeeded() (run string, revision uint64) {
	if k.State == subjects.InitDone {
		return k.Run, k.revision
	}
	return k.Succeeded, k.SucceededAt
}

// OpenInits begins to follow the records of OnInit. The caller stops the Inits.
func OpenInits(ctx context.Context, handle *jet.Handle, config InitsConfig) (*Inits, error) {
	state, err := handle.State(ctx)
	if err != nil {
		return nil, err
	}
	i := &Inits{config: config, known: make(map[string]map[string]knownInit), keys: make(map[string]knownInit)}
	if i.records, err = handle.OpenRecords(ctx, jet.StateBucket); err != nil {
		return nil, err
	}
	i.unhear = state.Listen(subjects.AllInitKeys, i.note)
	return i, nil
}

// Stop stops following.
func (i *Inits) Stop() { i.unhear() }

func (i *Inits) note(c jet.Change) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if former, found := i.keys[c.Key]; found {
		delete(i.keys, c.Key)
		delete(i.known[former.Plugin], former.Generation)
		if len(i.known[former.Plugin]) == 0 {
			delete(i.known, former.Plugin)
		}
	}
	next := knownInit{key: c.Key, revision: c.Revision}
	if c.Gone || c.Decode(&next.InitRecord) != nil {
		return // who is to have the generation initialised writes it anew
	}
	i.keys[c.Key] = next
	if i.known[next.Plugin] == nil {
		i.known[next.Plugin] = make(map[string]knownInit)
	}
	i.known[next.Plugin][next.Generation] = next
}

// of are the records of a plugin by generation.
func (i *Inits) of(id string) map[string]knownInit {
	i.mu.Lock()
	defer i.mu.Unlock()
	of := make(map[string]knownInit, len(i.known[id]))
	for generation, known := range i.known[id] {
		of[generation] = known
	}
	return of
}

// IsLeaving says whether what a run of OnInit has set without an id is to go: the run has
// failed, or lost its replica, or a later one is in force and no replica serves by this
// one. A replica of which nothing was heard for as long as absent, which is a lease at
// least, counts as gone.
func (i *Inits) IsLeaving(id, run string, absent time.Duration) bool {
	if run == "" {
		return false
	}
	inits := i.of(id)
	newest, at := "", uint64(0)
	for _, init := range inits {
		if init.Run == run && init.State == subjects.InitFailed {
			return true
		}
		if init.Run == run && init.State == subjects.InitRunning {
			return !i.config.Heartbeat.isHeard(init.Replica, absent)
		}
		if succeeded, revision := init.succeeded(); revision > at {
			newest, at = succeeded, revision
		}
	}
	if at == 0 {
		return false // no run is known to have succeeded
	}
	isHeld, isReplaced := i.isInForce(id, run, inits, absent)
	return !isHeld && (run != newest || isReplaced)
}

// isInForce says whether a replica serves by a run of OnInit, or is about to, and
// otherwise whether one that is alive serves by another.
func (i *Inits) isInForce(id, run string, inits map[string]knownInit, absent time.Duration) (is, another bool) {
	look := func(generation, by, holds string, isAlive bool) {
		if generation != "" {
			by = initialisedBy(inits[generation], by)
		}
		is = is || by == run || holds == run
		another = another || isAlive && generation != "" && by != "" && by != run
	}
	generation, by, holds := i.config.Own(id)
	look(generation, by, holds, true)
	i.config.Heartbeat.heard(absent, func(beat subjects.Heartbeat, isAlive bool) {
		look(beat.Generations[id], beat.Inits[id], beat.Holds[id], isAlive)
	})
	return is, another
}

// initialisedBy is the run of OnInit that has initialised a generation which a replica
// serves, as its heartbeat tells, empty if it does not. A replica that counted as gone may
// serve on by a run in whose place there is another one of the same generation.
func initialisedBy(init knownInit, told string) string {
	if init.State == subjects.InitDone && (told == "" || told == init.Succeeded) {
		return init.Run
	}
	return told
}

// Retire has no replica take over a run of OnInit that is leaving any more, and says
// whether that is so: then what the run has set can go if it is leaving still. Otherwise
// the caller looks again later, when others may be seen to hold it.
func (i *Inits) Retire(ctx context.Context, id, run string) (isRetired bool, err error) {
	for _, init := range i.of(id) {
		switch {
		case init.Run != run:
		case init.State == subjects.InitDone:
			return false, jet.IgnoreMoved(i.records.Remove(ctx, init.key, init.revision))
		case init.State == subjects.InitRunning && init.Replica != "":
			abandoned := init.InitRecord
			abandoned.Replica = ""
			_, err := i.records.Update(ctx, init.key, abandoned, init.revision)
			return false, jet.IgnoreMoved(err)
		}
	}
	return true, nil
}

// servedBy is the run of OnInit by which another replica serves a generation; found is
// false if none that may be alive does.
func (h *Heartbeat) servedBy(id, generation string, record subjects.InitRecord) (run string, found bool) {
	h.heard(Lease, func(beat subjects.Heartbeat, _ bool) {
		if beat.Generations[id] == generation {
			run, found = initialisedBy(knownInit{InitRecord: record}, beat.Inits[id]), true
		}
	})
	return run, found
}
