package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/subjects"
)

// dueTogether is how many schedules are due in the same second, and barePullers how
// many work on their bare counterparts: as many as callbacks run at once.
const (
	dueTogether = 1000
	barePullers = 5
)

// scheduleSection measures how late callbacks begin when many are due at once.
func scheduleSection() section {
	return section{
		name: "schedule", title: fmt.Sprintf("%d schedules due in the same second: from when they were planned to when the callback begins", dueTogether),
		baseline: "bare JetStream",
		shows:    []quantity{p50, p99, longest, p50Ratio, p99Ratio},
		run:      measureSchedules,
	}
}

func measureSchedules(ctx context.Context, b *bench) (_ []*row, err error) {
	late := make(lateness, dueTogether)
	e, err := b.openStateful(ctx, "schedule", nil, late)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, e.close(context.WithoutCancel(ctx))) }()
	conn, err := nats.Connect(e.server.ClientURL())
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return nil, err
	}
	bare, err := openBareQueue(ctx, js, conn)
	if err != nil {
		return nil, err
	}
	against := &row{name: fmt.Sprintf("%d messages of a work queue, each pulled, looked up and claimed, bare JetStream", dueTogether), cold: true, take: bare.take}
	fires := &row{name: fmt.Sprintf("%d fires", dueTogether), cold: true, against: against, take: func(ctx context.Context, _ time.Duration) (sample, error) {
		return late.take(ctx, js)
	}}
	rows := []*row{against, fires}
	return rows, b.measure(ctx, rows, 7, time.Second)
}

// lateness takes from the replica's log how late each callback begins.
type lateness chan time.Duration

// Enabled implements slog.Handler.
func (lateness) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (l lateness) Handle(_ context.Context, record slog.Record) error {
	if record.Message == "schedule fires" {
		record.Attrs(func(attr slog.Attr) bool {
			if attr.Key == "late" {
				l <- attr.Value.Duration()
			}
			return true
		})
	}
	return nil
}

// WithAttrs implements slog.Handler.
func (l lateness) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup implements slog.Handler.
func (l lateness) WithGroup(string) slog.Handler { return l }

// take plans schedules for one moment and waits until all have fired.
func (l lateness) take(ctx context.Context, js jetstream.JetStream) (sample, error) {
	due := time.Now().Add(2 * time.Second).Truncate(time.Second).UTC()
	for n := range dueTogether {
		id := strconv.Itoa(n)
		body, err := json.Marshal(subjects.ScheduleRecord{
			V: subjects.Version, Plugin: pluginStateful, Schedule: []byte(id), Set: nats.NewInbox(), Created: time.Now().UTC(), Due: due,
		})
		if err != nil {
			return sample{}, err
		}
		if _, err := js.PublishAsync("$KV."+subjects.ScheduleBucket+"."+subjects.ScheduleKey(pluginStateful, id), body); err != nil {
			return sample{}, fmt.Errorf("set a schedule: %w", err)
		}
	}
	<-js.PublishAsyncComplete()
	if !time.Now().Before(due) {
		return sample{}, errors.New("the machine is too slow to set the schedules within a second")
	}
	var times []time.Duration
	for len(times) < dueTogether {
		select {
		case late := <-l:
			times = append(times, late)
		case <-ctx.Done():
			return sample{}, ctx.Err()
		case <-time.After(replyTimeout):
			return sample{}, fmt.Errorf("%d of %d schedules have fired", len(times), dueTogether)
		}
	}
	return sampleOf(times), nil
}

func sampleOf(times []time.Duration) sample {
	slices.Sort(times)
	return sample{calls: len(times), p50: quantile(times, 0.5), p99: quantile(times, 0.99), max: times[len(times)-1], elapsed: times[len(times)-1]}
}

// bareQueue is what a fire needs of JetStream, with nothing of ours around it.
type bareQueue struct {
	js       jetstream.JetStream
	kv       jetstream.KeyValue
	consumer jetstream.Consumer
}

func openBareQueue(ctx context.Context, js jetstream.JetStream, conn *nats.Conn) (*bareQueue, error) {
	kv, err := openBareKV(ctx, conn)
	if err != nil {
		return nil, err
	}
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{
		Name: "BARE", Subjects: []string{"bare.>"}, Retention: jetstream.WorkQueuePolicy,
		Discard: jetstream.DiscardNew, DiscardNewPerSubject: true, MaxMsgsPerSubject: 1,
	})
	if err != nil {
		return nil, fmt.Errorf("bare queue: %w", err)
	}
	consumer, err := js.CreateConsumer(ctx, "BARE", jetstream.ConsumerConfig{Durable: "bare", AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: 10_000})
	if err != nil {
		return nil, fmt.Errorf("bare queue: %w", err)
	}
	return &bareQueue{js: js, kv: kv, consumer: consumer}, nil
}

// take publishes messages for one moment, and has workers pull them, look up a record
// and claim it, and remove it. A message is done with the claim.
func (q *bareQueue) take(ctx context.Context, _ time.Duration) (sample, error) {
	value := make([]byte, 300)
	for n := range dueTogether {
		if _, err := q.kv.Put(ctx, strconv.Itoa(n), value); err != nil {
			return sample{}, fmt.Errorf("bare record: %w", err)
		}
	}
	due := time.Now()
	for n := range dueTogether {
		if _, err := q.js.PublishAsync("bare."+strconv.Itoa(n), value); err != nil {
			return sample{}, fmt.Errorf("bare message: %w", err)
		}
	}
	var (
		mu     sync.Mutex
		times  []time.Duration
		failed error
		group  sync.WaitGroup
	)
	for range barePullers {
		group.Go(func() {
			for {
				mu.Lock()
				over := failed != nil || len(times) >= dueTogether
				mu.Unlock()
				if over {
					return
				}
				took, err := q.work(ctx, due, value)
				mu.Lock()
				times, failed = append(times, took...), errors.Join(failed, err)
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if failed != nil {
		return sample{}, failed
	}
	return sampleOf(times), nil
}

func (q *bareQueue) work(ctx context.Context, due time.Time, value []byte) (took []time.Duration, err error) {
	batch, err := q.consumer.Fetch(1, jetstream.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		return nil, fmt.Errorf("bare pull: %w", err)
	}
	for msg := range batch.Messages() {
		key := filepath.Ext(msg.Subject())[1:]
		entry, err := q.kv.Get(ctx, key)
		if err != nil {
			return nil, fmt.Errorf("bare record: %w", err)
		}
		revision, err := q.kv.Update(ctx, key, value, entry.Revision())
		if err != nil {
			return nil, fmt.Errorf("bare claim: %w", err)
		}
		took = append(took, time.Since(due))
		if err := q.kv.Purge(ctx, key, jetstream.LastRevision(revision)); err != nil {
			return nil, fmt.Errorf("bare record: %w", err)
		}
		if err := msg.Ack(); err != nil {
			return nil, fmt.Errorf("bare message: %w", err)
		}
	}
	return took, nil
}
