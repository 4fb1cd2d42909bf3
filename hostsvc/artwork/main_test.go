package artwork_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pluginhost/pluginhost/hostsvc/artwork"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newSigner makes a Signer whose key is a byte repeated.
func newSigner(t testing.TB, key byte) *artwork.Signer {
	t.Helper()
	signer, err := artwork.NewSigner(bytes.Repeat([]byte{key}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// await polls what there is no event for.
func await(t *testing.T, problem string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for !condition() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatal(problem)
		}
	}
}
