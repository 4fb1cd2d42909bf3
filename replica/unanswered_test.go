package replica_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// A stream whose leader hangs takes writes as little as it answers reads. A claim reads first, so
// that none is tried.
func TestAStreamThatAnswersNoReadsIsTold(t *testing.T) {
	t.Parallel()
	var hangs atomic.Bool
	s := newStateful(t, nil)
	link := testenv.StartNATSLink(t, s.url, func(_ *testenv.NATSLink, subject string) bool {
		return !hangs.Load() || subject != "$JS.API.STREAM.MSG.GET.KV_"+subjects.ScheduleBucket
	})
	s.url = link.URL()
	p := s.process("--http", "127.0.0.1:0")
	s.do(every("often", often))
	s.journal.AwaitAbout(t, "fire", "often", 1)
	hangs.Store(true)
	if reason := awaitReady(t, p, false); !strings.Contains(reason, "KV_"+subjects.ScheduleBucket) || !strings.Contains(reason, "restart nats-server") {
		t.Errorf("the reason is %q", reason)
	}
	replicas, err := s.client.Status(t.Context())
	if err != nil || len(replicas) != 1 || replicas[0].Ready || replicas[0].Fault == nil {
		t.Errorf("the status is %+v, %v", replicas, err)
	}
	before := len(s.journal.About("fire", "often"))
	hangs.Store(false)
	awaitReady(t, p, true)
	s.journal.AwaitAbout(t, "fire", "often", before+2)
}
