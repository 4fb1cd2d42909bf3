package cluster_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/clustertest"
)

// keep keeps a secret until the test ends.
func TestReplicasThatAskAtTheSameTimeShareASecret(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	secrets := make([][]byte, 8)
	var group sync.WaitGroup
	for i := range secrets {
		b := testenv.Bus(t, url)
		group.Go(func() {
			s, err := cluster.KeepSecret(t.Context(), b.Jet(), "test", func() {})
			if err != nil {
				t.Error(err)
				return
			}
			secrets[i] = s.Bytes()
			s.Stop()
		})
	}
	group.Wait()
	if len(secrets[0]) != 32 || slices.Max(secrets[0]) == 0 {
		t.Errorf("the secret is %x", secrets[0])
	}
	for _, secret := range secrets {
		if !bytes.Equal(secret, secrets[0]) {
			t.Fatalf("got %x and %x", secret, secrets[0])
		}
	}
	if another := clustertest.KeepSecret(t, testenv.Bus(t, url), "another").Bytes(); bytes.Equal(another, secrets[0]) {
		t.Errorf("another secret is %x", another)
	}
}

// stateKV is the state bucket as a stranger sees it.
func stateKV(t *testing.T, js jetstream.JetStream) jetstream.KeyValue {
	t.Helper()
	kv, err := js.KeyValue(t.Context(), subjects.StateBucket)
	if err != nil {
		t.Fatal(err)
	}
	return kv
}

func TestADamagedSecretIsNotUsed(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	js, err := jetstream.New(testenv.Connect(t, url))
	if err != nil {
		t.Fatal(err)
	}
	b := testenv.Bus(t, url)
	first, err := cluster.KeepSecret(t.Context(), b.Jet(), "test", func() {})
	if err != nil {
		t.Fatal(err)
	}
	first.Stop() // nobody knows it any more
	for _, damaged := range []string{"", "{}", `{"v":1,"bytes":"c2hvcnQ="}`, `{"v":1,"bytes":"?"}`, "null"} {
		if _, err := stateKV(t, js).Put(t.Context(), "test", []byte(damaged)); err != nil {
			t.Fatal(err)
		}
		if s, err := cluster.KeepSecret(t.Context(), b.Jet(), "test", func() {}); !errors.Is(err, cluster.ErrSecretDamaged) {
			t.Errorf("%q: got %v, %v", damaged, s, err)
		}
	}
}

