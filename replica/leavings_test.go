package replica_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/replica"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/testenv/journal"
)

// unnamed sets a recurring schedule without an id.
func unnamed(payload string) journal.Command {
	return journal.Command{Do: "every", Expression: "@yearly", Payload: []byte(payload)}
}

// unnamedOnce sets a one-time schedule without an id.
func unnamedOnce(payload string, delay int) journal.Command {
	return journal.Command{Do: "once", Delay: delay, Payload: []byte(payload)}
}

// eachInit has every OnInit do something, and tells its number, from 1. Other events go
// to what answers them, if anything does.
func (s *stateful) eachInit(do func(n int) ([]journal.Command, error)) {
	var count atomic.Int64
	s.journal.On("", func(e journal.Event) ([]journal.Command, error) {
		if e.Event != "init" {
			return nil, nil
		}
		return do(int(count.Add(1)))
	})
}

// eachInitPlans has every OnInit set a recurring schedule and a one-time one without ids.
func (s *stateful) eachInitPlans() {
	s.eachInit(func(n int) ([]journal.Command, error) {
		return []journal.Command{unnamed(fmt.Sprint("often ", n)), unnamedOnce(fmt.Sprint("once ", n), 1_000_000)}, nil
	})
}

// planned are the payloads of all schedules, in order.
func (s *stateful) planned() []string {
	s.t.Helper()
	payloads := []string{}
	for _, record := range s.schedules() {
		payloads = append(payloads, string(record.Payload))
	}
	slices.Sort(payloads)
	return payloads
}

// schedules are all schedules.
func (s *stateful) schedules() []subjects.ScheduleRecord {
	s.t.Helper()
	var records []subjects.ScheduleRecord
	kv := s.bucket(subjects.ScheduleBucket)
	for _, key := range s.keysOfBucket(subjects.ScheduleBucket, ">") {
		entry, err := kv.Get(s.t.Context(), key)
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			continue // meanwhile
		}
		var record subjects.ScheduleRecord
		if err == nil {
			err = json.Unmarshal(entry.Value(), &record)
		}
		if err != nil {
			s.t.Fatal(err)
		}
		records = append(records, record)
	}
	return records
}

// awaitPlanned waits until the schedules are those with these payloads.
func (s *stateful) awaitPlanned(want ...string) {
	s.t.Helper()
	slices.Sort(want)
	var is []string
	defer func() {
		if s.t.Failed() {
			s.t.Logf("planned is %q, want %q", is, want)
		}
	}()
	eventually(s.t, fmt.Sprintf("planned is %q", want), func() bool {
		is = s.planned()
		return slices.Equal(is, want)
	})
}

// stay fails the test unless the schedules are those with these payloads, though the
// leader looks for leavings.
func (s *stateful) stay(want ...string) {
	s.t.Helper()
	s.awaitBeats(4) // it looks as often
	slices.Sort(want)
	if is := s.planned(); !slices.Equal(is, want) {
		s.t.Errorf("planned is %q, want %q", is, want)
	}
}

