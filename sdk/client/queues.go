package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

var (
	// ErrInstalled says that a plugin has Scrobbler and is installed, so that its queues are in use.
	ErrInstalled = errors.New("the plugin is installed")
	// ErrSamePlugin says that plays were to be moved to where they are.
	ErrSamePlugin = errors.New("plays are moved to another plugin only")
)

// maxUpdates is how often a record is written anew that others change at the same time.
const maxUpdates = 20

// Queues returns the queues of plays of one plugin, or of all for an empty id, in the order of plugins and users; a user, as
// subjects.UserKey has it, may be given as well. Records that cannot be read are left out, and are the error. It asks
// JetStream itself, so no replica need be running; the NATS user needs the rights of an operator.
func (c *Client) Queues(ctx context.Context, id, user string) ([]subjects.QueueRecord, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	kv, err := c.queueBucket(ctx)
	if err != nil || kv == nil {
		return nil, err
	}
	var (
		records    []subjects.QueueRecord
		unreadable []error
	)
	err = list(ctx, kv, subjects.QueueKeys+">", func(entry jetstream.KeyValueEntry) {
		var record subjects.QueueRecord
		if err := json.Unmarshal(entry.Value(), &record); err != nil {
			unreadable = append(unreadable, fmt.Errorf("queue %s: %w", entry.Key(), err))
			return
		}
		if (id == "" || record.Plugin == id) && isOf(record.User, user) {
			records = append(records, record)
		}
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(records, func(a, b subjects.QueueRecord) int {
		return cmp.Or(cmp.Compare(a.Plugin, b.Plugin), cmp.Compare(a.User, b.User))
	})
	return records, errors.Join(unreadable...)
}

// isOf says whether a user, as UserKey has it, is the one that is asked for: by name, by id, or empty for all.
func isOf(user, asked string) bool {
	return asked == "" || user == strings.ToLower(asked) || user == subjects.UserKey("", asked)
}

// DeadPlays tells of the dead letters of one plugin, or of all for an empty id, the oldest first; a user may be given as
// well. It ends when tell returns false. The NATS user needs the rights of an operator.
func (c *Client) DeadPlays(ctx context.Context, id, user string, tell func(subjects.DeadRecord) bool) error {
	return c.eachDead(ctx, id, user, func(_ jetstream.Stream, _ uint64, dead subjects.DeadRecord) (bool, error) {
		return tell(dead), nil
	})
}

// eachDead does something with each dead letter. Each step has the time of a call where ctx has no deadline.
func (c *Client) eachDead(ctx context.Context, id, user string, do func(jetstream.Stream, uint64, subjects.DeadRecord) (bool, error)) error {
	filter := subjects.DeadSubjects
	if id != "" {
		filter = subjects.DeadPlays(id, "")
	}
	return c.each(ctx, subjects.DeadStream, filter, 1, func(stream jetstream.Stream, msg *jetstream.RawStreamMsg) (bool, error) {
		var dead subjects.DeadRecord
		if err := json.Unmarshal(msg.Data, &dead); err != nil {
			return false, fmt.Errorf("dead letter %d: %w", msg.Sequence, err)
		}
		if !isOf(dead.User, user) {
			return true, nil
		}
		return do(stream, msg.Sequence, dead)
	})
}

// each does something with each message of a stream, from a sequence on, that matches a subject, until do returns false. No
// stream has none.
func (c *Client) each(ctx context.Context, name, filter string, from uint64, do func(jetstream.Stream, *jetstream.RawStreamMsg) (bool, error)) error {
	step := func(operation func(context.Context) error) error {
		ctx, cancel := c.bounded(ctx)
		defer cancel()
		return jet.Again(ctx, operation)
	}
	js, err := c.jetStream()
	if err != nil {
		return err
	}
	var stream jetstream.Stream
	err = step(func(ctx context.Context) (err error) { stream, err = js.Stream(ctx, name); return err })
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stream %s: %w", name, err)
	}
	for {
		var msg *jetstream.RawStreamMsg
		err := step(func(ctx context.Context) (err error) {
			msg, err = stream.GetMsg(ctx, from, jetstream.WithGetMsgSubject(filter))
			return err
		})
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("stream %s: %w", name, err)
		}
		if goesOn, err := do(stream, msg); err != nil || !goesOn {
			return err
		}
		from = msg.Sequence + 1
	}
}

