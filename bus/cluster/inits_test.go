package cluster

import (
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/subjects"
)

// What a run of OnInit has set without an id goes when the run has failed, or when another
// is in force and nobody serves by it.
func TestWhichRunsOfOnInitAreLeaving(t *testing.T) {
	t.Parallel()
	const run, other = "run", "other"
	init := func(generation string, state subjects.InitState, run string, change ...func(*subjects.InitRecord)) subjects.InitRecord {
		record := subjects.InitRecord{Plugin: "p", Generation: generation, State: state, Run: run, Replica: "r1"}
		for _, change := range change {
			change(&record)
		}
		return record
	}
	after := func(run string, at uint64) func(*subjects.InitRecord) {
		return func(r *subjects.InitRecord) { r.Succeeded, r.SucceededAt = run, at }
	}
	by := func(replica string) func(*subjects.InitRecord) {
		return func(r *subjects.InitRecord) { r.Replica = replica }
	}
	serving := func(generation, run string) subjects.Heartbeat {
		return subjects.Heartbeat{Generations: map[string]string{"p": generation}, Inits: map[string]string{"p": run}}
	}
	holding := func(run string) subjects.Heartbeat {
		return subjects.Heartbeat{Holds: map[string]string{"p": run}}
	}
	// A replica of a version from before does not tell runs.
	former := subjects.Heartbeat{Generations: map[string]string{"p": "a"}}
	type beat struct {
		record subjects.Heartbeat
		silent time.Duration
	}
	for _, test := range []struct {
		what  string
		inits []subjects.InitRecord // at the revisions 10, 20, …
		beats []beat
		want  bool
	}{
		{"the only one", []subjects.InitRecord{init("a", subjects.InitDone, run)}, nil, false},
		{"the newest, also if nobody is there", []subjects.InitRecord{init("a", subjects.InitDone, other), init("b", subjects.InitDone, run)}, nil, false},
		{"failed", []subjects.InitRecord{init("a", subjects.InitFailed, run)}, []beat{{serving("a", run), 0}}, true},
		{"running", []subjects.InitRecord{init("a", subjects.InitDone, other), init("b", subjects.InitRunning, run)}, []beat{{subjects.Heartbeat{Replica: "r1"}, 0}}, false},
		{"running, by one that is gone", []subjects.InitRecord{init("a", subjects.InitRunning, run, by("gone"))}, nil, true},
		{"running, taken from its replica", []subjects.InitRecord{init("a", subjects.InitRunning, run, by(""))}, nil, true},
		{"of a former life of the cluster, while OnInit runs anew", []subjects.InitRecord{init("a", subjects.InitRunning, other, after(run, 5))}, []beat{{subjects.Heartbeat{Replica: "r1"}, 0}}, false},
		{"of a former life of the cluster, when OnInit has failed anew", []subjects.InitRecord{init("a", subjects.InitFailed, other, after(run, 5))}, nil, false},
		{"of a former life of the cluster, when OnInit has succeeded anew", []subjects.InitRecord{init("a", subjects.InitDone, other, after(run, 5))}, nil, true},
		{"before the newest, and nobody serves by it", []subjects.InitRecord{init("a", subjects.InitDone, run), init("b", subjects.InitDone, other)}, []beat{{serving("b", other), 0}}, true},
		{"before the newest, and one serves by it", []subjects.InitRecord{init("a", subjects.InitDone, run), init("b", subjects.InitDone, other)}, []beat{{serving("a", run), 0}, {serving("b", other), 0}}, false},
		{"before the newest, and one is about to serve by it", []subjects.InitRecord{init("a", subjects.InitDone, run), init("b", subjects.InitDone, other)}, []beat{{holding(run), 0}}, false},
		{"before the newest, and one serves that tells no runs", []subjects.InitRecord{init("a", subjects.InitDone, run), init("b", subjects.InitDone, other)}, []beat{{former, 0}}, false},
		{"before the newest, and who serves by it is silent", []subjects.InitRecord{init("a", subjects.InitDone, run), init("b", subjects.InitDone, other)}, []beat{{serving("a", run), 2 * Lease}}, false},
		{"before the newest, and who serves by it is gone", []subjects.InitRecord{init("a", subjects.InitDone, run), init("b", subjects.InitDone, other)}, []beat{{serving("a", run), 4 * Lease}}, true},
		{"the newest, and all have gone back to another", []subjects.InitRecord{init("a", subjects.InitDone, other), init("b", subjects.InitDone, run)}, []beat{{serving("a", other), 0}}, true},
		{"the newest, and who serves by another is silent", []subjects.InitRecord{init("a", subjects.InitDone, other), init("b", subjects.InitDone, run)}, []beat{{serving("a", other), 2 * Lease}}, false},
		{"the newest, in whose generation one serves on by the run before", []subjects.InitRecord{init("a", subjects.InitDone, run, after(other, 5))}, []beat{{serving("a", other), 0}}, false},
		{"in whose place there is one of its generation, by which one serves on", []subjects.InitRecord{init("a", subjects.InitDone, other, after(run, 5))}, []beat{{serving("a", run), 0}}, true},
		{"that is not known, and no other is", nil, nil, false},
		{"that is not known, and another has succeeded", []subjects.InitRecord{init("a", subjects.InitDone, other)}, nil, true},
		{"that is not known, and another has failed", []subjects.InitRecord{init("a", subjects.InitFailed, other)}, nil, false},
		{"that is not known, as the bucket is an older one, and one serves by it", []subjects.InitRecord{init("a", subjects.InitDone, other)}, []beat{{serving("a", run), 0}}, false},
	} {
		t.Run(test.what, func(t *testing.T) {
			t.Parallel()
			h := &Heartbeat{key: "self", seenUpTo: time.Now(), seen: map[string]sighting{"self": {at: time.Now()}}}
			for i, beat := range test.beats {
				key := subjects.HeartbeatKey(beat.record.Replica)
				if beat.record.Replica == "" {
					key = "other" + string(rune('0'+i))
				}
				h.seen[key] = sighting{at: time.Now().Add(-beat.silent), record: beat.record}
			}
			inits := &Inits{
				config: InitsConfig{Heartbeat: h, Own: func(string) (string, string, string) { return "", "", "" }},
				known:  map[string]map[string]knownInit{"p": {}},
			}
			for i, record := range test.inits {
				inits.known["p"][record.Generation] = knownInit{InitRecord: record, revision: uint64(10 * (i + 1))} // #nosec G115 -- not negative
			}
			if is := inits.IsLeaving("p", run, 3*Lease); is != test.want {
				t.Errorf("it is leaving: %t", is)
			}
		})
	}
}
