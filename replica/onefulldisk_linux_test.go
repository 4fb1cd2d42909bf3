package replica_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// smallDisks are three NATS servers, each with a disk that can be filled.
type smallDisks struct {
	*testenv.NATSCluster
	t     *testing.T
	disks map[string]*testenv.SmallDisk // by server
}

func onSmallDisks(t *testing.T) (*stateful, *smallDisks) {
	t.Helper()
	c := &smallDisks{t: t, disks: make(map[string]*testenv.SmallDisk)}
	c.NATSCluster = testenv.StartNATSClusterIn(t, func(server string) string {
		c.disks[server] = testenv.NewSmallDisk(t, 64<<20)
		return c.disks[server].Folder
	})
	return newStatefulAt(t, c.URL(), nil), c
}

// fill fills the disk of a server, and waits until that has failed to write.
func (c *smallDisks) fill(server string) {
	c.t.Helper()
	before := len(c.Log(server))
	eventually(c.t, "the server fails to write", func() bool {
		c.disks[server].Fill()
		return strings.Contains(c.Log(server)[before:], syscall.ENOSPC.Error())
	})
}

// restart kills a server and starts it.
func (c *smallDisks) restart(server string) {
	c.t.Helper()
	c.Kill(server)
	c.Start(server)
}

// gather has one server lead all that schedules need, and returns it.
func gather(t *testing.T, s *stateful) (server string) {
	t.Helper()
	js, err := jetstream.New(s.conn)
	if err != nil {
		t.Fatal(err)
	}
	for _, stream := range []string{"KV_" + subjects.StateBucket, "KV_" + subjects.ScheduleBucket, subjects.FireStream} {
		eventually(t, stream+" is led by one with the others", func() bool {
			is := led(t, func(ctx context.Context) (*jetstream.ClusterInfo, error) {
				found, err := js.Stream(ctx, stream)
				if err != nil {
					return nil, err
				}
				return found.CachedInfo().Cluster, nil
			})
			if server == "" {
				server = is
			}
			return moved(t, s, "STREAM.LEADER.STEPDOWN."+stream, is, server)
		})
	}
	consumer := subjects.FireConsumer("p")
	eventually(t, "the consumer is led by the same", func() bool {
		is := led(t, func(ctx context.Context) (*jetstream.ClusterInfo, error) {
			found, err := js.Consumer(ctx, subjects.FireStream, consumer)
			if err != nil {
				return nil, err
			}
			return found.CachedInfo().Cluster, nil
		})
		return moved(t, s, fmt.Sprintf("CONSUMER.LEADER.STEPDOWN.%s.%s", subjects.FireStream, consumer), is, server)
	})
	return server
}

// led is the server that leads something; empty is that nobody says.
func led(t *testing.T, ask func(context.Context) (*jetstream.ClusterInfo, error)) (server string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	cluster, err := ask(ctx)
	if err != nil || cluster == nil {
		return ""
	}
	return cluster.Leader
}

// moved says whether the one that leads is the one that should, and asks it to hand over
// otherwise.
func moved(t *testing.T, s *stateful, request, is, should string) bool {
	t.Helper()
	if is != "" && is != should {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _ = s.conn.RequestWithContext(ctx, "$JS.API."+request, fmt.Appendf(nil, `{"placement":{"preferred":%q}}`, should)) // it is asked again
	}
	return is != "" && is == should
}

// A server whose disk is full leaves JetStream to the two others. nats-server 2.15 can hang
// instead, and keep the lead of a stream: then the replica says so, and its end is the cure,
// whether there is room by then or not.
func TestSchedulesGoOnWhileTheDiskOfOneOfThreeNATSServersIsFull(t *testing.T) {
	t.Parallel()
	for name, leads := range map[string]bool{"one that leads nothing": false, "the one that leads all streams": true} {
		t.Run(name, func(t *testing.T) {
			s, servers := onSmallDisks(t)
			p := s.process("--http", "127.0.0.1:0")
			s.do(every("often", often))
			s.journal.AwaitAbout(t, "fire", "often", 1)
			s.do(once("later", 8))
			full := gather(t, s)
			for _, server := range servers.Servers() {
				if !leads && server != full {
					full = server
					break
				}
			}
			ranSince := func(before int) bool { return len(s.journal.About("fire", "often")) >= before+3 }
			servers.fill(full)
			before, hangs, reason := len(s.journal.About("fire", "often")), false, ""
			eventually(t, "fires run, or the replica says why they do not", func() bool {
				var ready bool
				ready, reason = readyz(t, p)
				hangs = !ready
				return hangs || ranSince(before)
			})
			if hangs && (!leads || !strings.Contains(reason, "restart") || !strings.Contains(reason, "/healthz?js-enabled-only=true")) {
				t.Errorf("the replica is not ready: %s", reason)
			}
			t.Logf("%s hangs: %t", full, hangs)
			eventually(t, "the server says that it is not healthy", func() bool {
				return servers.Health(full, "js-enabled-only=true") == http.StatusServiceUnavailable
			})
			servers.restart(full)
			before = len(s.journal.About("fire", "often"))
			eventually(t, "fires run when it was restarted without room", func() bool { return ranSince(before) })
			servers.disks[full].Free()
			servers.restart(full)
			before = len(s.journal.About("fire", "often"))
			eventually(t, "fires run when there is room", func() bool { return ranSince(before) })
			s.journal.AwaitAbout(t, "fire", "later", 1)
			awaitReady(t, p, true)
		})
	}
}
