package packagestore

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/pluginhost/pluginhost/sdk/jet"
	"github.com/pluginhost/pluginhost/subjects"
)

// maxChunk is how many bytes one message has; a quarter of what the server takes is
// less, as a message is read as JSON.
const maxChunk = 128 << 10

// Read returns the package with a digest and a size in bytes, once both are right;
// [subjects.ErrPackageDamaged] is that they are not, or that it is not there.
func (s *Store) Read(ctx context.Context, digest string, size int64) ([]byte, error) {
	found, err := s.find(ctx, subjects.PackageMeta(digest))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound), err == nil && found.Deleted:
		return nil, fmt.Errorf("%w: there is no object %s", subjects.ErrPackageDamaged, digest)
	case err != nil:
		return nil, fmt.Errorf("read package %s: %w", digest, err)
	case size > subjects.MaxPackage, found.Size != uint64(size):
		return nil, fmt.Errorf("%w: object %s has %d bytes, not %d", subjects.ErrPackageDamaged, digest, found.Size, size)
	}
	content := make([]byte, 0, size)
	subject := subjects.PackageChunk(found.NUID)
	for next := uint64(1); int64(len(content)) < size; {
		var chunk *jetstream.RawStreamMsg
		err := attempt(ctx, func(ctx context.Context) (err error) {
			chunk, err = s.stream.GetMsg(ctx, next, jetstream.WithGetMsgSubject(subject))
			return err
		})
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			return nil, fmt.Errorf("%w: object %s ends after %d of %d bytes", subjects.ErrPackageDamaged, digest, len(content), size)
		case err != nil:
			return nil, fmt.Errorf("read package %s: %w", digest, err)
		case int64(len(content)+len(chunk.Data)) > size:
			return nil, fmt.Errorf("%w: object %s has more than %d bytes", subjects.ErrPackageDamaged, digest, size)
		}
		content = append(content, chunk.Data...)
		next = chunk.Sequence + 1
	}
	if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != digest {
		return nil, fmt.Errorf("%w: the digest of object %s is %x", subjects.ErrPackageDamaged, digest, sum)
	}
	return content, nil
}

// finishTimeout is how long what is begun may take to be finished after its context.
const finishTimeout = 5 * time.Second

// Outlive returns a context that ends a while after ctx, for what would otherwise leave
// content that nobody needs. The caller cancels it.
func Outlive(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(finishTimeout):
			cancel()
		case <-longer.Done():
		}
	})
	return longer, func() { stop(); cancel() }
}

// Write stores a package under its digest, in the place of what is there, and reads it
// back. progress is told how many of all bytes are stored; it may be nil. A ctx that ends
// once all are is too late to stop it.
func (s *Store) Write(ctx context.Context, digest string, content []byte, progress func(done, total int64)) error {
	stored := jetstream.ObjectInfo{
		ObjectMeta: jetstream.ObjectMeta{Name: digest},
		Bucket:     subjects.PackageStore, NUID: nuid.Next(), Size: uint64(len(content)),
	}
	length := max(1, min(maxChunk, int(s.js.Conn().MaxPayload()/4)))
	for done := 0; done < len(content); stored.Chunks++ {
		piece := content[done:min(done+length, len(content))]
		msg := nats.NewMsg(subjects.PackageChunk(stored.NUID))
		// Sent again where no answer came, it is stored once.
		msg.Header.Set(jetstream.MsgIDHeader, fmt.Sprintf("%s-%d", stored.NUID, stored.Chunks))
		msg.Data = piece
		if err := s.publish(ctx, msg); err != nil {
			s.discard(ctx, msg.Subject)
			return fmt.Errorf("store package %s: %w", digest, err)
		}
		done += len(piece)
		if progress != nil {
			progress(int64(done), int64(len(content)))
		}
	}
	sum := sha256.Sum256(content)
	stored.Digest = "SHA-256=" + base64.URLEncoding.EncodeToString(sum[:])
	meta := nats.NewMsg(subjects.PackageMeta(digest))
	meta.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject)
	var err error
	if meta.Data, err = json.Marshal(stored); err != nil {
		return err
	}
	ctx, cancel := Outlive(ctx)
	defer cancel()
	if err := s.publish(ctx, meta); err != nil {
		return fmt.Errorf("store package %s: %w", digest, err)
	}
	_, err = s.Read(ctx, digest, int64(len(content)))
	return err
}

// discard deletes the chunks of a write that has failed. What it leaves, Prune deletes.
func (s *Store) discard(ctx context.Context, subject string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), jet.PatientAttempt)
	defer cancel()
	_ = s.stream.Purge(ctx, jetstream.WithPurgeSubject(subject))
}
