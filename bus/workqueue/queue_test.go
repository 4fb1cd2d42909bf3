package workqueue_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/pluginhost/pluginhost/bus/workqueue"
	"github.com/pluginhost/pluginhost/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wait bounds what a test waits for.
const wait = time.Minute

// work is one time that a message was worked on.
type work struct{ replica, key, data string }

// queue is a stream whose messages have keys, and replicas that work on them.
type queue struct {
	t     *testing.T
	js    jetstream.JetStream
	url   string
	works chan work
}

func newQueue(t *testing.T) *queue {
	t.Helper()
	q := &queue{t: t, url: testenv.NATS(t), works: make(chan work, 100)}
	var err error
	if q.js, err = jetstream.New(testenv.Connect(t, q.url)); err != nil {
		t.Fatal(err)
	}
	_, err = q.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "QUEUE", Subjects: []string{"queue.>"}, Retention: jetstream.WorkQueuePolicy})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// put puts a message into the queue.
func (q *queue) put(key, data string) {
	q.t.Helper()
	if _, err := q.js.Publish(q.t.Context(), "queue."+key, []byte(data)); err != nil {
		q.t.Fatal(err)
	}
}

// replica begins to work on messages; judge says what becomes of each, and may wait.
func (q *queue) replica(name string, slots int, judge func(running context.Context, data string) workqueue.Verdict) *workqueue.Queue {
	q.t.Helper()
	b := testenv.Bus(q.t, q.url)
	started := workqueue.Start(b.Jet(), workqueue.Config{
		Plugin: "p", What: "messages", Slots: slots,
		Consumer: func(ctx context.Context) (jetstream.Consumer, error) {
			return b.Jet().JetStream().CreateOrUpdateConsumer(ctx, "QUEUE", jetstream.ConsumerConfig{Durable: "workers", AckPolicy: jetstream.AckExplicitPolicy, AckWait: workqueue.AckWait})
		},
		Key: func(subject string) (string, bool) {
			key, isOurs := strings.CutPrefix(subject, "queue.")
			return key, isOurs
		},
		Work: func(_, running context.Context, key string, data []byte) workqueue.Verdict {
			q.works <- work{name, key, string(data)}
			return judge(running, string(data))
		},
	})
	q.t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		started.Stop(ctx)
	})
	return started
}

// next is what is worked on next.
func (q *queue) next() work {
	q.t.Helper()
	select {
	case w := <-q.works:
		return w
	case <-time.After(wait):
		q.t.Fatal("nothing is worked on")
		return work{}
	}
}

func done(context.Context, string) workqueue.Verdict { return workqueue.Done }

func TestEachMessageIsWorkedOnOnceByOneOfTheReplicas(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	q.replica("a", 3, done)
	q.replica("b", 3, done)
	const messages = 50
	for i := range messages {
		q.put(fmt.Sprint(i), "once")
	}
	seen := make(map[string]bool)
	for range messages {
		if w := q.next(); seen[w.key] {
			t.Errorf("%s is worked on again", w.key)
		} else {
			seen[w.key] = true
		}
	}
}

func TestAMessageComesAgainUntilItIsDone(t *testing.T) {
	t.Parallel()
	for name, verdict := range map[string]workqueue.Verdict{"later": workqueue.Later, "unknown": workqueue.Unknown} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := newQueue(t)
			verdicts := make(chan workqueue.Verdict, 2)
			verdicts <- verdict
			verdicts <- workqueue.Done
			q.replica("a", 1, func(context.Context, string) workqueue.Verdict { return <-verdicts })
			q.put("k", "twice")
			for range 2 {
				if w := q.next(); w.data != "twice" {
					t.Errorf("got %+v", w)
				}
			}
		})
	}
}

// The second message of a key waits for the first, though there are slots, and it is held as long as that takes.
func TestOneMessageOfAKeyIsWorkedOnAtATime(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	release := make(chan struct{})
	var once sync.Once
	q.replica("a", 3, func(context.Context, string) workqueue.Verdict {
		<-release
		return workqueue.Done
	})
	t.Cleanup(func() { once.Do(func() { close(release) }) })
	q.put("k", "first")
	if w := q.next(); w.data != "first" {
		t.Fatalf("got %+v", w)
	}
	q.put("k", "second")
	q.put("other", "third")
	if w := q.next(); w.data != "third" {
		t.Errorf("got %+v beside the first of its key", w)
	}
	q.put("another", "fourth") // for which there is a place only as long as the second has none
	if w := q.next(); w.data != "fourth" {
		t.Errorf("got %+v beside the first of its key", w)
	}
	once.Do(func() { close(release) })
	if w := q.next(); w.data != "second" {
		t.Errorf("got %+v", w)
	}
}

func TestStopWaitsForWhatRunsAndCutsItOffWhenItsTimeIsOver(t *testing.T) {
	t.Parallel()
	q := newQueue(t)
	ended := make(chan struct{})
	a := q.replica("a", 1, func(running context.Context, _ string) workqueue.Verdict {
		<-running.Done()
		close(ended)
		return workqueue.Later
	})
	q.put("k", "v")
	q.next()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a.Stop(ctx)
	select {
	case <-ended:
	default:
		t.Error("what ran goes on")
	}
	q.replica("b", 1, done)
	if w := q.next(); w.replica != "b" || w.data != "v" {
		t.Errorf("got %+v", w)
	}
}
