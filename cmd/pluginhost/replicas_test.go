package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// load makes concurrent calls of the echo plugin over plain NATS, without
// sending any again, and counts who answered.
type load struct {
	conn    *nats.Conn
	callers int
	timeout time.Duration

	mu      sync.Mutex
	answers map[string]int // by replica
	lost    []int          // failed calls of each caller
	errs    []error
	sent    atomic.Int64
}

func newLoad(t *testing.T, url string, callers int, timeout time.Duration) *load {
	t.Helper()
	return &load{conn: testenv.Connect(t, url), callers: callers, timeout: timeout, answers: map[string]int{}, lost: make([]int, callers)}
}

// run makes calls until it has made n of them.
func (l *load) run(n int) {
	var callers sync.WaitGroup
	for caller := range l.callers {
		callers.Go(func() {
			for {
				number := l.sent.Add(1)
				if number > int64(n) {
					return
				}
				replica, err := l.call(fmt.Sprintf("call %d", number))
				l.mu.Lock()
				if err != nil {
					l.lost[caller]++
					l.errs = append(l.errs, err)
				} else {
					l.answers[replica]++
				}
				l.mu.Unlock()
			}
		})
	}
	callers.Wait()
}

func (l *load) call(text string) (replica string, err error) {
	body, err := (&api.ArtistBiographyRequest{Id: text}).MarshalVT()
	if err != nil {
		return "", err
	}
	reply, err := l.conn.Request(subjects.Call("echo", "get_artist_biography"), body, l.timeout)
	if err != nil {
		return "", err
	}
	if code := reply.Header.Get(subjects.HeaderErrorCode); code != "" {
		return "", fmt.Errorf("%s %s", code, reply.Header.Get(subjects.HeaderError))
	}
	var response api.ArtistBiographyResponse
	if err := response.UnmarshalVT(reply.Data); err != nil {
		return "", err
	}
	if response.Biography != text {
		return "", fmt.Errorf("sent %q, got %q", text, response.Biography)
	}
	return reply.Header.Get(subjects.HeaderReplica), nil
}

// answered waits until n calls have been answered.
func (l *load) answered(n int) {
	for {
		l.mu.Lock()
		sum := 0
		for count := range maps.Values(l.answers) {
			sum += count
		}
		l.mu.Unlock()
		if sum >= n {
			return
		}
		if _, err := l.call("poll " + strconv.Itoa(sum)); errors.Is(err, nats.ErrConnectionClosed) {
			return
		}
	}
}

// threeReplicas are processes on one NATS server that serve the echo plugin.
func threeReplicas(t *testing.T) (url string, replicas []*testenv.Process) {
	t.Helper()
	url = testenv.NATS(t)
	folder := t.TempDir()
	addEcho(t, folder)
	for range 3 {
		replicas = append(replicas, serveProcess(t, folder, "--nats", url))
	}
	return url, replicas
}

func TestThreeReplicasEachAnswerAShare(t *testing.T) {
	t.Parallel()
	url, replicas := threeReplicas(t)
	l := newLoad(t, url, 16, 30*time.Second)
	l.run(3000)
	if len(l.errs) > 0 {
		t.Fatalf("%d calls failed, the first with %v", len(l.errs), l.errs[0])
	}
	sum := 0
	for _, r := range replicas {
		share := l.answers[r.ReplicaID]
		sum += share
		if share < 300 {
			t.Errorf("%s answered %d of 3000 calls", r.ReplicaID, share)
		}
	}
	if sum != 3000 {
		t.Errorf("the three answered %d of 3000 calls: %v", sum, l.answers)
	}
	t.Logf("shares: %v", l.answers)
}

