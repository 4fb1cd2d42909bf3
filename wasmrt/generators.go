package wasmrt

import (
	"bytes"
	"encoding/binary"
)

// The pseudo-random generator of a Go guest is ChaCha8; its state is laid out
// as in the source of internal/chacha8rand: a buffer of 32 words and a seed of 4,
// then three counters of 32 bits: i, the next word of the buffer; n, how many it
// has; c, the blocks since the seed was drawn.
const (
	generatorWords   = 32 + 4
	generatorBytes   = generatorWords * 8
	countersBytes    = 3 * 4
	generatorMaxC    = 16
	generatorFullN   = 32
	generatorReseedN = 28
)

// findGenerators returns where the states of such generators are in memory.
// other is the memory of an instance that did the same with other randomness: a
// state is a run of exactly as many different words as it has, before counters
// that are the same and possible. What matches less than exactly is left alone:
// overwriting it would break the guest.
func findGenerators(memory, other []byte) []int {
	if len(memory) != len(other) {
		return nil
	}
	var found []int
	for at := 0; at+8 <= len(memory); {
		if at%pageSize == 0 && at+pageSize <= len(memory) && bytes.Equal(memory[at:at+pageSize], other[at:at+pageSize]) {
			at += pageSize
			continue
		}
		if bytes.Equal(memory[at:at+8], other[at:at+8]) {
			at += 8
			continue
		}
		start := at
		for at+8 <= len(memory) && !bytes.Equal(memory[at:at+8], other[at:at+8]) {
			at += 8
		}
		if at-start == generatorBytes && countersAt(memory[at:]) && at+countersBytes <= len(other) && bytes.Equal(memory[at:at+countersBytes], other[at:at+countersBytes]) {
			found = append(found, start)
		}
	}
	return found
}

func countersAt(b []byte) bool {
	if len(b) < countersBytes {
		return false
	}
	i, n, c := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint32(b[8:])
	return i <= n && (n == generatorFullN || n == generatorReseedN) && c <= generatorMaxC
}
