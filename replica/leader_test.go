package replica_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/replica"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// One of the replicas leads, all say the same one, and when it leaves another
// does.
func TestTheLeadPassesOnWhenTheLeaderLeaves(t *testing.T) {
	t.Parallel()
	url, folder := testenv.NATS(t), t.TempDir()
	conn := testenv.Connect(t, url)
	announced, err := conn.SubscribeSync("pluginhost.event.*.*")
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	replicas := map[string]*replica.Replica{}
	for range 3 {
		r := testenv.Start(t, testenv.Config(t, url, folder), nil)
		replicas[r.ID()] = r
	}
	// An old leader says that it has lost the lead before or after the next has
	// gained it.
	lost := map[string]uint64{}
	next := func(kind subjects.EventKind) subjects.LeaderEvent {
		t.Helper()
		for {
			msg, err := announced.NextMsg(patience)
			if err != nil {
				t.Fatal(err)
			}
			var event subjects.LeaderEvent
			if err := json.Unmarshal(msg.Data, &event); err != nil {
				t.Fatal(err)
			}
			told := subjects.EventKind(strings.Split(msg.Subject, ".")[2])
			if told == subjects.EventLeaderLost {
				lost[event.Replica] = event.Term
			}
			if told == kind {
				return event
			}
		}
	}
	var term uint64
	for len(replicas) > 0 {
		gained := next(subjects.EventLeaderGained)
		leader := replicas[gained.Replica]
		if gained.V != subjects.Version || gained.Term <= term || leader == nil {
			t.Fatalf("after term %d: %+v", term, gained)
		}
		term = gained.Term
		for _, r := range replicas {
			eventually(t, "all know who leads", func() bool { return r.Status().Leader == gained.Replica })
		}
		delete(replicas, gained.Replica)
		if err := leader.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for len(lost) < 3 {
		next(subjects.EventLeaderLost)
	}
}
