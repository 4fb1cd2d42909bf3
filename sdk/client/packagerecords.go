package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/sdk/packagestore"
	"github.com/pluginhost/pluginhost/subjects"
)

// packageRecord is a record as it is in the state bucket; revision 0 is none.
type packageRecord struct {
	subjects.PackageRecord
	revision uint64
	stored   time.Time // by the clock of the servers
}

// installed says why there is no package.
func (r packageRecord) installed(id string) error {
	if r.revision == 0 || r.V == 0 || r.Removed {
		return fmt.Errorf("%w: %s", subjects.ErrNotInstalled, id)
	}
	return nil
}

// packageRecords are the records of packages in the state bucket.
type packageRecords struct {
	js     jetstream.JetStream
	stream jetstream.Stream
	store  *packagestore.Store // nil from openRecords
}

// openPackages opens the records and the store of packages.
func (c *Client) openPackages(ctx context.Context) (*packageRecords, error) {
	o, err := c.openRecords(ctx)
	if err != nil {
		return nil, err
	}
	o.store, err = packagestore.Open(ctx, o.js)
	return o, err
}

// openRecords opens the records alone.
func (c *Client) openRecords(ctx context.Context) (*packageRecords, error) {
	js, err := c.jetStream()
	if err != nil {
		return nil, err
	}
	o := &packageRecords{js: js}
	err = jet.Again(ctx, func(ctx context.Context) (err error) {
		o.stream, err = js.Stream(ctx, jet.StateBucket.Stream())
		return err
	})
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, subjects.ErrNoPackageStore
	case err != nil:
		return nil, fmt.Errorf("packages: %w", err)
	}
	return o, nil
}

// get returns the record of a plugin. One that cannot be read has nothing but its
// revision, and can be replaced.
func (o *packageRecords) get(ctx context.Context, id string) (packageRecord, error) {
	if len(id) > subjects.MaxID {
		return packageRecord{}, nil // there can be none
	}
	return o.read(ctx, subjects.PackageKey(id))
}

func (o *packageRecords) read(ctx context.Context, key string) (packageRecord, error) {
	var msg *jetstream.RawStreamMsg
	err := jet.Again(ctx, func(ctx context.Context) (err error) {
		msg, err = o.stream.GetLastMsgForSubject(ctx, jet.StateBucket.Subject(key))
		return err
	})
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return packageRecord{}, nil
	case err != nil:
		return packageRecord{}, fmt.Errorf("package record %s: %w", key, err)
	}
	found := packageRecord{revision: msg.Sequence, stored: msg.Time}
	if record, err := subjects.ParsePackageRecord(key, msg.Data); err == nil {
		found.PackageRecord = record
	}
	return found, nil
}

// list returns all records that can be read, in the order of their keys.
func (o *packageRecords) list(ctx context.Context) ([]packageRecord, error) {
	var names []string
	err := jet.Again(ctx, func(ctx context.Context) error {
		info, err := o.stream.Info(ctx, jetstream.WithSubjectFilter(jet.StateBucket.Subject(subjects.PackageKeys+">")))
		if err == nil {
			names = slices.Sorted(maps.Keys(info.State.Subjects))
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list packages: %w", err)
	}
	var all []packageRecord
	for _, name := range names {
		record, err := o.read(ctx, strings.TrimPrefix(name, jet.StateBucket.Subject("")))
		if err != nil {
			return nil, err
		}
		if record.V != 0 {
			all = append(all, record)
		}
	}
	return all, nil
}

// put writes a record in the place of what was found at a revision, also where an
// answer is lost. [subjects.ErrPackageMoved] is that there is something else.
func (o *packageRecords) put(ctx context.Context, record subjects.PackageRecord, revision uint64) error {
	body, err := json.Marshal(record)
	if err != nil {
		return err
	}
	key := subjects.PackageKey(record.ID)
	err = jet.Again(ctx, func(ctx context.Context) error {
		if o.js.Conn().IsReconnecting() {
			return nats.ErrConnectionReconnecting // it would be kept, and written whenever that is over
		}
		_, err := o.js.PublishMsg(ctx, jet.StateBucket.Message(key, body), jetstream.WithExpectLastSequencePerSubject(revision))
		return err
	})
	switch {
	case err == nil:
		return nil
	case !errors.Is(jet.MovedOr(err), jet.ErrMoved):
		return fmt.Errorf("package record %s: %w", key, err)
	}
	// It may be what an attempt has written that was not answered.
	there, err := o.read(ctx, key)
	if err == nil && (!there.Time.Equal(record.Time) || there.Digest != record.Digest || there.Removed != record.Removed) {
		err = fmt.Errorf("%w: %s", subjects.ErrPackageMoved, record.ID)
	}
	return err
}
