//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/subjects"
)

// fault is something that went wrong, from start to end.
type fault struct {
	Kind       string
	Server     bool // a NATS server, not a replica
	Replica    string
	Start, End time.Time
	// Recovery is how long JetStream did not work, after a server's fault.
	Recovery time.Duration
	// Stuck is how much longer than after other faults fires may take, as hosts have to find
	// out that NATS would never deliver them.
	Stuck time.Duration
	// Vain says that it did not do what it should have done.
	Vain bool
}

// leaderKinds are what happens to the leader, in turn.
var leaderKinds = []string{"kill the leader", "pause the leader"}

// kinds are what else goes wrong, in turn.
var kinds = []string{
	"kill a replica", "pause a replica", "kill an owner of connections", "cut a replica off", "kill a NATS server",
	"a stream older than its consumer", fullDisk,
}

// fullDisk is the kind of fault for which small file systems must be mounted.
const fullDisk = "the disk of a NATS server is full"

// untilHandedOut is how long hosts take at most to find out that NATS would never deliver a
// fire, and to have it handed out anew.
const untilHandedOut = 4 * cluster.Lease

// breaker makes things go wrong, one after the other.
type breaker struct {
	*machines
	options options
	random  *rand.Rand
	probe   *probe
	js      jetstream.JetStream
	state   jetstream.KeyValue
	say     func(format string, args ...any)
	faults  []fault
}

