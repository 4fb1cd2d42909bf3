package bus_test

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

func TestReplicasThatAskAtTheSameTimeShareASecret(t *testing.T) {
	url := testenv.NATS(t)
	secrets := make([][]byte, 8)
	var group sync.WaitGroup
	for i := range secrets {
		b := open(t, url)
		group.Go(func() {
			var err error
			if secrets[i], err = b.Secret(t.Context(), "test"); err != nil {
				t.Error(err)
			}
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
	another, err := open(t, url).Secret(t.Context(), "another")
	if err != nil || bytes.Equal(another, secrets[0]) {
		t.Errorf("another secret is %x, %v", another, err)
	}
}

func TestADamagedSecretIsNotUsed(t *testing.T) {
	url := testenv.NATS(t)
	b := open(t, url)
	if _, err := b.Secret(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(testenv.Connect(t, url))
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), subjects.StateBucket)
	if err != nil {
		t.Fatal(err)
	}
	for _, damaged := range []string{"", "{}", `{"v":1,"bytes":"c2hvcnQ="}`, "null"} {
		if _, err := kv.Put(t.Context(), "test", []byte(damaged)); err != nil {
			t.Fatal(err)
		}
		if secret, err := b.Secret(t.Context(), "test"); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%q: got %x, %v", damaged, secret, err)
		}
	}
}
