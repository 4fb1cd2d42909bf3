package scrobble

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

// index is what the bucket of queues has told: all queues, and the plugins that plays are for.
type index struct {
	mu         sync.Mutex
	queues     map[string]known         // by key
	plugins    map[string]*pluginQueues // by id
	scrobblers map[string]string        // ids, by key
	changed    chan struct{}            // closed when a plugin appears, or has room again
	renewed    chan struct{}            // closed when the bucket is another one, or came back older
}

// known is the record of a queue at a revision.
type known struct {
	record   subjects.QueueRecord
	revision uint64
}

// pluginQueues are the queues of one plugin.
type pluginQueues struct {
	keys    map[string]bool
	waiting uint64
	worker  *Worker // nil is none here
	// recent are the last deliveries of two different queues: when, by this replica's clock.
	recent [2]delivered
}

// delivered is that a play of a queue was delivered.
type delivered struct {
	key string
	at  time.Time
}

func newIndex() *index {
	return &index{
		queues: make(map[string]known), plugins: make(map[string]*pluginQueues),
		scrobblers: make(map[string]string), changed: make(chan struct{}), renewed: make(chan struct{}),
	}
}

// note takes over what has become of a queue or a plugin.
func (x *index) note(c jet.Change) error {
	switch {
	case c.Anew:
		x.renew()
	case strings.HasPrefix(c.Key, subjects.QueueKeys):
		return x.noteQueue(c)
	case strings.HasPrefix(c.Key, subjects.ScrobblerKeys):
		return x.noteScrobbler(c)
	}
	return nil
}

// renew forgets the revisions: those of another bucket begin anew.
func (x *index) renew() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for key, k := range x.queues {
		k.revision = 0
		x.queues[key] = k
	}
	close(x.renewed)
	x.renewed = make(chan struct{})
}

// renewals returns a channel that is closed when the bucket is another one, or came back older.
func (x *index) renewals() <-chan struct{} {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.renewed
}

func (x *index) noteScrobbler(c jet.Change) error {
	var record subjects.ScrobblerRecord
	if !c.Gone {
		if err := c.Decode(&record); err != nil {
			return err
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if c.Gone {
		delete(x.scrobblers, c.Key)
		return nil
	}
	x.scrobblers[c.Key] = record.Plugin
	x.tell()
	return nil
}

func (x *index) noteQueue(c jet.Change) error {
	var record subjects.QueueRecord
	if !c.Gone {
		if err := c.Decode(&record); err != nil {
			return err
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.put(c.Key, record, c.Revision, c.Gone)
	return nil
}

// wrote takes over a record that this replica has written, before the watch tells of it.
func (x *index) wrote(key string, record subjects.QueueRecord, revision uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.put(key, record, revision, false)
}

// put is note of a queue; mu is held.
func (x *index) put(key string, record subjects.QueueRecord, revision uint64, gone bool) {
	before, had := x.queues[key]
	if had && revision != 0 && revision <= before.revision {
		return
	}
	if had {
		x.of(before.record.Plugin).waiting -= before.record.Waiting()
	}
	if gone {
		delete(x.queues, key)
		p := x.of(before.record.Plugin)
		delete(p.keys, key)
		if p.worker != nil {
			p.worker.forget(key)
		}
		return
	}
	p := x.of(record.Plugin)
	p.keys[key] = true
	p.waiting += record.Waiting()
	x.queues[key] = known{record, revision}
	if record.Delivered > before.record.Delivered && had {
		p.note(delivered{key, time.Now()})
	}
	if record.Done > before.record.Done {
		x.tell()
	}
	if p.worker != nil {
		p.worker.note(key, &record)
	}
}

// note takes in a delivery.
func (p *pluginQueues) note(d delivered) {
	if p.recent[0].key != d.key {
		p.recent[1] = p.recent[0]
	}
	p.recent[0] = d
}

// of is a plugin, made if it is missing; mu is held.
func (x *index) of(id string) *pluginQueues {
	p := x.plugins[id]
	if p == nil {
		p = &pluginQueues{keys: make(map[string]bool)}
		x.plugins[id] = p
	}
	return p
}

// tell tells those who wait for changes; mu is held.
func (x *index) tell() {
	close(x.changed)
	x.changed = make(chan struct{})
}

// changes returns a channel that is closed when a plugin appears, or a play has left a queue.
func (x *index) changes() <-chan struct{} {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.changed
}

// queue is what is known of a queue, and its revision; 0 is that there is none.
func (x *index) queue(key string) (subjects.QueueRecord, uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	k := x.queues[key]
	return clone(k.record), k.revision
}

// clone copies what records share.
func clone(r subjects.QueueRecord) subjects.QueueRecord {
	r.Aside = slices.Clone(r.Aside)
	return r
}

// waiting is how many plays wait for a plugin.
func (x *index) waiting(id string) uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	if p := x.plugins[id]; p != nil {
		return p.waiting
	}
	return 0
}

// count is how many queues there are.
func (x *index) count() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.queues)
}

// queuesOf are the queues of a plugin, by key.
func (x *index) queuesOf(id string) map[string]subjects.QueueRecord {
	x.mu.Lock()
	defer x.mu.Unlock()
	all := make(map[string]subjects.QueueRecord)
	if p := x.plugins[id]; p != nil {
		for key := range p.keys {
			all[key] = clone(x.queues[key].record)
		}
	}
	return all
}

// installed are the ids of the plugins that have Scrobbler, in their order.
func (x *index) installed() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Sorted(maps.Values(x.scrobblers))
}

// isInstalled says whether a plugin has Scrobbler.
func (x *index) isInstalled(id string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.scrobblers[subjects.ScrobblerKey(id)] == id
}

// deliveredToOthers says whether the plugin has taken a play of another queue since a time.
func (x *index) deliveredToOthers(id, key string, since time.Time) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.of(id)
	for _, d := range p.recent {
		if d.key != "" && d.key != key && d.at.After(since) {
			return true
		}
	}
	return false
}

// attach has a worker told of the queues of a plugin from now on, in the place of any other.
func (x *index) attach(id string, w *Worker) {
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.of(id)
	p.worker = w
	for key := range p.keys {
		record := x.queues[key].record
		w.note(key, &record)
	}
}

// detach ends that, unless another worker has taken its place.
func (x *index) detach(id string, w *Worker) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if p := x.of(id); p.worker == w {
		p.worker = nil
	}
}
