//go:build wasip1

// Command golang is a plugin in plain Go: its runtime is begun by _initialize, and it uses WASI.
package main

import (
	"fmt"
	"os"
	"time"
)

func main() {} // never runs

//go:wasmimport extism:host/env input_length
func inputLength() uint64

//go:wasmimport extism:host/env alloc
func alloc(size uint64) uint64

//go:wasmimport extism:host/env store_u8
func storeU8(offset uint64, value uint32)

//go:wasmimport extism:host/env output_set
func outputSet(offset, size uint64)

// seen is what a package initialiser sees: the input of the call.
var seen = inputLength()

// calls counts those of this instance.
var calls int

func say(format string, args ...any) int32 {
	text := fmt.Sprintf(format, args...)
	at := alloc(uint64(len(text)))
	for i := range len(text) {
		storeU8(at+uint64(i), uint32(text[i]))
	}
	outputSet(at, uint64(len(text)))
	return 0
}

//go:wasmexport initialised
func initialised() int32 {
	calls++
	return say("%d %d", seen, calls)
}

//go:wasmexport sleeps
func sleeps() int32 {
	begun, slept := time.Now(), time.Minute
	time.Sleep(slept)
	return say("%v", time.Since(begun) >= slept)
}

//go:wasmexport time
func now() int32 { return say("%d", time.Now().Unix()) }

//go:wasmexport prints
func prints() int32 {
	fmt.Println("nobody reads this")
	return say("%d %d", len(os.Args), len(os.Environ()))
}

//go:wasmexport panics
func panics() int32 { panic("nobody reads this either") }

//go:wasmexport exits_0
func exits0() int32 {
	say("before the exit")
	os.Exit(0)
	return 5
}

//go:wasmexport exits_7
func exits7() int32 {
	say("before the exit")
	os.Exit(7)
	return 0
}
