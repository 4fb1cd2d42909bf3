package guests

import (
	"bytes"
	"math/rand/v2"
)

// Bomb is a small plugin, valid and never called, that takes minutes or gigabytes to
// compile. The seed decides what it is made of: one of the shapes below, in a size of its
// own.
func Bomb(seed uint64) []byte {
	random := rand.New(rand.NewPCG(seed, 0))
	shapes := []func(*rand.Rand) []Function{widePhis, manyResults, wideTable, longChain}
	// Bodies that differ have modules of one shape and size differ, for caches.
	mark := concat([]byte{0x42}, sleb(int64(random.Uint64()>>1)), []byte{0x1a}, Empty) // i64.const, drop
	return Handmade{Body: mark, More: shapes[seed%uint64(len(shapes))](random)}.Bytes()
}

// Shapes is how many kinds of Bomb there are: seeds that differ by less are of another one.
const Shapes = 4

var procedure = []byte{0x60, 0, 0} // () -> ()

// results is a type without parameters and with n results of type i64.
func results(n int) []byte {
	return concat([]byte{0x60, 0}, uleb(uint64(n)), bytes.Repeat([]byte{0x7e}, n))
}

// widePhis changes each of many locals inside of many loops, so that each loop has a value
// for each local.
func widePhis(random *rand.Rand) []Function {
	locals, depth := 20_000+random.IntN(20_000), 150+random.IntN(100)
	code := concat([]byte{1}, uleb(uint64(locals)), []byte{0x7e}, bytes.Repeat([]byte{0x03, 0x40}, depth)) // locals of type i64, loop
	for i := range locals {
		local := uleb(uint64(i))
		code = append(code, concat([]byte{0x20}, local, []byte{0x42, 0x01, 0x7c, 0x21}, local)...) // local.get, i64.const 1, i64.add, local.set
	}
	return []Function{{procedure, append(code, bytes.Repeat([]byte{0x41, 0x00, 0x0d, 0x00, 0x0b}, depth)...)}} // i32.const 0, br_if 0, end
}

// manyResults calls a function with many results, again and again.
func manyResults(random *rand.Rand) []Function {
	n, calls := 800+random.IntN(200), 12_000+random.IntN(4_000)
	self := handmadeFunctions // the first of More
	call := concat([]byte{0x10}, uleb(uint64(self)))
	return []Function{
		{results(n), []byte{0, 0x00}}, // unreachable
		{procedure, concat([]byte{0}, bytes.Repeat(call, calls), []byte{0x00})},
	}
}

// wideTable branches to a place that takes many values, from many entries of a table.
func wideTable(random *rand.Rand) []Function {
	n, entries := 800+random.IntN(200), 40_000+random.IntN(10_000)
	block := handmadeTypes // the type of the first of More
	return []Function{
		{results(n), []byte{0, 0x00}}, // unreachable
		{procedure, concat(
			[]byte{0, 0x02}, sleb(int64(block)), []byte{0x10}, uleb(uint64(handmadeFunctions)), // block, call
			[]byte{0x41, 0x00, 0x0e}, uleb(uint64(entries-1)), make([]byte, entries), // i32.const 0, br_table 0 0 …
			[]byte{0x0b, 0x00}, // end, unreachable
		)},
	}
}

// longChain branches conditionally many times, and reads a parameter after each.
func longChain(random *rand.Rand) []Function {
	n := 100_000 + random.IntN(50_000)
	link := []byte{0x41, 0x00, 0x0d, 0x00, 0x20, 0x00, 0x1a} // i32.const 0, br_if 0, local.get 0, drop
	return []Function{{[]byte{0x60, 1, 0x7f, 0}, append([]byte{0}, bytes.Repeat(link, n)...)}}
}

const (
	handmadeTypes     = 6  // of Handmade itself
	handmadeFunctions = 11 // of Handmade itself, as a MetadataAgent
)
