package jet

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/subjects"
)

// ErrForeign says that a KV bucket or a stream was made by somebody else, in a way
// that does not do.
var ErrForeign = errors.New("it was not made by pluginhost")

// Bucket is the name of a KV bucket of ours.
type Bucket string

// The buckets of a cluster: its own state, the schedules of all plugins, what they cache, and access
// tokens.
const (
	StateBucket    Bucket = subjects.StateBucket
	ScheduleBucket Bucket = subjects.ScheduleBucket
	CacheBucket    Bucket = subjects.CacheBucket

	AccessTokenBucket Bucket = subjects.AccessTokenBucket
)

// Stream is the name of the bucket's stream.
func (b Bucket) Stream() string { return "KV_" + string(b) }

// Subject is the subject of a key, or of several with wildcards.
func (b Bucket) Subject(key string) string { return "$KV." + string(b) + "." + key }

// history is how many values of a key the server may keep. It must exceed the number that there
// are, which is one, as each write rolls up those before: a value that the server drops because of
// this limit reappears after a crash of the server once its successor has expired, because the disk
// shows roll-ups and not what limits have dropped.
const history = 64

// Message writes the value of a key.
func (b Bucket) Message(key string, value []byte) *nats.Msg {
	msg := nats.NewMsg(b.Subject(key))
	msg.Data = value
	RollUp(msg)
	return msg
}

// RollUp has a message remove those before it.
func RollUp(msg *nats.Msg) { msg.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject) }

// EnsureBucket returns a KV bucket, made if it is missing. Reads are answered
// by the stream's leader only, so that they see the last write: KV buckets made
// by nats.go allow any server to answer. Nor are there markers for keys whose time
// is over: on a cluster, that of a former value can remove the one that has just
// taken its place. A bucket that does not do is ErrForeign.
func (h *Handle) EnsureBucket(ctx context.Context, want Bucket) (jetstream.KeyValue, error) {
	stream, err := h.EnsureStream(ctx, jetstream.StreamConfig{
		Name:              want.Stream(),
		Subjects:          []string{want.Subject(">")},
		MaxMsgsPerSubject: history,
		Discard:           jetstream.DiscardNew,
		AllowRollup:       true,
		DenyDelete:        true,
		AllowMsgTTL:       true,
		Replicas:          h.Copies(),
		Storage:           h.Storage(),
	})
	if err != nil {
		return nil, fmt.Errorf("kv bucket %s: %w", want, err)
	}
	if c := stream.CachedInfo().Config; c.AllowDirect || c.MaxMsgsPerSubject != history || !c.AllowMsgTTL || !c.AllowRollup || c.SubjectDeleteMarkerTTL != 0 {
		return nil, fmt.Errorf("%w: %s needs a history of %d, no direct gets, message TTLs, and no markers for them: remove it (nats kv del %s), and it is made anew, empty",
			ErrForeign, want, history, want)
	}
	// It is there, which not every server knows yet where another replica has just made it.
	return h.OpenBucket(ctx, want, jetstream.ErrBucketNotFound)
}

// OpenBucket opens a KV bucket that is there. It tries again after transient, as Prepare does.
func (h *Handle) OpenBucket(ctx context.Context, of Bucket, transient ...error) (jetstream.KeyValue, error) {
	kv, err := Prepare(ctx, h, func(ctx context.Context) (jetstream.KeyValue, error) { return h.js.KeyValue(ctx, string(of)) }, transient...)
	if err != nil {
		return nil, fmt.Errorf("kv bucket %s: %w", of, err)
	}
	return kv, nil
}
