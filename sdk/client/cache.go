package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/subjects"
)

// PurgeCache removes everything that a plugin has cached. It asks JetStream
// itself, so no replica need be running; the user needs the rights of an
// operator.
func (c *Client) PurgeCache(ctx context.Context, id string) error {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	err := c.purgeCache(ctx, id)
	if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) { // without a bucket nothing was ever cached
		return fmt.Errorf("purge the cache of %s: %w", id, err)
	}
	return nil
}

func (c *Client) purgeCache(ctx context.Context, id string) error {
	js, err := c.jetStream()
	if err != nil {
		return err
	}
	stream, err := js.Stream(ctx, subjects.CacheStream)
	if err != nil {
		return err
	}
	// The marker first, so that what is written after it stays.
	marker := nats.NewMsg(subjects.CacheSubject + subjects.CachePurged(id))
	marker.Header.Set(subjects.KVOperation, subjects.KVPurge)
	if err := c.connected(); err != nil {
		return err
	}
	ack, err := js.PublishMsg(ctx, marker, jetstream.WithMsgTTL(subjects.CacheMarkerTTL))
	if err != nil {
		return err
	}
	if err := c.connected(); err != nil {
		return err
	}
	return stream.Purge(ctx, jetstream.WithPurgeSubject(subjects.CacheSubject+subjects.CacheKeys(id)), jetstream.WithPurgeSequence(ack.Sequence))
}