// RetryDead has the dead letters of a plugin tried again, the oldest first, behind what waits; a user may be given as well. It
// says how many there were, and how many stay as they are no plays, or too long. The NATS user needs the rights of an operator.
func (c *Client) RetryDead(ctx context.Context, id, user string) (retried, left int, err error) {
	err = c.eachDead(ctx, id, user, func(stream jetstream.Stream, sequence uint64, dead subjects.DeadRecord) (bool, error) {
		if dead.Reason == subjects.DeadUnreadable {
			left++
			return true, nil
		}
		header := nats.Header{subjects.HeaderRetryDead: {"1"}}
		err := c.Scrobbles().To(cmp.Or(dead.Plugin, dead.To)).publish(ctx, header, dead.Request)
		if errors.Is(err, subjects.ErrTooLarge) { // it was just not, without the header and all of the user
			left++
			return true, nil
		}
		if err != nil {
			return false, err
		}
		retried++
		return true, c.deleteFrom(ctx, stream, sequence)
	})
	return retried, left, err
}

func (c *Client) deleteFrom(ctx context.Context, stream jetstream.Stream, sequence uint64) error {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	err := stream.DeleteMsg(ctx, sequence)
	var refused *jetstream.APIError
	if errors.As(err, &refused) {
		if _, there := stream.GetMsg(ctx, sequence); errors.Is(there, jetstream.ErrMsgNotFound) {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("remove message %d: %w", sequence, err)
	}
	return nil
}

// PurgePlays drops the plays that wait for a plugin, of all users or of one, and says how many there were. What is called at
// this moment goes on. It is forgotten, too, what was delivered of late: the same plays would be taken again. The NATS user
// needs the rights of an operator.
func (c *Client) PurgePlays(ctx context.Context, id, user string) (purged uint64, err error) {
	queues, unreadable := c.Queues(ctx, id, user)
	if queues == nil && unreadable != nil {
		return 0, unreadable
	}
	for _, queue := range queues {
		if queue.Plugin != id {
			continue
		}
		waiting, _, err := c.purgeQueue(ctx, queue.Plugin, queue.User, math.MaxUint64)
		if err != nil {
			return purged, err
		}
		purged += waiting
	}
	return purged, unreadable
}

// PurgeDead drops dead letters of a plugin, of all users or of one, and says how many there were. The NATS user needs the
// rights of an operator.
func (c *Client) PurgeDead(ctx context.Context, id, user string) (purged int, err error) {
	err = c.eachDead(ctx, id, user, func(stream jetstream.Stream, sequence uint64, dead subjects.DeadRecord) (bool, error) {
		if dead.Plugin != id {
			return true, nil
		}
		purged++
		return true, c.deleteFrom(ctx, stream, sequence)
	})
	return purged, err
}

// purgeQueue empties one queue, unless its newest play has a sequence after last: first the record, so that nobody looks for
// what is gone.
func (c *Client) purgeQueue(ctx context.Context, id, user string, last uint64) (waiting uint64, emptied bool, err error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	js, err := c.jetStream()
	if err != nil {
		return 0, false, err
	}
	kv, err := c.queueBucket(ctx)
	if err != nil || kv == nil {
		return 0, false, err
	}
	key := subjects.QueueKey(id, user)
	for range maxUpdates {
		entry, err := kv.Get(ctx, key)
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			return 0, true, nil
		}
		var record subjects.QueueRecord
		if err == nil {
			err = json.Unmarshal(entry.Value(), &record)
		}
		if err != nil {
			return 0, false, fmt.Errorf("queue %s: %w", key, err)
		}
		if record.Last > last {
			return 0, false, nil
		}
		waiting = record.Waiting()
		record.From, record.Done = record.Last+1, record.Routed
		record.Head, record.Aside, record.Wait, record.Oldest, record.Failures = nil, nil, time.Time{}, time.Time{}, 0
		body, err := json.Marshal(record)
		if err != nil {
			return 0, false, err
		}
		msg := jet.Bucket(subjects.QueueBucket).Message(key, body)
		_, err = js.PublishMsg(ctx, msg, jetstream.WithExpectLastSequencePerSubject(entry.Revision()))
		if errors.Is(jet.MovedOr(err), jet.ErrMoved) {
			continue
		}
		if err != nil {
			return 0, false, fmt.Errorf("queue %s: %w", key, err)
		}
		stream, err := js.Stream(ctx, subjects.PlayStream)
		if err == nil {
			err = stream.Purge(ctx, jetstream.WithPurgeSubject(subjects.Plays(id, user)), jetstream.WithPurgeSequence(record.Last+1))
		}
		if err != nil {
			return 0, false, fmt.Errorf("stream %s: %w", subjects.PlayStream, err)
		}
		return waiting, true, nil
	}
	return 0, false, fmt.Errorf("queue %s: %w", key, jet.ErrMoved)
}