func TestKilledReplicaLosesOnlyTheCallsItHad(t *testing.T) {
	t.Parallel()
	url, replicas := threeReplicas(t)
	l := newLoad(t, url, 16, 2*time.Second)
	var running sync.WaitGroup
	running.Go(func() { l.run(6000) })
	l.answered(1000)
	replicas[0].Signal(syscall.SIGKILL)
	replicas[0].Wait()
	running.Wait()
	// A caller that lost a call waited for it longer than the server needs to
	// see that the replica is gone: it cannot lose another.
	for caller, lost := range l.lost {
		if lost > 1 {
			t.Errorf("caller %d lost %d calls", caller, lost)
		}
	}
	for _, err := range l.errs {
		if !errors.Is(err, nats.ErrTimeout) {
			t.Errorf("a call failed with %v", err)
		}
	}
	t.Logf("lost %d calls; shares: %v", len(l.errs), l.answers)
}

func TestTerminatedReplicaLosesNoCall(t *testing.T) {
	t.Parallel()
	url, replicas := threeReplicas(t)
	l := newLoad(t, url, 16, 30*time.Second)
	var running sync.WaitGroup
	running.Go(func() { l.run(6000) })
	l.answered(1000)
	replicas[0].Signal(syscall.SIGTERM)
	if code := replicas[0].Wait(); code != exitDone {
		t.Errorf("the replica exited with %d\n%s", code, replicas[0].Log())
	}
	running.Wait()
	if len(l.errs) > 0 {
		t.Errorf("%d calls failed, the first with %v", len(l.errs), l.errs[0])
	}
	if !replicas[0].Logged(`"msg":"stopped"`) {
		t.Errorf("the replica did not leave in order\n%s", replicas[0].Log())
	}
}

func TestReplicaWithABrokenCopyTakesNoneOfItsCalls(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	good, bad := t.TempDir(), t.TempDir()
	addEcho(t, good)
	testenv.AddPlugin(t, bad, "echo", testenv.Manifest(nil, "MetadataAgent"), []byte("\x00asm but not really"))
	testenv.AddPlugin(t, bad, "other", testenv.Manifest(nil, "MetadataAgent"), nil)
	working := serveProcess(t, good, "--nats", url)
	broken := serveProcess(t, bad, "--nats", url)

	l := newLoad(t, url, 8, 30*time.Second)
	l.run(500)
	if len(l.errs) > 0 || l.answers[working.ReplicaID] != 500 {
		t.Errorf("answers %v, errors %v", l.answers, l.errs)
	}
	var document statusDocument
	machine := pluginhost(t.Context(), "", "status", "--json", "--nats", url)
	if err := json.Unmarshal([]byte(machine.out), &document); err != nil {
		t.Fatalf("%v\n%s", err, machine.out)
	}
	states := map[string]subjects.State{}
	for _, r := range document.Replicas {
		for _, p := range r.Plugins {
			if p.ID == "echo" {
				states[r.Replica] = p.State
			}
		}
	}
	if want := map[string]subjects.State{working.ReplicaID: subjects.StateReady, broken.ReplicaID: subjects.StateFailed}; !maps.Equal(states, want) {
		t.Errorf("status tells %v, want %v", states, want)
	}
}

func TestControlRequestMakesAReplicaLeave(t *testing.T) {
	t.Parallel()
	url, replicas := threeReplicas(t)
	conn := testenv.Connect(t, url)
	if _, err := conn.Request(subjects.ControlDrainOf(replicas[1].ReplicaID), nil, 30*time.Second); err != nil {
		t.Fatal(err)
	}
	if code := replicas[1].Wait(); code != exitDone {
		t.Errorf("the replica exited with %d\n%s", code, replicas[1].Log())
	}
	l := newLoad(t, url, 4, 30*time.Second)
	l.run(100)
	if len(l.errs) > 0 || l.answers[replicas[1].ReplicaID] != 0 {
		t.Errorf("answers %v, errors %v", l.answers, l.errs)
	}
}

func TestSecondReplicaOnTheSameDataIsRefused(t *testing.T) {
	t.Parallel()
	folder, data := t.TempDir(), testenv.DataFolder(t)
	testenv.StartProcess(t, "--plugins", folder, "--data", data, "--http", "", "--listen", "127.0.0.1:0")
	got := pluginhost(t.Context(), "", "serve", "--plugins", folder, "--data", data, "--http", "", "--listen", "127.0.0.1:0")
	if got.code != exitFailure || got.out != "" {
		t.Errorf("%+v", got)
	}
}
