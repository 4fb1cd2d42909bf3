package replica_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/journal"
)

// crashing is NATS that loses what it has written of late.
type crashing struct {
	url  string
	save func(streams ...string) (putBack func())
	// stop and start are of all servers.
	stop, start func()
}

func oneServer(t *testing.T) crashing {
	t.Helper()
	server := testenv.Restartable(t)
	return crashing{server.URL(), server.SaveStreams, server.Stop, server.Start}
}

func threeServers(t *testing.T) crashing {
	t.Helper()
	cluster := testenv.StartNATSCluster(t)
	each := func(do func(string)) func() {
		return func() {
			for _, name := range cluster.Servers() {
				do(name)
			}
		}
	}
	return crashing{cluster.URL(), cluster.SaveStreams, each(cluster.Kill), each(cluster.Start)}
}

// The stream of fires comes back as it was while a callback ran, and its consumer does not.
func TestAFireThatNATSWouldNeverDeliverIsRun(t *testing.T) {
	t.Parallel()
	for servers, begin := range map[string]func(*testing.T) crashing{"one server": oneServer, "three servers": threeServers} {
		for _, behind := range []int{1, 5, 100} {
			t.Run(fmt.Sprintf("%s, %d behind", servers, behind), func(t *testing.T) {
				t.Parallel()
				nats := begin(t)
				s := newStatefulAt(t, nats.url, nil)
				r := s.start()
				ran := s.strand(nats, behind)
				isStuck := s.isOverlooked()
				s.doOnceServed(every("each second", often))
				s.journal.AwaitAbout(t, "fire", "each second", ran+3)
				s.do(once("another", 0))
				s.ran("another")
				if servers == "one server" && !isStuck {
					t.Error("NATS would have delivered the fire")
				}
				if isStuck { // three servers may agree on what happened
					s.announced.await(t, subjects.EventFiresRecovered, "", 1)
					eventually(t, "it is counted", func() bool {
						recovered := r.Status().RecoveredFires
						return len(recovered) == 1 && recovered[0].ID == "p" && recovered[0].Times == 1
					})
					if !s.log.has("NATS would never have delivered fires of a plugin", "plugin=p") {
						t.Error("nothing is logged")
					}
				}
			})
		}
	}
}

// A leader that finds out has to be the leader for that long.
func TestAFireThatNATSWouldNeverDeliverIsRunWhileLeadersComeAndGo(t *testing.T) {
	t.Parallel()
	nats := oneServer(t)
	s := newStatefulAt(t, nats.url, nil)
	leader := s.start()
	s.strand(nats, 1)
	s.doOnceServed(every("each second", often))
	const terms, term = 10, 2 * cluster.Lease
	for range terms {
		if len(s.announced.until(time.After(term), subjects.EventFiresRecovered, "", 1)) > 0 {
			return
		}
		next := s.start()
		if err := leader.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the next one leads", func() bool { status := next.Status(); return status.Leader == status.Replica })
		leader = next
	}
	t.Errorf("in %d terms of %v no leader has found the fire", terms, term)
}

// strand leaves a fire of the schedule "each second" in the stream that NATS counts as done, which
// has gone on by so many fires before it lost them. It returns how often the schedule has run.
func (s *stateful) strand(nats crashing, behind int) (ran int) {
	s.t.Helper()
	release := s.journal.Hold(s.t, "fire", "each second")
	s.doOnceServed(every("each second", often))
	s.journal.AwaitAbout(s.t, "fire", "each second", 1)
	putBack := nats.save(subjects.FireStream)
	for i := range behind - 1 {
		id := fmt.Sprint("before", i)
		s.do(once(id, 0))
		s.ran(id)
	}
	s.do(cancel("each second"))
	release()
	s.awaitDone("each second")
	nats.stop()
	putBack()
	ran = len(s.journal.About("fire", "each second"))
	nats.start()
	return ran
}

// doOnceServed is do for a plugin that is not served everywhere yet.
func (s *stateful) doOnceServed(command journal.Command) {
	s.t.Helper()
	eventually(s.t, "the plugin is served", func() bool {
		_, err := s.tryWhere(command)
		return err == nil
	})
}

// isOverlooked says, as soon as the servers answer, whether the stream has a fire of the plugin
// that its consumer counts as done.
func (s *stateful) isOverlooked() (is bool) {
	s.t.Helper()
	js, err := jetstream.New(s.conn)
	if err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "the servers answer", func() bool {
		ctx, cancel := context.WithTimeout(s.t.Context(), time.Second)
		defer cancel()
		consumer, err := js.Consumer(ctx, subjects.FireStream, subjects.FireConsumer("p"))
		if err != nil {
			return false
		}
		stream, err := js.Stream(ctx, subjects.FireStream)
		if err != nil {
			return false
		}
		msg, err := stream.GetMsg(ctx, 1, jetstream.WithGetMsgSubject(subjects.Fires("p")))
		is = err == nil && msg.Sequence <= consumer.CachedInfo().AckFloor.Stream
		return err == nil || errors.Is(err, jetstream.ErrMsgNotFound)
	})
	return is
}

// awaitDone waits until no fire of a schedule is in the stream, and the consumer waits for none.
func (s *stateful) awaitDone(id string) {
	s.t.Helper()
	js, err := jetstream.New(s.conn)
	if err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "its fire is done", func() bool {
		consumer, err := js.Consumer(s.t.Context(), subjects.FireStream, subjects.FireConsumer("p"))
		if err != nil || consumer.CachedInfo().NumAckPending > 0 {
			return false
		}
		answer, err := s.conn.Request("$JS.API.STREAM.INFO."+subjects.FireStream, fmt.Appendf(nil, `{"subjects_filter":%q}`, subjects.Fire(subjects.ScheduleKey("p", id))), patience)
		var info jetstream.StreamInfo
		return err == nil && json.Unmarshal(answer.Data, &info) == nil && len(info.State.Subjects) == 0
	})
}