// MovePlays moves the plays that wait for a plugin which is not installed any more to another one, in the order of
// each user, and says how many there were. ErrInstalled is that it is, and ErrSamePlugin that both are the same. The NATS user
// needs the rights of an operator.
func (c *Client) MovePlays(ctx context.Context, from, to string) (moved int, err error) {
	if from == to {
		return 0, ErrSamePlugin
	}
	if err := c.notInstalled(ctx, from); err != nil {
		return 0, err
	}
	for last := uint64(0); ; {
		before := last
		err = c.each(ctx, subjects.PlayStream, subjects.PlaysOf(from), before+1, func(_ jetstream.Stream, msg *jetstream.RawStreamMsg) (bool, error) {
			last = msg.Sequence
			var play struct {
				subjects.PlayRecord
				Became subjects.PlayFate `json:"became"`
			}
			if err := json.Unmarshal(msg.Data, &play); err != nil {
				return false, fmt.Errorf("play %s: %w", msg.Subject, err)
			}
			if play.Became != "" {
				return true, nil
			}
			moved++
			return true, c.Scrobbles().To(to).publish(ctx, nats.Header{}, play.Request)
		})
		if err != nil {
			return moved, err
		}
		// Plays may come as long as somebody submits them for the former plugin: only what was moved goes.
		if left, err := c.purgeMoved(ctx, from, last); err != nil || !left || last == before {
			return moved, err
		}
	}
}

// purgeMoved empties the queues of a plugin whose plays were moved up to a sequence, and says whether some have newer ones, which
// stay as they are.
func (c *Client) purgeMoved(ctx context.Context, id string, last uint64) (left bool, err error) {
	queues, unreadable := c.Queues(ctx, id, "")
	if queues == nil && unreadable != nil {
		return false, unreadable
	}
	for _, queue := range queues {
		_, emptied, err := c.purgeQueue(ctx, id, queue.User, last)
		if err != nil {
			return left, err
		}
		left = left || !emptied
	}
	return left, unreadable
}

// notInstalled is ErrInstalled if a plugin is installed.
func (c *Client) notInstalled(ctx context.Context, id string) error {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	kv, err := c.queueBucket(ctx)
	if err != nil || kv == nil {
		return err
	}
	switch _, err := kv.Get(ctx, subjects.ScrobblerKey(id)); {
	case err == nil:
		return fmt.Errorf("%s: %w: remove it first", id, ErrInstalled)
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return nil
	default:
		return fmt.Errorf("plugin %s: %w", id, err)
	}
}

// queueBucket is the bucket of queues; nil where there is none yet.
func (c *Client) queueBucket(ctx context.Context) (jetstream.KeyValue, error) {
	js, err := c.jetStream()
	if err != nil {
		return nil, err
	}
	kv, err := js.KeyValue(ctx, subjects.QueueBucket)
	switch {
	case errors.Is(err, jetstream.ErrBucketNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("queues: %w", err)
	}
	return kv, nil
}
