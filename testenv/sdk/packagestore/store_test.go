package packagestore_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/rand"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/sdk/packagestore"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// bed is a store with what a test does to it behind its back.
type bed struct {
	*packagestore.Store
	t       *testing.T
	js      jetstream.JetStream
	stream  jetstream.Stream
	objects jetstream.ObjectStore
}

func newBed(t *testing.T) *bed {
	t.Helper()
	return newBedAt(t, testenv.NATS(t))
}

func newBedAt(t *testing.T, url string) *bed {
	t.Helper()
	js, err := jetstream.New(testenv.Connect(t, url))
	if err != nil {
		t.Fatal(err)
	}
	b := &bed{t: t, js: js}
	if b.stream, err = js.CreateStream(t.Context(), packagestore.Config(1, jetstream.MemoryStorage)); err != nil {
		t.Fatal(err)
	}
	if b.objects, err = js.ObjectStore(t.Context(), subjects.PackageStore); err != nil {
		t.Fatal(err)
	}
	if b.Store, err = packagestore.Open(t.Context(), js); err != nil {
		t.Fatal(err)
	}
	return b
}

// content makes bytes that are the same for a seed, and their digest.
func content(seed int64, size int) (digest string, bytes []byte) {
	bytes = make([]byte, size)
	_, _ = rand.New(rand.NewSource(seed)).Read(bytes)
	sum := sha256.Sum256(bytes)
	return hex.EncodeToString(sum[:]), bytes
}

// write stores content made from a seed and returns its digest.
func (b *bed) write(seed int64, size int) string {
	b.t.Helper()
	digest, bytes := content(seed, size)
	if err := b.Write(b.t.Context(), digest, bytes, nil); err != nil {
		b.t.Fatal(err)
	}
	return digest
}

// chunks are the subjects of the chunks that are stored.
func (b *bed) chunks() []string {
	b.t.Helper()
	info, err := b.stream.Info(b.t.Context(), jetstream.WithSubjectFilter(subjects.PackageChunks))
	if err != nil {
		b.t.Fatal(err)
	}
	var all []string
	for subject := range info.State.Subjects {
		all = append(all, subject)
	}
	return all
}

func TestWhatIsWrittenIsReadByOthersToo(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	for _, size := range []int{1, 128 << 10, 1_000_000} {
		digest, want := content(int64(size), size)
		told := int64(0)
		err := b.Write(t.Context(), digest, want, func(done, total int64) {
			if done <= told || done > total || total != int64(size) {
				t.Errorf("%d after %d of %d", done, told, total)
			}
			told = done
		})
		if err != nil || told != int64(size) {
			t.Fatalf("%d of %d bytes are stored: %v", told, size, err)
		}
		if got, err := b.Read(t.Context(), digest, int64(size)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes are read as %d: %v", size, len(got), err)
		}
		if got, err := b.objects.GetBytes(t.Context(), digest); err != nil || !bytes.Equal(got, want) {
			t.Errorf("nats.go reads %d bytes as %d: %v", size, len(got), err)
		}
	}
}

func TestWhatOthersHaveWrittenIsRead(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	digest, want := content(1, 300_000)
	if _, err := b.objects.PutBytes(t.Context(), digest, want); err != nil {
		t.Fatal(err)
	}
	if got, err := b.Read(t.Context(), digest, int64(len(want))); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes are read: %v", len(got), err)
	}
}

func TestDamagedContentIsNotReturned(t *testing.T) {
	t.Parallel()
	const size = 300_000
	for name, damage := range map[string]func(b *bed, digest string){
		"another content": func(b *bed, digest string) {
			_, other := content(2, size)
			if _, err := b.objects.PutBytes(b.t.Context(), digest, other); err != nil {
				b.t.Fatal(err)
			}
		},
		"another size": func(b *bed, digest string) {
			if _, err := b.objects.PutBytes(b.t.Context(), digest, []byte("short")); err != nil {
				b.t.Fatal(err)
			}
		},
		"a chunk is missing": func(b *bed, _ string) {
			msg, err := b.stream.GetLastMsgForSubject(b.t.Context(), b.chunks()[0])
			if err == nil {
				err = b.stream.DeleteMsg(b.t.Context(), msg.Sequence)
			}
			if err != nil {
				b.t.Fatal(err)
			}
		},
		"a chunk too many": func(b *bed, _ string) {
			if _, err := b.js.Publish(b.t.Context(), b.chunks()[0], make([]byte, 200_000)); err != nil {
				b.t.Fatal(err)
			}
			msg, err := b.stream.GetMsg(b.t.Context(), 1, jetstream.WithGetMsgSubject(b.chunks()[0]))
			if err == nil {
				err = b.stream.DeleteMsg(b.t.Context(), msg.Sequence)
			}
			if err != nil {
				b.t.Fatal(err)
			}
		},
		"it was deleted": func(b *bed, digest string) {
			if err := b.objects.Delete(b.t.Context(), digest); err != nil {
				b.t.Fatal(err)
			}
		},
		"it leads to itself": func(b *bed, digest string) {
			link := jetstream.ObjectInfo{ObjectMeta: jetstream.ObjectMeta{Name: digest, Opts: &jetstream.ObjectMetaOptions{
				Link: &jetstream.ObjectLink{Bucket: subjects.PackageStore, Name: digest},
			}}, Size: size, NUID: "none"}
			body, err := json.Marshal(link)
			if err == nil {
				_, err = b.js.Publish(b.t.Context(), subjects.PackageMeta(digest), body)
			}
			if err != nil {
				b.t.Fatal(err)
			}
		},
		"what is known of it cannot be read": func(b *bed, digest string) {
			if _, err := b.js.Publish(b.t.Context(), subjects.PackageMeta(digest), []byte("{")); err != nil {
				b.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			digest := b.write(1, size)
			damage(b, digest)
			if got, err := b.Read(t.Context(), digest, size); !errors.Is(err, subjects.ErrPackageDamaged) || got != nil {
				t.Errorf("got %d bytes, %v", len(got), err)
			}
			if b.write(1, size) != digest {
				t.Fatal("the test makes something else")
			}
			if _, err := b.Read(t.Context(), digest, size); err != nil {
				t.Errorf("stored again: %v", err)
			}
		})
	}
}

