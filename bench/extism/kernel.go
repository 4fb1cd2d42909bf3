//go:build wasip1

package main

import "encoding/binary"

// The functions of Extism's kernel, which holds input and output in a memory of
// its own.

//go:wasmimport extism:host/env input_length
func inputLength() uint64

//go:wasmimport extism:host/env input_load_u8
func inputLoadU8(offset uint64) uint32

//go:wasmimport extism:host/env input_load_u64
func inputLoadU64(offset uint64) uint64

//go:wasmimport extism:host/env alloc
func alloc(size uint64) uint64

//go:wasmimport extism:host/env store_u8
func storeU8(offset uint64, value uint32)

//go:wasmimport extism:host/env store_u64
func storeU64(offset, value uint64)

//go:wasmimport extism:host/env output_set
func outputSet(offset, size uint64)

// word is how many bytes are moved at a time while there are as many.
const word = 8

// input is what the host has passed to the call.
func input() []byte {
	b := make([]byte, inputLength())
	at := 0
	for ; at+word <= len(b); at += word {
		binary.LittleEndian.PutUint64(b[at:], inputLoadU64(uint64(at)))
	}
	for ; at < len(b); at++ {
		b[at] = byte(inputLoadU8(uint64(at)))
	}
	return b
}

// output passes b to the host.
func output(b []byte) {
	offset := alloc(uint64(len(b)))
	at := 0
	for ; at+word <= len(b); at += word {
		storeU64(offset+uint64(at), binary.LittleEndian.Uint64(b[at:]))
	}
	for ; at < len(b); at++ {
		storeU8(offset+uint64(at), uint32(b[at]))
	}
	outputSet(offset, uint64(len(b)))
}
