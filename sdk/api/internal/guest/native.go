//go:build !wasip1

package guest

// Call returns ErrNoHost: only a WebAssembly guest has a host.
func Call(_ func(ptr, size uint32) uint64, _, _ Message) error { return ErrNoHost }
