package overload

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv/soak/report"
)

// workerCalls are the calls of a worker. Replies come to one subscription, so
// that those which come too late are seen too.
type workerCalls struct {
	conn         *nats.Conn
	load         Load
	faults       *report.Faults
	inbox        string
	subscription *nats.Subscription

	sent   atomic.Int64
	behind time.Duration

	mu       sync.Mutex
	waiting  map[int64]call
	outcome  Outcome
	answered []time.Duration
	refused  []time.Duration
}

// call is one that has no reply yet.
type call struct {
	sent, deadline time.Time
	// done, if it is not nil, is closed when the reply is there.
	done chan struct{}
}

func callSubject(id string) string { return subjects.Call(id, biography) }

func codeOf(reply *nats.Msg) string { return reply.Header.Get(subjects.HeaderErrorCode) }

func textOf(reply *nats.Msg) string {
	return codeOf(reply) + " " + reply.Header.Get(subjects.HeaderError)
}

// newWorkerCalls subscribes for replies; finish ends that.
func newWorkerCalls(conn *nats.Conn, load Load, faults *report.Faults) (*workerCalls, error) {
	w := &workerCalls{conn: conn, load: load, faults: faults, inbox: conn.NewInbox() + ".", waiting: make(map[int64]call)}
	var err error
	w.subscription, err = conn.Subscribe(w.inbox+"*", w.receive)
	if err != nil {
		return nil, fmt.Errorf("subscribe for replies: %w", err)
	}
	return w, nil
}

// send sends one call; done, if it is not nil, is closed when its reply is there.
func (w *workerCalls) send(done chan struct{}) error {
	number := w.sent.Add(1)
	now := time.Now()
	c := call{sent: now, deadline: now.Add(w.load.Timeout), done: done}
	request, err := (&api.ArtistBiographyRequest{Name: fmt.Sprintf("%d %d", c.deadline.UnixMicro(), work)}).MarshalVT()
	if err != nil {
		return err
	}
	w.mu.Lock()
	w.waiting[number] = c
	w.mu.Unlock()
	msg := &nats.Msg{Subject: callSubject(worker), Reply: w.inbox + strconv.FormatInt(number, 10), Data: request, Header: nats.Header{}}
	msg.Header.Set(subjects.HeaderTimeout, w.load.Timeout.String())
	return w.conn.PublishMsg(msg)
}

// receive takes a reply.
func (w *workerCalls) receive(reply *nats.Msg) {
	now := time.Now()
	number, err := strconv.ParseInt(strings.TrimPrefix(reply.Subject, w.inbox), 10, 64)
	w.mu.Lock()
	defer w.mu.Unlock()
	c, ok := w.waiting[number]
	if err != nil || !ok {
		w.outcome.Wrong++
		w.faults.Addf("a reply that nobody waits for: %s", reply.Subject)
		return
	}
	delete(w.waiting, number)
	if c.done != nil {
		close(c.done)
	}
	took := now.Sub(c.sent)
	switch codeOf(reply) {
	case "":
		w.answer(reply, c, now)
	case "429":
		w.outcome.Refused++
		w.refused = append(w.refused, took)
	case "408":
		w.outcome.Over++
	default:
		w.outcome.Wrong++
		w.faults.Addf("a reply: %.200s", textOf(reply))
	}
}

// answer takes an answer; mu is held.
func (w *workerCalls) answer(reply *nats.Msg, c call, now time.Time) {
	var response api.ArtistBiographyResponse
	if err := response.UnmarshalVT(reply.Data); err != nil {
		w.outcome.Wrong++
		w.faults.Addf("an answer: %v", err)
		return
	}
	began, err := strconv.ParseInt(response.Biography, 10, 64)
	if err != nil || began < c.sent.UnixMicro() || began > now.UnixMicro() {
		w.outcome.Wrong++
		w.faults.Addf("an answer between %d and %d that says it began at %q", c.sent.UnixMicro(), now.UnixMicro(), response.Biography)
		return
	}
	if now.After(c.deadline) {
		w.outcome.Late++
		return
	}
	w.outcome.Good++
	w.answered = append(w.answered, now.Sub(c.sent))
}

// closed has callers call, each one call after the other.
func (w *workerCalls) closed(ctx context.Context) {
	var callers sync.WaitGroup
	for range w.load.Callers {
		callers.Go(func() {
			for ctx.Err() == nil {
				done := make(chan struct{})
				if err := w.send(done); err != nil {
					w.faults.Addf("a call: %v", err)
					return
				}
				select {
				case <-done:
				case <-ctx.Done():
				}
			}
		})
	}
	callers.Wait()
}

// tick is how often calls are sent at a rate.
const tick = time.Millisecond

// open sends calls at the rate, whatever becomes of them. Where it is behind, it
// makes up for it at once.
func (w *workerCalls) open(ctx context.Context) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	start := time.Now()
	for all := int64(w.load.Rate * w.load.Duration.Seconds()); w.sent.Load() < all; {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		elapsed := time.Since(start)
		due := min(int64(w.load.Rate*elapsed.Seconds()), all)
		if first := float64(w.sent.Load()+1) / w.load.Rate; w.sent.Load() < due {
			w.behind = max(w.behind, elapsed-time.Duration(first*float64(time.Second)))
		}
		for w.sent.Load() < due {
			if err := w.send(nil); err != nil {
				w.faults.Addf("a call: %v", err)
				return
			}
		}
	}
}

// finish waits for replies that must still come, and fills outcome.
func (w *workerCalls) finish(outcome *Outcome) error {
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	const grace = 10 * time.Second // in which even a host that hardly gets a processor replies
	for over := time.Now().Add(w.load.Timeout + grace); w.outstanding() > 0 && time.Now().Before(over); {
		<-ticker.C
	}
	if err := w.subscription.Unsubscribe(); err != nil {
		return fmt.Errorf("end the replies: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	took := outcome.Took
	*outcome = w.outcome
	outcome.Took, outcome.Sent, outcome.Lost, outcome.Behind = took, int(w.sent.Load()), len(w.waiting), w.behind
	outcome.Answers, outcome.Refusals = report.LatencyOf(w.answered), report.LatencyOf(w.refused)
	return nil
}

func (w *workerCalls) outstanding() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.waiting)
}
