package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/subjects"
)

// ErrForeignBucket says that a KV bucket was made by somebody else, in a way that
// does not do.
var ErrForeignBucket = errors.New("the KV bucket was not made by pluginhost")

// bucket is a KV bucket of ours.
type bucket struct {
	name string
	// markers tell for so long that the time of a key was over.
	markers time.Duration
}

// stateBucket is the bucket of records of the cluster.
var stateBucket = bucket{name: subjects.StateBucket, markers: time.Minute}

// stream is the name of the bucket's stream.
func (b bucket) stream() string { return "KV_" + b.name }

// ensureBucket returns a KV bucket, made if it is missing. Reads are answered
// by the stream's leader only, so that they see the last write: KV buckets made
// by nats.go allow any server to answer. One that does not do is
// ErrForeignBucket.
func (b *Bus) ensureBucket(ctx context.Context, want bucket) (jetstream.KeyValue, error) {
	stream, err := b.js.CreateStream(ctx, jetstream.StreamConfig{
		Name:                   want.stream(),
		Subjects:               []string{"$KV." + want.name + ".>"},
		MaxMsgsPerSubject:      1,
		Discard:                jetstream.DiscardNew,
		AllowRollup:            true,
		DenyDelete:             true,
		AllowMsgTTL:            true,
		SubjectDeleteMarkerTTL: want.markers,
		Replicas:               b.copies(),
		Storage:                b.storage(),
	})
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		stream, err = b.js.Stream(ctx, want.stream())
	}
	if err != nil {
		return nil, fmt.Errorf("kv bucket %s: %w", want.name, err)
	}
	if c := stream.CachedInfo().Config; c.AllowDirect || c.MaxMsgsPerSubject != 1 || !c.AllowMsgTTL || !c.AllowRollup || c.SubjectDeleteMarkerTTL != want.markers {
		return nil, fmt.Errorf("%w: %s needs a history of 1, no direct gets, message TTLs, and markers for %v: remove it (nats kv del %s), and it is made anew, empty",
			ErrForeignBucket, want.name, want.markers, want.name)
	}
	kv, err := b.js.KeyValue(ctx, want.name)
	if err != nil {
		return nil, fmt.Errorf("kv bucket %s: %w", want.name, err)
	}
	return kv, nil
}
