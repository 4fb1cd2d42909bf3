package wasmrt

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// instantiateWASI makes the module wasi_snapshot_preview1 of a runtime.
func instantiateWASI(ctx context.Context, runtime wazero.Runtime) error {
	_, err := wasi_snapshot_preview1.Instantiate(experimental.WithFunctionListenerFactory(ctx, wasiWatch{}), runtime)
	return err
}

// Bounds on what one call of WASI may be asked for: wazero does all of it before
// it returns, and some of it before it looks whether it can be done at all.
const (
	maxPath          = 4 << 10 // bytes
	maxVectors       = 1 << 10
	maxSubscriptions = 4 << 10
)

// wasiWatch stands before those functions of WASI whose work follows their
// parameters. It also notes when a guest changes its descriptors, which no image
// holds: a guest has three, stdin, stdout and stderr.
type wasiWatch struct{}

// NewFunctionListener implements experimental.FunctionListenerFactory.
func (wasiWatch) NewFunctionListener(definition api.FunctionDefinition) experimental.FunctionListener {
	switch name := definition.Name(); name {
	case "fd_close", "fd_renumber":
		return wasiCall{changes: true, moves: true}
	case "fd_fdstat_set_flags":
		return wasiCall{changes: true} // Go guests do at their start
	case "fd_read", "fd_pread", "fd_write", "fd_pwrite", "sock_recv", "sock_send":
		return wasiCall{counts: []int{2}, most: maxVectors}
	case "poll_oneoff":
		return wasiCall{counts: []int{2}, most: maxSubscriptions}
	case "path_create_directory", "path_readlink", "path_remove_directory", "path_unlink_file":
		return wasiCall{counts: []int{2}, most: maxPath}
	case "path_filestat_get", "path_filestat_set_times", "path_open":
		return wasiCall{counts: []int{3}, most: maxPath}
	case "path_link":
		return wasiCall{counts: []int{3, 6}, most: maxPath}
	case "path_rename":
		return wasiCall{counts: []int{2, 5}, most: maxPath}
	case "path_symlink":
		return wasiCall{counts: []int{1, 4}, most: maxPath}
	default:
		return nil
	}
}

// wasiCall listens to one function.
type wasiCall struct {
	changes bool   // a descriptor
	moves   bool   // one to another number, or to none
	counts  []int  // the parameters that are bounded
	most    uint32 // by this
}

// Before implements experimental.FunctionListener.
func (w wasiCall) Before(ctx context.Context, _ api.Module, definition api.FunctionDefinition, params []uint64, _ experimental.StackIterator) {
	inst := instanceOf(ctx)
	if inst == nil {
		return
	}
	inst.changed, inst.moved = inst.changed || w.changes, inst.moved || w.moves
	for _, at := range w.counts {
		if n := uint32(params[at]); n > w.most {
			inst.end(&CrashError{fmt.Errorf("%s was asked for %d, it takes %d at most", definition.Name(), n, w.most)})
		}
	}
	inst.check()
}

// After implements experimental.FunctionListener.
func (wasiCall) After(context.Context, api.Module, api.FunctionDefinition, []uint64) {}

// Abort implements experimental.FunctionListener.
func (wasiCall) Abort(context.Context, api.Module, api.FunctionDefinition, error) {}

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