// awaitSecret waits until the bucket has a secret.
func awaitSecret(t *testing.T, js jetstream.JetStream, key string, want []byte) {
	t.Helper()
	for deadline := time.Now().Add(wait); ; {
		var got struct{ Bytes []byte }
		kv, err := js.KeyValue(t.Context(), subjects.StateBucket)
		if err == nil {
			var entry jetstream.KeyValueEntry
			if entry, err = kv.Get(t.Context(), key); err == nil {
				err = json.Unmarshal(entry.Value(), &got)
			}
		}
		if err == nil && bytes.Equal(got.Bytes, want) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the bucket has %x, want %x: %v", got.Bytes, want, err)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func TestASecretIsPutBack(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	js, err := jetstream.New(testenv.Connect(t, url))
	if err != nil {
		t.Fatal(err)
	}
	one, other := clustertest.KeepSecret(t, testenv.Bus(t, url), "test"), clustertest.KeepSecret(t, testenv.Bus(t, url), "test")
	secret := one.Bytes()
	for name, lose := range map[string]func() error{
		"its bucket is lost":  func() error { return js.DeleteStream(t.Context(), "KV_"+subjects.StateBucket) },
		"somebody damages it": func() error { _, err := stateKV(t, js).Put(t.Context(), "test", []byte("{}")); return err },
	} {
		t.Run(name, func(t *testing.T) {
			if err := lose(); err != nil {
				t.Fatal(err)
			}
			awaitSecret(t, js, "test", secret)
			if !bytes.Equal(one.Bytes(), secret) || !bytes.Equal(other.Bytes(), secret) {
				t.Error("a replica has another one")
			}
		})
	}
	if !bytes.Equal(clustertest.KeepSecret(t, testenv.Bus(t, url), "test").Bytes(), secret) {
		t.Error("a replica that starts has another one")
	}
}

// The bucket is lost while a replica is cut off, and another one that knows nothing starts
// before it is back: the secret is that of the first again, for both and for good.
func TestReplicasWithDifferentSecretsAgreeOnTheFirst(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	js, err := jetstream.New(testenv.Connect(t, url))
	if err != nil {
		t.Fatal(err)
	}
	link := testenv.StartLink(t, url[len("nats://"):])
	old, err := cluster.KeepSecret(t.Context(), testenv.Bus(t, "nats://"+link.Address()).Jet(), "test", func() { t.Error("the first secret gives way") })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(old.Stop)
	secret := old.Bytes()
	link.Cut()
	if err := js.DeleteStream(t.Context(), "KV_"+subjects.StateBucket); err != nil {
		t.Fatal(err)
	}
	changed := make(chan struct{}, 10)
	fresh, err := cluster.KeepSecret(t.Context(), testenv.Bus(t, url).Jet(), "test", func() { changed <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fresh.Stop)
	if bytes.Equal(fresh.Bytes(), secret) {
		t.Fatal("nobody could tell it")
	}
	link.Mend()
	select {
	case <-changed:
	case <-time.After(wait):
		t.Fatal("nothing changes")
	}
	if !bytes.Equal(fresh.Bytes(), secret) || !bytes.Equal(old.Bytes(), secret) {
		t.Errorf("they have %x and %x, want %x", fresh.Bytes(), old.Bytes(), secret)
	}
	awaitSecret(t, js, "test", secret)
	if len(changed) > 0 {
		t.Error("it goes to and fro")
	}
}

// Who removes the record revokes the secret: all replicas have the same new one at once, and
// none of them brings the former one back.
func TestASecretThatIsRemovedIsReplaced(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	js, err := jetstream.New(testenv.Connect(t, url))
	if err != nil {
		t.Fatal(err)
	}
	changed := make(chan []byte, 10)
	kept := make([]*cluster.Secret, 2)
	for i := range kept {
		if kept[i], err = cluster.KeepSecret(t.Context(), testenv.Bus(t, url).Jet(), "test", func() { changed <- kept[i].Bytes() }); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(kept[i].Stop)
	}
	former := kept[0].Bytes()
	for _, remove := range []func() error{
		func() error { return stateKV(t, js).Delete(t.Context(), "test") },
		func() error { return stateKV(t, js).Purge(t.Context(), "test") },
	} {
		if err := remove(); err != nil {
			t.Fatal(err)
		}
		var is [2][]byte
		for i := range is {
			select {
			case is[i] = <-changed:
			case <-time.After(wait):
				t.Fatal("a replica has no other one")
			}
		}
		if bytes.Equal(is[0], former) || !bytes.Equal(is[0], is[1]) {
			t.Errorf("they have %x and %x, the former one was %x", is[0], is[1], former)
		}
		former = is[0]
		awaitSecret(t, js, "test", former)
	}
	if !bytes.Equal(clustertest.KeepSecret(t, testenv.Bus(t, url), "test").Bytes(), former) {
		t.Error("a replica that starts has another one")
	}
}

// One that an operator writes, such as a copy of a former version without a time, holds at
// once, and once more.
func TestASecretWithoutATimeHolds(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	js, err := jetstream.New(testenv.Connect(t, url))
	if err != nil {
		t.Fatal(err)
	}
	changed := make(chan struct{}, 10)
	s, err := cluster.KeepSecret(t.Context(), testenv.Bus(t, url).Jet(), "test", func() { changed <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	for _, text := range []string{"b", "a", "c"} {
		secret := bytes.Repeat([]byte(text), 32)
		body, err := json.Marshal(map[string]any{"v": 1, "bytes": secret})
		if err == nil {
			_, err = stateKV(t, js).Put(t.Context(), "test", body)
		}
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-changed:
		case <-time.After(wait):
			t.Fatalf("%s does not hold", text)
		}
		if !bytes.Equal(s.Bytes(), secret) {
			t.Errorf("it is %x", s.Bytes())
		}
		awaitSecret(t, js, "test", secret)
	}
}