// putSchedule writes the record of a schedule.
func (s *stateful) putSchedule(record subjects.ScheduleRecord) {
	s.t.Helper()
	body, err := json.Marshal(record)
	if err == nil {
		_, err = s.bucket(subjects.ScheduleBucket).Put(s.t.Context(), subjects.ScheduleKey("p", string(record.Schedule)), body)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// settings gives the plugin other settings on a replica.
func (s *stateful) settings(r *replica.Replica, other string) error {
	s.t.Helper()
	config := r.Config()
	config.PluginConfig = map[string]map[string]string{"p": {"journal": s.journal.URL(), "other": other}}
	changed, err := r.Reconfigure(s.t.Context(), config)
	if err == nil && len(changed.Loaded) != 1 {
		err = fmt.Errorf("%+v", changed)
	}
	return err
}

// set is settings that load.
func (s *stateful) set(r *replica.Replica, other string) {
	s.t.Helper()
	if err := s.settings(r, other); err != nil {
		s.t.Fatal(err)
	}
}

// quickly has the leader wait no longer than a lease for replicas that are silent.
func quickly(c *setup) { c.ForgetRemovedAfter(time.Millisecond) }

// limited lets the plugin have two schedules.
func limited(c *setup) { c.Scheduler.MaxSchedules = 2 }

// The limit has place for those of one OnInit: those that are to go do not count.
func TestARestartLeavesTheSchedulesOfOneOnInit(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	s.eachInitPlans()
	for n := range 3 {
		r := s.start(limited)
		s.ready(r)
		s.awaitPlanned(fmt.Sprint("often ", n+1), fmt.Sprint("once ", n+1))
		if err := r.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAnotherVersionLeavesTheSchedulesOfOneOnInit(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(s *stateful, r *replica.Replica, n int){
		"with other settings": func(s *stateful, r *replica.Replica, n int) { s.set(r, fmt.Sprint(n)) },
		"with other files": func(s *stateful, r *replica.Replica, n int) {
			testenv.AddPlugin(s.t, s.folder, "p", append(journal.Manifest(), strings.Repeat("\n", n)...), guests.Wasm(s.t, guests.Stateful))
			if err := r.Refresh(s.t.Context(), "p"); err != nil {
				s.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStateful(t, nil)
			s.eachInitPlans()
			r := s.start(limited)
			for n := range 20 {
				change(s, r, n+1)
				s.ready(r)
			}
			s.awaitPlanned("often 21", "once 21")
			// A refresh of the same version does not run OnInit, and changes nothing.
			if err := r.Refresh(t.Context(), "p"); err != nil {
				t.Fatal(err)
			}
			s.stay("often 21", "once 21")
			s.inits(21)
		})
	}
}

// What a failed OnInit has set goes at once; the version that serves on keeps its own.
func TestAFailedOnInitLeavesNoSchedules(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	var fails atomic.Bool // also when it is tried again by itself
	var name atomic.Value
	phase := func(named string, failing bool) {
		name.Store(named)
		fails.Store(failing)
	}
	s.eachInit(func(int) ([]journal.Command, error) {
		named := name.Load().(string)
		commands := []journal.Command{unnamed("often " + named), unnamedOnce("once "+named, 1_000_000)}
		if fails.Load() {
			commands = append(commands, journal.Command{Do: "nonsense"})
		}
		return commands, nil
	})
	phase("of the first", true)
	r := s.start(limited)
	s.awaitPlanned()
	phase("that serves", false)
	if err := r.Refresh(t.Context(), "p"); err != nil {
		t.Fatal(err)
	}
	s.awaitPlanned("often that serves", "once that serves")
	phase("that fails", true)
	for _, other := range []string{"another", "one more"} {
		if err := s.settings(r, other); err == nil {
			t.Error("it loads")
		}
		s.awaitPlanned("often that serves", "once that serves")
	}
	phase("at last", false)
	s.set(r, "at last")
	s.awaitPlanned("often at last", "once at last")
}

// One that has run OnInit anew dies before it has removed what the former OnInit set.
func TestAnotherReplicaRemovesWhatAFormerOnInitSet(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	s.eachInitPlans()
	alike := func(c *setup) { c.Runtime = config.Default().Runtime } // as a process has it
	first := s.start(quickly, alike)
	s.awaitPlanned("often 1", "once 1")
	if err := first.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	var mute atomic.Bool // nothing that is written to the schedules arrives
	link := testenv.StartNATSLink(t, s.url, func(_ *testenv.NATSLink, subject string) bool {
		return !mute.Load() || !strings.HasPrefix(subject, "$KV.pluginhost-schedules.")
	})
	s.journal.On("", func(e journal.Event) ([]journal.Command, error) {
		if e.Event == "done" {
			mute.Store(true)
			return nil, nil
		}
		return []journal.Command{unnamed("often 2"), unnamedOnce("once 2", 1_000_000)}, nil
	})
	direct := s.url
	s.url = link.URL()
	dies := s.process()
	s.url = direct
	survives := s.start(quickly, alike)
	s.ready(survives)
	s.stay("often 1", "once 1", "often 2", "once 2") // who leads cannot remove them
	dies.Signal(syscall.SIGKILL)
	s.awaitPlanned("often 2", "once 2")
	s.inits(2)
}

// The replica dies in an OnInit that has set schedules: they are gone before it is run
// once more.
func TestAnOnInitWithoutItsReplicaLeavesNoSchedules(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	var atSecond []string
	s.eachInit(func(n int) ([]journal.Command, error) {
		if n == 2 {
			atSecond = s.planned()
		}
		return []journal.Command{unnamed(fmt.Sprint("often ", n))}, nil
	})
	s.journal.Hold(t, "done", "")
	if err := os.RemoveAll(filepath.Join(s.folder, "p")); err != nil {
		t.Fatal(err)
	}
	dies := s.process()
	testenv.AddPlugin(t, s.folder, "p", journal.Manifest(), guests.Wasm(t, guests.Stateful))
	if err := s.conn.Publish(subjects.ControlRefresh("p"), nil); err != nil {
		t.Fatal(err)
	}
	s.journal.AwaitCount(t, "done", 1)
	s.awaitPlanned("often 1")
	other := s.starting(1, func(c *setup) { c.Runtime = config.Default().Runtime })
	dies.Signal(syscall.SIGKILL)
	s.ready(other()...)
	if len(atSecond) > 0 {
		t.Errorf("at the second OnInit there are %q", atSecond)
	}
	s.awaitPlanned("often 2")
}

// What a callback or a call sets, and what has an id, is the plugin's own to cancel.
func TestOnlyWhatOnInitSetsWithoutAnIDGoes(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	s.eachInit(func(n int) ([]journal.Command, error) {
		commands := []journal.Command{unnamed(fmt.Sprint("often ", n))}
		if n == 1 {
			named := unnamed("named")
			named.ID = []byte("named")
			commands = append(commands, named, unnamedOnce("at once", 0))
		}
		return commands, nil
	})
	r := s.start()
	fire := s.journal.AwaitCount(t, "fire", 1)[0]
	s.journal.On(string(fire.ID), func(journal.Event) ([]journal.Command, error) {
		return []journal.Command{unnamed("of a callback")}, nil
	})
	s.do(journal.Command{Do: "once", ID: fire.ID})
	s.journal.AwaitCount(t, "done", 2)
	s.do(unnamed("of a call"))
	// A record from before has no mark.
	before := subjects.ScheduleRecord{V: 1, Plugin: "p", Schedule: []byte("before"), Set: "before", Created: time.Now(), Expression: "@yearly", Zone: "UTC", Payload: []byte("from before")}
	s.putSchedule(before)
	s.set(r, "another")
	s.awaitPlanned("often 2", "named", "of a callback", "of a call", "from before")
	if err := r.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.start()
	s.awaitPlanned("often 3", "named", "of a callback", "of a call", "from before")
}

// Two replicas with settings of their own serve beside each other, as in an update.
func TestEachVersionKeepsTheSchedulesOfItsOnInit(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	s.eachInitPlans()
	two := s.starting(2, limited, quickly)()
	s.set(two[0], "another")
	s.stay("often 1", "once 1", "often 2", "once 2")
	s.set(two[1], "another") // which takes over how it ended
	s.awaitPlanned("often 2", "once 2")
	s.inits(2)
	// One goes on and back again, while the other serves all the time.
	s.set(two[0], "third")
	s.stay("often 2", "once 2", "often 3", "once 3")
	s.set(two[0], "another")
	s.awaitPlanned("often 2", "once 2")
	s.set(two[0], "third") // which would have none without an OnInit of its own
	s.stay("often 2", "once 2", "often 4", "once 4")
	s.inits(4)
	// It goes when the last that has it goes.
	if err := two[1].Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.awaitPlanned("often 4", "once 4")
}

// A replica that is killed may have been the last with its version.
func TestTheSchedulesOfAVersionGoWithItsLastReplica(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	s.eachInitPlans()
	dies := s.process()
	r := s.start(quickly, func(c *setup) {
		c.Runtime = config.Default().Runtime
		c.PluginConfig["p"]["other"] = "setting"
	})
	s.stay("often 1", "once 1", "often 2", "once 2")
	dies.Signal(syscall.SIGKILL)
	s.awaitPlanned("often 2", "once 2")
	s.ready(r)
}

// A callback goes on whose schedule goes meanwhile, and is not run once more.
func TestASchedulesCallbackRunsWhileItGoes(t *testing.T) {
	t.Parallel()
	for name, command := range map[string]journal.Command{
		"recurring": {Do: "every", Expression: "@every 1s", Payload: []byte("first")},
		"one-time":  unnamedOnce("first", 0),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStateful(t, nil)
			release := make(chan struct{})
			s.journal = journal.Start(t, func(journal.Event) ([]journal.Command, error) { // of fires: nobody knows the id
				<-release
				return nil, nil
			})
			s.eachInit(func(int) ([]journal.Command, error) { return []journal.Command{command}, nil })
			r := s.start()
			s.journal.AwaitCount(t, "fire", 1)
			s.eachInit(func(int) ([]journal.Command, error) { return []journal.Command{unnamed("second")}, nil })
			s.set(r, "another")
			if command.Do == "every" {
				s.awaitPlanned("second")
			} else {
				s.stay("first", "second") // it is about to go by itself
			}
			close(release)
			s.awaitPlanned("second")
			s.stay("second")
			if fires := s.journal.Of("fire"); len(fires) != 1 {
				t.Errorf("heard are %+v", fires)
			}
			if reruns := s.announced.of(subjects.EventScheduleRerun, ""); len(reruns) > 0 {
				t.Errorf("announced is %+v", reruns)
			}
		})
	}
}

// A thousand that nobody knows any more, of which most are due, are gone without a fire.
func TestManyLeavingsGoWithoutAFire(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	s.eachInitPlans()
	if err := s.start().Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	for n := range 1000 {
		s.putSchedule(subjects.ScheduleRecord{
			V: 1, Plugin: "p", Schedule: fmt.Append(nil, n), Set: fmt.Sprint(n), Init: "former", Created: time.Now(), Due: time.Now(), Payload: []byte("former"),
		})
	}
	s.start(quickly)
	s.awaitPlanned("often 2", "once 2")
	if fires := s.journal.Of("fire"); len(fires) > 0 {
		t.Errorf("%d fires are run", len(fires))
	}
}

// connecting is an OnInit that opens a connection without an id.
func (s *stateful) eachInitConnects(g *gateway) {
	s.eachInit(func(int) ([]journal.Command, error) {
		return []journal.Command{{Do: "connect", URL: g.address()}}, nil
	})
}