// breakAll does everything that was asked for, in a random order.
func (b *breaker) breakAll(ctx context.Context) error {
	var plan []string
	for i := range b.options.leaders {
		plan = append(plan, leaderKinds[i%len(leaderKinds)])
	}
	for i := range b.options.others {
		plan = append(plan, b.options.kinds[i%len(b.options.kinds)])
	}
	b.random.Shuffle(len(plan), func(i, j int) { plan[i], plan[j] = plan[j], plan[i] })
	for i, kind := range plan {
		select {
		case <-ctx.Done():
			return nil
		default:
		}
		b.say("%d of %d: %s", i+1, len(plan), kind)
		err := b.breakUntil(ctx, kind)
		if err == nil {
			_, err = b.leader()
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	return nil
}

// maxVain is how often something is done again that did not do what it should have done: a
// stream, say, that happened to be no older than its consumer.
const maxVain = 5

// breakUntil makes something go wrong until it has, and notes each attempt.
func (b *breaker) breakUntil(ctx context.Context, kind string) error {
	for attempt := 0; ; attempt++ {
		f, err := b.breakOne(ctx, kind)
		b.faults = append(b.faults, f)
		if err != nil || !f.Vain || attempt == maxVain || ctx.Err() != nil {
			return err
		}
		b.say("that was in vain: once more")
	}
}

func (b *breaker) breakOne(ctx context.Context, kind string) (f fault, err error) {
	f = fault{Kind: kind, Start: time.Now()}
	seat := b.seats[b.random.IntN(len(b.seats))]
	switch kind {
	case "kill the leader", "pause the leader":
		if seat, err = b.leader(); err != nil {
			return f, err
		}
	case "kill an owner of connections":
		seat = b.owner(ctx, seat)
	}
	f.Replica, f.Start = seat.process.ReplicaID, time.Now()
	switch kind {
	case "kill the leader", "kill a replica", "kill an owner of connections":
		b.kill(seat)
		b.start(seat)
	case "pause the leader", "pause a replica":
		seat.process.Signal(syscall.SIGSTOP)
		await(ctx, b.pause())
		seat.process.Signal(syscall.SIGCONT)
	case "cut a replica off":
		for _, link := range seat.links {
			link.Cut()
		}
		await(ctx, b.pause())
		for _, link := range seat.links {
			link.Mend()
		}
	case "kill a NATS server":
		f.Server, f.Replica = true, ""
		name := b.Servers()[b.random.IntN(len(b.Servers()))]
		b.probe.reset()
		b.Kill(name)
		await(ctx, b.pause())
		b.Start(name)
		await(ctx, b.pause()) // it catches up
		f.Recovery, f.Stuck = b.probe.longest(), b.stuck(ctx)
	case "a stream older than its consumer":
		f.Server, f.Replica, f.Stuck = true, "", untilHandedOut
		b.awaitRecurring(ctx)
		putBack := b.SaveStreams(subjects.FireStream)
		await(ctx, b.pause())
		b.probe.reset()
		f.Start = time.Now()
		for _, name := range b.Servers() {
			b.Kill(name)
		}
		putBack()
		for _, name := range b.Servers() {
			b.Start(name)
		}
		f.Vain = !b.isOlder(ctx)
		await(ctx, b.pause())
		f.Recovery = b.probe.longest()
	case fullDisk:
		f.Server, f.Replica = true, ""
		name := b.storing(ctx)
		b.probe.reset()
		f.Start = time.Now()
		f.Vain = !b.fill(ctx, name)
		b.empty(name)
		b.Kill(name) // it does not write any more
		b.Start(name)
		await(ctx, b.pause()) // it catches up
		f.Recovery, f.Stuck = b.probe.longest(), b.stuck(ctx)
	}
	f.End = time.Now()
	return f, nil
}

// awaitRecurring waits until a fire of a recurring schedule is in the stream: once its
// consumer counts it as done, it is in the way of all others of the schedule.
func (b *breaker) awaitRecurring(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n = (n + 1) % b.options.recurring {
		stream, err := b.js.Stream(ctx, subjects.FireStream)
		if err == nil {
			_, err = stream.GetLastMsgForSubject(ctx, subjects.Fire(subjects.ScheduleKey(pluginID, recurring(n))))
		}
		if err == nil {
			return
		}
	}
}

// stuck is how much longer fires may take after a fault of a server: one that was killed, or
// whose disk was full, can leave a stream that is older than its consumer, too.
func (b *breaker) stuck(ctx context.Context) time.Duration {
	if b.isOlder(ctx) {
		return untilHandedOut
	}
	return 0
}

// isOlder says, as soon as the servers answer, whether the stream of fires is older than the
// plugin's consumer: it ends before what that counts as done, or has a fire from before.
func (b *breaker) isOlder(ctx context.Context) bool {
	for ; ctx.Err() == nil; await(ctx, cluster.Lease/30) {
		attempt, cancel := context.WithTimeout(ctx, cluster.Lease/6)
		consumer, err := b.js.Consumer(attempt, subjects.FireStream, subjects.FireConsumer(pluginID))
		var stream jetstream.Stream
		if err == nil {
			stream, err = b.js.Stream(attempt, subjects.FireStream)
		}
		cancel()
		if err != nil {
			continue
		}
		floor := consumer.CachedInfo().AckFloor.Stream
		if floor > stream.CachedInfo().State.LastSeq {
			return true
		}
		msg, err := stream.GetMsg(ctx, 1, jetstream.WithGetMsgSubject(subjects.Fires(pluginID)))
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			return false
		case err == nil:
			return msg.Sequence <= floor
		}
	}
	return false
}

func (b *breaker) pause() time.Duration {
	return b.options.pauseLeast + time.Duration(b.random.Int64N(int64(b.options.pauseMost-b.options.pauseLeast)+1))
}

// owner is a replica that has a connection, or any.
func (b *breaker) owner(ctx context.Context, otherwise *seat) *seat {
	keys, err := b.state.ListKeysFiltered(ctx, subjects.SocketKeys(pluginID)+"*")
	if err != nil {
		return otherwise
	}
	var owner *seat
	for key := range keys.Keys() {
		var record subjects.SocketRecord
		entry, err := b.state.Get(ctx, key)
		if err == nil && json.Unmarshal(entry.Value(), &record) == nil && owner == nil {
			owner = b.seatOf(record.Replica)
		}
	}
	if owner == nil {
		return otherwise
	}
	return owner
}

// isFaulty says whether a replica had a fault before, so that it can have lost what
// it ran. A server's fault can silence any.
func isFaulty(faults []fault, replica string, before time.Time) bool {
	return slices.ContainsFunc(faults, func(f fault) bool {
		return (f.Server || f.Replica == replica) && f.Start.Before(before)
	})
}

// probe writes to what the hosts write to and asks what they pull from, all the time,
// to see how long nobody can.
type probe struct {
	js   jetstream.JetStream
	done sync.WaitGroup

	mu   sync.Mutex
	last map[string]time.Time // successes, by subject
	gap  time.Duration
}

func startProbe(ctx context.Context, conn *nats.Conn) (*probe, error) {
	js, err := jetstream.New(conn)
	if err != nil {
		return nil, err
	}
	p := &probe{js: js, last: make(map[string]time.Time)}
	// A schedule of no plugin, so that whoever reads the bucket can make something
	// of it.
	record, err := json.Marshal(subjects.ScheduleRecord{V: subjects.Version, Plugin: "probe", Schedule: []byte("probe"), Due: time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		return nil, err
	}
	for subject, body := range map[string][]byte{
		"$KV." + subjects.StateBucket + ".probe":                                        nil,
		"$KV." + subjects.ScheduleBucket + "." + subjects.ScheduleKey("probe", "probe"): record,
		subjects.Fire(subjects.ScheduleKey("probe", "probe")):                           nil,
	} {
		p.last[subject] = time.Now()
		p.done.Go(func() { p.write(ctx, subject, body) })
	}
	p.last["consumer"] = time.Now()
	p.done.Go(func() { p.ask(ctx) })
	return p, nil
}

// ask asks the leader of the plugin's consumer of fires for itself: nobody else
// answers.
func (p *probe) ask(ctx context.Context) {
	for ctx.Err() == nil {
		attempt, cancel := context.WithTimeout(ctx, cluster.Lease/6)
		_, err := p.js.Consumer(attempt, subjects.FireStream, subjects.FireConsumer(pluginID))
		cancel()
		if err == nil {
			p.answered("consumer")
		}
		await(ctx, cluster.Lease/30)
	}
}

func (p *probe) write(ctx context.Context, subject string, body []byte) {
	for ctx.Err() == nil {
		attempt, cancel := context.WithTimeout(ctx, cluster.Lease/6)
		_, err := p.js.Publish(attempt, subject, body, jetstream.WithRetryAttempts(0))
		cancel()
		// That the queue is full is an answer, too.
		var refused *jetstream.APIError
		if err == nil || errors.As(err, &refused) {
			p.answered(subject)
		}
		await(ctx, cluster.Lease/30)
	}
}

func (p *probe) answered(subject string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.gap = max(p.gap, now.Sub(p.last[subject]))
	p.last[subject] = now
}

// reset begins to measure anew.
func (p *probe) reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gap = 0
}

// longest is the longest time without an answer, of any stream.
func (p *probe) longest() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	longest := p.gap
	for _, at := range p.last {
		longest = max(longest, time.Since(at))
	}
	return longest
}
