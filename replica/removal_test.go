package replica_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/replica"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/testenv/journal"
)

// keysOfBucket are the keys of a bucket that match a pattern.
func (s *stateful) keysOfBucket(bucket, pattern string) []string {
	s.t.Helper()
	for {
		keys, err := s.listKeys(bucket, pattern)
		switch {
		case err == nil:
			return keys
		case !errors.Is(err, context.DeadlineExceeded) || s.t.Context().Err() != nil:
			s.t.Fatal(err)
		}
	}
}

// listKeys lists keys once. A listing does not end if keys go meanwhile that it has counted.
func (s *stateful) listKeys(bucket, pattern string) (keys []string, err error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Second)
	defer cancel()
	lister, err := s.bucket(bucket).ListKeysFiltered(ctx, pattern)
	if err != nil {
		return nil, err
	}
	for key := range lister.Keys() {
		keys = append(keys, key)
	}
	return keys, ctx.Err()
}

// awaitBeats waits for so many heartbeats.
func (s *stateful) awaitBeats(count int) {
	s.t.Helper()
	beats, err := s.bucket(subjects.StateBucket).Watch(s.t.Context(), subjects.HeartbeatKeys, jetstream.UpdatesOnly())
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = beats.Stop() }()
	for range count {
		<-beats.Updates()
	}
}

// What a plugin has left behind goes when no replica has the plugin any more, and not
// before.
func TestARemovedPluginLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	own := t.TempDir() // the folder of another replica
	testenv.AddPlugin(t, own, "p", journal.Manifest(), guests.Wasm(t, guests.Stateful))
	quickly := func(c *setup) { c.ForgetRemovedAfter(time.Millisecond) }
	first := s.start(quickly)
	second := s.start(quickly, func(c *setup) { c.Plugins.Folder = own })
	s.do(journal.Command{Do: "once", ID: []byte("later"), Delay: 1_000_000})
	s.do(journal.Command{Do: "every", ID: []byte("often"), Expression: "@yearly"})

	remove := func(r *replica.Replica, folder string) {
		t.Helper()
		testenv.RemovePlugin(t, folder, "p")
		if err := r.Refresh(t.Context(), "p"); err != nil {
			t.Fatal(err)
		}
	}
	gone := func() bool { return len(s.keysOfBucket(subjects.ScheduleBucket, ">")) == 0 }
	remove(first, s.folder)
	s.awaitBeats(8) // the leader looks for removed plugins as often
	if gone() || len(s.keysOfBucket(subjects.StateBucket, "init.p.*")) == 0 {
		t.Error("its schedules are gone while another replica has it")
	}
	remove(second, own)
	eventually(t, "its schedules are gone", func() bool {
		return gone() && len(s.keysOfBucket(subjects.StateBucket, "removed.*")) == 0
	})
	if keys := s.keysOfBucket(subjects.StateBucket, "init.p.*"); len(keys) > 0 {
		t.Errorf("it counts as initialised: %q", keys)
	}
	testenv.AddPlugin(t, s.folder, "p", journal.Manifest(), guests.Wasm(t, guests.Stateful))
	if err := first.Refresh(t.Context(), "p"); err != nil {
		t.Fatal(err)
	}
	s.journal.AwaitCount(t, "init", 2)
}

// The leader takes a removal back while a replica serves the plugin: the one that removes
// it must not be among them.
func TestARemovalIsNotedAfterTheReplicaStopsListingThePlugin(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	r := s.start()
	state := s.watch(subjects.StateBucket, ">")
	defer func() { _ = state.Stop() }()
	testenv.RemovePlugin(t, s.folder, "p")
	if err := r.Refresh(t.Context(), "p"); err != nil {
		t.Fatal(err)
	}
	var last subjects.Heartbeat
	for timeout := time.After(patience); ; {
		select {
		case entry := <-state.Updates():
			switch {
			case entry == nil || entry.Operation() != jetstream.KeyValuePut:
			case entry.Key() == subjects.HeartbeatKey(r.ID()):
				last = subjects.Heartbeat{}
				if err := json.Unmarshal(entry.Value(), &last); err != nil {
					t.Fatal(err)
				}
			case entry.Key() == subjects.RemovedKey("p"):
				if last.Replica == "" || last.Generations["p"] != "" {
					t.Errorf("the removal follows the heartbeat %+v", last)
				}
				return
			}
		case <-timeout:
			t.Fatal("the removal is not noted")
		}
	}
}

