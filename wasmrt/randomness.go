package wasmrt

import (
	"crypto/rand"
	"slices"
)

// randomness is the guest's source of random bytes.
type randomness struct{ giveWay func() }

// randomChunk is what is read without giving way: a guest may ask for all of its
// memory at once.
const randomChunk = 64 << 10

// Read fills p, unless the call is ended before.
func (r randomness) Read(p []byte) (int, error) {
	for chunk := range slices.Chunk(p, randomChunk) {
		if len(p) > randomChunk {
			r.giveWay()
		}
		if _, err := rand.Read(chunk); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}
