package workqueue

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/sdk/jet"
)

const (
	// AckWait is what the consumers of queues have: after how long a message that nobody works
	// on is handed out again. It is shorter than what others take to notice that a replica is gone.
	AckWait = cluster.Lease * 2 / 3
	// pullFor is how long a request for messages waits at the server. It is shorter
	// than AckWait: a replica that stalls cannot get the same message twice.
	pullFor = cluster.Lease / 3
	// laterPause is after how long a message is looked at again that could not be worked on.
	laterPause = cluster.Lease / 30
	// failedPause is between two attempts to get messages.
	failedPause = cluster.Lease / 6
)

// Verdict is what becomes of a message.
type Verdict int

const (
	// Done removes it from the queue.
	Done Verdict = iota
	// Later hands it out again after a moment, to whichever replica.
	Later
	// Unknown leaves it to the server to hand it out again, after AckWait.
	Unknown
)

// Config says how one replica works on the messages of a queue. All fields must be set.
type Config struct {
	// Plugin is whose queue it is, and What what its messages are, in the log.
	Plugin, What string
	// Consumer returns the consumer of the queue, with AckWait, and makes it if it is missing.
	Consumer func(ctx context.Context) (jetstream.Consumer, error)
	// Key of a message by its subject: of messages with the same key one is worked on here at a
	// time, and the others come later. It is false for a message that is not of this queue, as a
	// replica of a former version can have its consumer changed.
	Key func(subject string) (key string, isOurs bool)
	// Slots are how many messages are worked on at once, until SetSlots says otherwise.
	Slots int
	// Work works on a message. wanted ends when no more messages are wanted, and running when
	// what runs is cut off: Work ends soon after.
	Work func(wanted, running context.Context, key string, data []byte) Verdict
}

// Queue works on messages of a work queue, sharing them with the other replicas.
type Queue struct {
	handle *jet.Handle
	config Config
	slots  *slots

	wanted  context.Context // ends when no more messages are
	stop    context.CancelFunc
	running context.Context // ends when what runs is cut off
	cutOff  context.CancelFunc
	pulls   sync.WaitGroup
	works   sync.WaitGroup
	extends sync.WaitGroup

	mu   sync.Mutex
	held map[string]jetstream.Msg // the messages that are worked on, by key
}

// Start begins to get messages and to work on them. The caller stops the Queue.
func Start(handle *jet.Handle, config Config) *Queue {
	q := &Queue{handle: handle, config: config, slots: newSlots(config.Slots), held: make(map[string]jetstream.Msg)}
	q.wanted, q.stop = context.WithCancel(context.Background())
	q.running, q.cutOff = context.WithCancel(context.Background())
	q.pulls.Go(q.pull)
	q.extends.Go(q.extend)
	return q
}

// Stop takes no more messages and waits for those that are worked on, which are cut off when
// ctx is over.
func (q *Queue) Stop(ctx context.Context) {
	q.stop()
	q.pulls.Wait()
	defer context.AfterFunc(ctx, q.cutOff)()
	q.works.Wait()
	q.cutOff()
	q.extends.Wait()
}

// SetSlots changes how many messages are worked on at once; what runs goes on.
func (q *Queue) SetSlots(n int) { q.slots.resize(n) }

// pull asks for messages as long as there are slots.
func (q *Queue) pull() {
	failing := q.handle.NewTransient()
	for {
		consumer, err := q.config.Consumer(q.wanted)
		for err == nil {
			if err = q.pullOnce(consumer); err == nil {
				failing.Works()
			}
		}
		if q.wanted.Err() != nil {
			return
		}
		if errors.Is(err, jetstream.ErrConsumerDeleted) {
			continue // to have messages handed out anew
		}
		failing.Failed(q.wanted, q.handle.Logger(), time.Now(), "no "+q.config.What+" can be had", "plugin", q.config.Plugin, "error", err)
		if jet.Pause(q.wanted, failedPause) != nil {
			return
		}
	}
}

// pullOnce asks once and begins to work on what comes.
func (q *Queue) pullOnce(consumer jetstream.Consumer) error {
	free, err := q.slots.take(q.wanted)
	if err != nil {
		return err
	}
	defer func() { q.slots.give(free) }()
	ctx, cancel := context.WithTimeout(q.wanted, pullFor)
	defer cancel()
	batch, err := consumer.Fetch(free, jetstream.FetchContext(ctx))
	if err != nil {
		return err
	}
	var foreign error
	for msg := range batch.Messages() {
		if q.wanted.Err() != nil {
			_ = msg.Nak()
			continue
		}
		key, isOurs := q.config.Key(msg.Subject())
		if !isOurs {
			_ = msg.NakWithDelay(laterPause)
			foreign = errForeign
			continue
		}
		free--
		q.works.Go(func() {
			defer q.slots.give(1)
			q.work(key, msg)
		})
	}
	return errors.Join(foreign, batchError(batch.Error()))
}

// errForeign says that a consumer has become that of another queue: it is looked for anew.
var errForeign = errors.New("the consumer is that of another plugin")

// batchError leaves out that there were fewer messages than asked for.
func batchError(err error) error {
	if errors.Is(err, nats.ErrTimeout) || errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// work works on a message, and tells the server what became of it.
func (q *Queue) work(key string, msg jetstream.Msg) {
	if !q.hold(key, msg) {
		_ = msg.NakWithDelay(laterPause)
		return
	}
	defer q.letGo(key)
	switch q.config.Work(q.wanted, q.running, key, msg.Data()) {
	case Done:
		_ = msg.Ack()
	case Later:
		_ = msg.NakWithDelay(laterPause)
	case Unknown:
	}
}

// hold notes that a message is worked on; false is that one of its key already is.
func (q *Queue) hold(key string, msg jetstream.Msg) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, held := q.held[key]; held {
		return false
	}
	q.held[key] = msg
	return true
}

func (q *Queue) letGo(key string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.held, key)
}

// extend says again and again that messages are worked on, so that the server
// does not hand them out again.
func (q *Queue) extend() {
	ticker := time.NewTicker(AckWait / 4)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-q.running.Done():
			return
		}
		q.mu.Lock()
		for _, msg := range q.held {
			_ = msg.InProgress()
		}
		q.mu.Unlock()
	}
}
