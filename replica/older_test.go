package replica_test

import (
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/journal"
)

const stateStream = "KV_" + subjects.StateBucket

// The state bucket comes back as it was before connections were opened, replaced and ended.
func TestAReplicaKeepsConnectionsThatTheStateHasLost(t *testing.T) {
	t.Parallel()
	server := testenv.Restartable(t)
	s, g := newStatefulAt(t, server.URL(), nil), newGateway(t)
	r := s.start()
	kept, _ := g.open(s, "kept")
	g.open(s, "replaced")
	ended, _ := g.open(s, "ended")
	putBack := server.SaveStreams(stateStream)
	opened, _ := g.open(s, "opened")
	replaced, _ := g.open(s, "replaced")
	dial := s.awaitSocket("replaced", isThere).Dial
	ended.closes(t, 1000, "bye")
	if finals := s.finals("ended"); len(finals) != 1 {
		t.Errorf("%+v", finals)
	}
	server.Stop()
	putBack()
	server.Start()
	eventually(t, "the caller is back", s.conn.IsConnected)

	s.awaitSocket("opened", func(record *subjects.SocketRecord) bool { return record != nil && record.Replica == r.ID() })
	s.awaitSocket("replaced", func(record *subjects.SocketRecord) bool { return record != nil && record.Dial == dial })
	for id, p := range map[string]*peer{"kept": kept, "opened": opened, "replaced": replaced} {
		p.says(t, "hi")
		s.journal.AwaitAbout(t, "text", id, 1)
		p.reaches(s, id, 1)
	}
	// Time passes.
	record := s.awaitSocket("ended", isThere)
	record.Opened = record.Opened.Add(-time.Hour)
	body, err := json.Marshal(record)
	if err == nil {
		_, err = s.bucket(subjects.StateBucket).Put(t.Context(), subjects.SocketKey("p", "ended"), body)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.awaitSocket("ended", isNone)
	kept.closes(t, 1000, "bye")
	opened.closes(t, 1000, "bye")
	replaced.closes(t, 1000, "bye")
	for _, id := range []string{"kept", "opened", "replaced", "ended"} {
		if finals := s.finals(id); len(finals) != 1 {
			t.Errorf("%s: %+v", id, finals)
		}
	}
}

// The state bucket comes back as it was before OnInit had run, or while it did.
func TestOnInitRunsOnceWhereItsRecordIsLost(t *testing.T) {
	t.Parallel()
	for _, while := range []string{"before OnInit", "while OnInit runs"} {
		t.Run(while, func(t *testing.T) {
			t.Parallel()
			server := testenv.Restartable(t)
			begun, release := make(chan struct{}), make(chan struct{})
			begin := sync.OnceFunc(func() { close(begun) })
			s := newStatefulAt(t, server.URL(), func(e journal.Event) ([]journal.Command, error) {
				if e.Event == "init" {
					begin()
					<-release
				}
				return nil, nil
			})
			s.start(func(c *setup) { c.Plugins.Folder = t.TempDir() })
			bucket := s.bucket(subjects.StateBucket)
			eventually(t, "the bucket is no new one", func() bool {
				status, err := bucket.Status(t.Context())
				return err == nil && time.Since(status.(*jetstream.KeyValueBucketStatus).StreamInfo().Created) > cluster.Lease
			})
			var putBack func()
			if while == "before OnInit" {
				putBack = server.SaveStreams(stateStream)
				close(release)
			}
			starting := s.starting(1)
			<-begun
			if putBack == nil {
				putBack = server.SaveStreams(stateStream)
				close(release)
			}
			first := starting()[0]
			s.ready(first)
			server.Stop()
			putBack()
			server.Start()
			second := s.start()
			s.ready(first, second)
			eventually(t, "the caller is back", s.conn.IsConnected)
			if answers, err := s.client.Refresh(t.Context(), "p"); err != nil || answers[0].Outcome != subjects.OutcomeLoaded && answers[0].Outcome != subjects.OutcomeUnknown {
				t.Errorf("%+v, %v", answers, err)
			}
			s.ready(first, second)
			s.inits(1)
		})
	}
}