func TestWithoutAStoreThereIsAnError(t *testing.T) {
	t.Parallel()
	js, err := jetstream.New(testenv.Connect(t, testenv.NATS(t)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := packagestore.Open(t.Context(), js); !errors.Is(err, subjects.ErrNoPackageStore) {
		t.Errorf("got %v", err)
	}
}

func TestOnlyWhatIsOldAndNotNamedIsDeleted(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	const size = 200_000
	named, unnamed, rewritten := b.write(1, size), b.write(2, size), b.write(3, size)
	const unfinished = "unfinished"
	if _, err := b.js.Publish(t.Context(), subjects.PackageChunk(unfinished), []byte("some")); err != nil {
		t.Fatal(err)
	}
	last, err := b.stream.GetLastMsgForSubject(t.Context(), subjects.PackageChunk(unfinished))
	if err != nil {
		t.Fatal(err)
	}
	isNamed := func(digest string) bool { return digest == named }
	// Everything is younger than itself.
	if err := b.Prune(t.Context(), isNamed, last.Time.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	for _, digest := range []string{named, unnamed, rewritten} {
		if _, err := b.Read(t.Context(), digest, size); err != nil {
			t.Errorf("too young: %v", err)
		}
	}
	before := last.Time.Add(time.Nanosecond)
	b.write(3, size)
	if err := b.Prune(t.Context(), isNamed, before); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Read(t.Context(), unnamed, size); !errors.Is(err, subjects.ErrPackageDamaged) {
		t.Errorf("what nobody names: %v", err)
	}
	for what, digest := range map[string]string{"named": named, "stored again": rewritten} {
		if _, err := b.Read(t.Context(), digest, size); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if left := b.chunks(); len(left) != 2 || slices.Contains(left, subjects.PackageChunk(unfinished)) {
		t.Errorf("left are %q", left)
	}
}

func TestAWriteThatIsGivenUpLeavesNothing(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	digest, content := content(1, 1_000_000)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	err := b.Write(ctx, digest, content, func(done, _ int64) {
		if done > 500_000 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if left := b.chunks(); len(left) > 0 {
		t.Errorf("left are %q", left)
	}
	if _, err := b.Read(t.Context(), digest, 1_000_000); !errors.Is(err, subjects.ErrPackageDamaged) {
		t.Errorf("read: %v", err)
	}
}

// Somebody installs again what is about to be deleted.
func TestWhatIsStoredWhileItIsDeletedStays(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	b := newBedAt(t, url)
	digest := b.write(1, 200_000)
	var again sync.Once
	link := testenv.StartNATSLink(t, url, func(_ *testenv.NATSLink, subject string) bool {
		if strings.HasPrefix(subject, "$JS.API.STREAM.PURGE.") {
			again.Do(func() { b.write(1, 200_000) })
		}
		return true
	})
	js, err := jetstream.New(testenv.Connect(t, link.URL()))
	if err != nil {
		t.Fatal(err)
	}
	late, err := packagestore.Open(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	last, err := b.stream.GetLastMsgForSubject(t.Context(), subjects.PackageMeta(digest))
	if err != nil {
		t.Fatal(err)
	}
	if err := late.Prune(t.Context(), func(string) bool { return false }, last.Time.Add(time.Nanosecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Read(t.Context(), digest, 200_000); err != nil {
		t.Error(err)
	}
	if left := b.chunks(); len(left) != 1 {
		t.Errorf("left are %q", left)
	}
}