// A replica that has begun to remove what a plugin has left behind may die, or lead no
// more, and the plugin be back.
func TestARemovalThatNobodyGoesOnWithIsTakenBack(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	s.start()
	another := s.start() // which does not lead
	s.do(every("often", "@yearly"))
	for _, cleaner := range []string{"nobody", another.ID()} {
		record := fmt.Appendf(nil, `{"v":1,"plugin":"p","time":%q,"cleaning":%q}`, time.Now().UTC().Format(time.RFC3339Nano), cleaner)
		if _, err := s.bucket(subjects.StateBucket).Put(t.Context(), subjects.RemovedKey("p"), record); err != nil {
			t.Fatal(err)
		}
		awaitRecord(s, subjects.StateBucket, subjects.RemovedKey("p"), isNone[subjects.RemovedRecord])
	}
	s.do(cancel("often"))
}

// A plugin that does not load on another replica is installed there.
func TestAPluginThatAnotherReplicaHasUnservedKeepsWhatItHas(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	broken := t.TempDir()
	testenv.AddPlugin(t, broken, "p", journal.Manifest(), []byte("broken"))
	leader := s.start()
	s.start(func(c *setup) { c.Plugins.Folder = broken })
	s.do(every("often", "@yearly"))
	testenv.RemovePlugin(t, s.folder, "p")
	if err := leader.Refresh(t.Context(), "p"); err != nil {
		t.Fatal(err)
	}
	s.keepsSchedules(leader)
}

// keepsSchedules fails the test unless the leader, which r is, has left the schedules
// alone though it looks for removed plugins and has no patience.
func (s *stateful) keepsSchedules(r *replica.Replica) {
	s.t.Helper()
	r.ForgetRemovedAfter(time.Nanosecond)
	s.awaitBeats(4) // the leader looks as often, and does it at the second look
	if len(s.keysOfBucket(subjects.ScheduleBucket, ">")) == 0 {
		s.t.Error("its schedules are gone")
	}
}

// Another replica serves a plugin on whose folder is gone here, and is away for a moment.
func TestAServedPluginKeepsWhatItHasWhileItsReplicaIsAway(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	own := t.TempDir()
	testenv.AddPlugin(t, own, "p", journal.Manifest(), guests.Wasm(t, guests.Stateful))
	there := func(c *setup) { c.Plugins.Folder = own }
	patiently := func(c *setup) { c.ForgetRemovedAfter(time.Hour) }
	leader := s.start(patiently)
	other := s.start(patiently, there)
	s.do(every("often", "@yearly"))
	testenv.RemovePlugin(t, s.folder, "p")
	if err := leader.Refresh(t.Context(), "p"); err != nil {
		t.Fatal(err)
	}
	awaitRecord(s, subjects.StateBucket, subjects.RemovedKey("p"), isNone[subjects.RemovedRecord])
	if err := other.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.keepsSchedules(leader)
	s.start(there)
	s.do(cancel("often"))
}

// What a plugin has waits for a plugin whose folder is back and which is not served yet.
func TestAPluginThatIsBackKeepsWhatItHas(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		wasm []byte
		back func(s *stateful, refreshed <-chan error)
	}{
		"and fails to load": {[]byte("broken"), func(s *stateful, refreshed <-chan error) {
			if err := <-refreshed; err == nil {
				s.t.Error("it is loaded")
			}
		}},
		"and takes long in OnInit": {guests.Wasm(t, guests.Stateful), func(s *stateful, _ <-chan error) {
			s.journal.AwaitCount(s.t, "init", 2)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStateful(t, nil)
			r := s.start(func(c *setup) { c.ForgetRemovedAfter(time.Hour) })
			s.do(every("often", "@yearly"))
			testenv.RemovePlugin(t, s.folder, "p")
			if err := r.Refresh(t.Context(), "p"); err != nil {
				t.Fatal(err)
			}
			awaitRecord(s, subjects.StateBucket, subjects.RemovedKey("p"), isThere[subjects.RemovedRecord])
			release := s.journal.Hold(t, "init", "")
			testenv.AddPlugin(t, s.folder, "p", append(journal.Manifest(), '\n'), test.wasm)
			refreshed := make(chan error, 1)
			go func() { refreshed <- r.Refresh(context.Background(), "p") }()
			test.back(s, refreshed)
			s.keepsSchedules(r)
			release()
		})
	}
}
