package wasmrt

import (
	"context"
	"crypto/rand"
	"slices"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// instantiateWASI makes the module wasi_snapshot_preview1 of a runtime.
func instantiateWASI(ctx context.Context, runtime wazero.Runtime) error {
	_, err := wasi_snapshot_preview1.Instantiate(experimental.WithFunctionListenerFactory(ctx, descriptorWatch{}), runtime)
	return err
}

// descriptorWatch notes when a guest changes its descriptors, which no image
// holds. A guest has three: stdin, stdout and stderr.
type descriptorWatch struct{}

// NewFunctionListener implements experimental.FunctionListenerFactory.
func (w descriptorWatch) NewFunctionListener(definition api.FunctionDefinition) experimental.FunctionListener {
	switch definition.Name() {
	case "fd_close", "fd_renumber", "fd_fdstat_set_flags":
		return w
	default:
		return nil
	}
}

// Before implements experimental.FunctionListener.
func (descriptorWatch) Before(ctx context.Context, _ api.Module, _ api.FunctionDefinition, _ []uint64, _ experimental.StackIterator) {
	if inst := instanceOf(ctx); inst != nil {
		inst.descriptors = true
	}
}

// After implements experimental.FunctionListener.
func (descriptorWatch) After(context.Context, api.Module, api.FunctionDefinition, []uint64) {}

// Abort implements experimental.FunctionListener.
func (descriptorWatch) Abort(context.Context, api.Module, api.FunctionDefinition, error) {}

// randomness is the guest's source of random bytes.
type randomness struct{ giveWay func() }

// randomChunk is what is read without giving way: a guest may ask for all of its
// memory at once.
const randomChunk = 64 << 10

// Read fills p, unless the call is ended before.
func (r randomness) Read(p []byte) (int, error) {
	for chunk := range slices.Chunk(p, randomChunk) {
		r.giveWay()
		if _, err := rand.Read(chunk); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}
