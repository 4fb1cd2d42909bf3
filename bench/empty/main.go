//go:build wasip1

// Command empty is a plugin for a host with Extism's SDK that does nothing: it says yes. The same in AssemblyScript is
// assembly/empty.ts.
package main

func main() {} // never runs

//go:wasmimport extism:host/env alloc
func alloc(size uint64) uint64

//go:wasmimport extism:host/env store_u64
func storeU64(offset, value uint64)

//go:wasmimport extism:host/env output_set
func outputSet(offset, size uint64)

// yes is "true" and four spaces.
const yes = 0x2020202065757274

//go:wasmexport nd_scrobbler_is_authorized
func isAuthorized() int32 {
	at := alloc(8)
	storeU64(at, yes)
	outputSet(at, 4)
	return 0
}
