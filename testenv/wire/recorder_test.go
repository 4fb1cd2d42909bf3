package wire_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/testenv"
)

const (
	// patience is how long a message is waited for.
	patience = time.Minute
	// quiet is how long nothing comes once a step is over: what follows from a message is
	// published at once.
	quiet = 400 * time.Millisecond
	// ownInbox begins the subjects of the script's replies, cliInbox those of the command line's, and
	// hostInbox a replica's.
	ownInbox, cliInbox, hostInbox = "script", "cli", "_INBOX_pluginhost"
)

// recorder hears all that passes on a NATS server. As it would hear a request that nobody takes, too,
// nobody is told of no responders meanwhile.
type recorder struct {
	mu     sync.Mutex
	heard  []*nats.Msg
	latest time.Time     // when the newest message of a step was heard
	more   chan struct{} // closed at the next message
}

func startRecorder(t *testing.T, url string) *recorder {
	t.Helper()
	r := &recorder{more: make(chan struct{})}
	conn := testenv.Connect(t, url)
	all, err := conn.Subscribe(">", r.hear)
	if err != nil {
		t.Fatal(err)
	}
	if err := all.SetPendingLimits(-1, -1); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *recorder) hear(m *nats.Msg) {
	if strings.HasPrefix(m.Reply, ownInbox) && strings.HasPrefix(m.Subject, "$JS.") {
		return // the script asks what is stored
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard = append(r.heard, m)
	if !background(m.Subject) {
		r.latest = time.Now()
	}
	close(r.more)
	r.more = make(chan struct{})
}

// count is how many messages were heard.
func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.heard)
}

// since are the messages from the nth on.
func (r *recorder) since(n int) []*nats.Msg {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.heard[n:len(r.heard):len(r.heard)]
}

// await waits until so many messages match, of those from the nth on, and returns them.
func (r *recorder) await(t *testing.T, n, count int, what string, matches func(*nats.Msg) bool) []*nats.Msg {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		r.mu.Lock()
		more := r.more
		r.mu.Unlock()
		var found []*nats.Msg
		for _, m := range r.since(n) {
			if matches(m) {
				found = append(found, m)
			}
		}
		if len(found) >= count {
			return found
		}
		select {
		case <-more:
		case <-timeout.C:
			t.Fatalf("%d times %s is not heard", count, what)
		}
	}
}

// settle waits until no more comes of a step.
func (r *recorder) settle() {
	for {
		r.mu.Lock()
		left := quiet - time.Since(r.latest)
		r.mu.Unlock()
		if left <= 0 {
			return
		}
		<-time.After(left)
	}
}

// background says whether messages on a subject belong to no step: they come at times of their own.
func background(subject string) bool {
	return isInbox(subject) || strings.HasPrefix(subject, "$JS.") || strings.HasPrefix(subject, heartbeats) || subject == leader
}

// isInbox says whether a subject is that of a reply.
func isInbox(subject string) bool {
	begin, _, _ := strings.Cut(subject, ".")
	return slices.Contains([]string{ownInbox, cliInbox, hostInbox, "_INBOX"}, begin)
}

const (
	heartbeats = "$KV.pluginhost-state.replica."
	leader     = "$KV.pluginhost-state.leader"
)
