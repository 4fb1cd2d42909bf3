package rewrite

import (
	"bytes"
	"context"
	"errors"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// run rewrites a module and instantiates it with the given import.
func run(t *testing.T, wasm []byte, options Options, period int64, pause func() int32) (api.Module, *Module) {
	t.Helper()
	m, err := rewrite(wasm, options, period)
	if err != nil {
		t.Fatal(err)
	}
	r := newRuntime(t, wazero.NewRuntimeConfig())
	hostPause(t, r, pause)
	instance, err := r.Instantiate(context.Background(), m.Wasm)
	if err != nil {
		t.Fatal(err)
	}
	return instance, m
}

// call calls an export and fails the test if that fails.
func call(t *testing.T, m api.Module, name string, args ...uint64) []uint64 {
	t.Helper()
	results, err := m.ExportedFunction(name).Call(context.Background(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

const megabyte = 1 << 20

func TestGuestsGiveWayAsOftenAsTheyWork(t *testing.T) {
	fill := append(slices.Concat([]byte{opI32Const, 0, opI32Const, 7}, i32Const(64*megabyte)), fillOp...)
	forward := append(slices.Concat([]byte{opI32Const, 0, opI32Const, 1}, i32Const(64*megabyte-1)), copyOp...)
	backward := append(slices.Concat([]byte{opI32Const, 1, opI32Const, 0}, i32Const(64*megabyte-1)), copyOp...)
	for _, c := range []struct {
		name        string
		module      *builder
		arg         uint64
		least, most int
	}{
		{"a loop", (&builder{}).fn("f", oneI32, noTypes, spinCode()...), 10_000_000, 999, 1000},
		{"recursion without a loop", (&builder{}).fn("f", oneI32, oneI32, fibCode...), 27, 63, 64},
		{
			"filling 64 MiB ten times",
			(&builder{}).memory(0, 0x80, 0x08).fn("f", oneI32, noTypes, spinCode(fill...)...), 10,
			10 * 64 * megabyte >> bulkShift / Period, 10*64*megabyte>>bulkShift/Period + 1,
		},
		{
			"copying 64 MiB up ten times",
			(&builder{}).memory(0, 0x80, 0x08).fn("f", oneI32, noTypes, spinCode(backward...)...), 10,
			10 * 64 * megabyte >> bulkShift / Period, 10*64*megabyte>>bulkShift/Period + 1,
		},
		{
			"copying 64 MiB down ten times",
			(&builder{}).memory(0, 0x80, 0x08).fn("f", oneI32, noTypes, spinCode(forward...)...), 10,
			10 * 64 * megabyte >> bulkShift / Period, 10*64*megabyte>>bulkShift/Period + 1,
		},
		{
			// The weight is one for each KiB.
			"a body of 1 MiB a hundred times",
			(&builder{}).fn("f", oneI32, noTypes, spinCode(bytes.Repeat([]byte{0x01}, megabyte)...)...), 100,
			10, 11,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			calls := 0
			m, _ := run(t, c.module.wasm(), Options{}, Period, func() int32 { calls++; return Period })
			call(t, m, "f", c.arg)
			if calls < c.least || calls > c.most {
				t.Errorf("gave way %d times, want %d to %d", calls, c.least, c.most)
			}
		})
	}
}

var errStop = errors.New("stopped by the host")

func TestTheImportStopsGuestsThatNeverReturn(t *testing.T) {
	deep := slices.Concat([]byte{opLocalGet, 0, opCall, 0, opLocalGet, 0, opCall, 0})
	fill := append(slices.Concat([]byte{opI32Const, 0, opI32Const, 7}, i32Const(megabyte)), fillOp...)
	for name, module := range map[string]*builder{
		"an empty loop":         (&builder{}).fn("f", oneI32, noTypes, opLoop, typeEmpty, 0x0c, 0, opEnd),
		"two calls of itself":   (&builder{}).fn("f", oneI32, noTypes, slices.Concat([]byte{opLocalGet, 0, 0x45, opIf, typeEmpty, opReturn, opEnd}, bytes.ReplaceAll(deep, []byte{opLocalGet, 0}, []byte{opLocalGet, 0, opI32Const, 1, opI32Sub}))...),
		"a loop of filling":     (&builder{}).memory(0, 16).fn("f", oneI32, noTypes, slices.Concat([]byte{opLoop, typeEmpty}, fill, []byte{0x0c, 0, opEnd})...),
		"a loop with arguments": (&builder{}).fn("f", oneI32, noTypes, opLocalGet, 0, opLoop, 0, 0x0c, 0, opEnd),
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			m, _ := run(t, module.wasm(), Options{}, Period, func() int32 {
				if calls++; calls > 10 {
					panic(errStop)
				}
				return Period
			})
			_, err := m.ExportedFunction("f").Call(context.Background(), 64)
			if !errors.Is(err, errStop) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestTableOperationsGiveWayBefore(t *testing.T) {
	// table.grow by nothing, in a loop.
	grow := []byte{opRefNull, typeFuncref, opI32Const, 0, opMisc, miscTableGrow, 0, 0x1a}
	module := (&builder{}).add(sectionTable, typeFuncref, 0, 1).fn("f", oneI32, noTypes, spinCode(grow...)...)
	calls := 0
	m, _ := run(t, module.wasm(), Options{}, Period, func() int32 { calls++; return Period })
	call(t, m, "f", 50)
	if calls != 50 {
		t.Errorf("gave way %d times", calls)
	}
}

func TestBulkOperationsDoWhatTheInstructionsDo(t *testing.T) {
	const pages, size = 5, 5 << 16
	module := (&builder{}).memory(0, pages).
		fn("fill", threeI32, noTypes, slices.Concat(bothArgs, fillOp)...).
		fn("copy", threeI32, noTypes, slices.Concat(bothArgs, copyOp)...).wasm()
	plainRuntime := newRuntime(t, wazero.NewRuntimeConfig())
	plain, err := plainRuntime.Instantiate(context.Background(), module)
	if err != nil {
		t.Fatal(err)
	}
	var calls int
	rewritten, _ := run(t, module, Options{}, 0, func() int32 { calls++; return 0 })

	view := func(m api.Module) []byte {
		b, ok := m.Memory().Read(0, size)
		if !ok {
			t.Fatal("memory has another size")
		}
		return b
	}
	want, got := view(plain), view(rewritten)
	rng := rand.New(rand.NewSource(1))
	_, _ = rng.Read(want)
	copy(got, want)
	// Numbers near the places where something changes.
	near := func() uint32 {
		edges := []uint32{0, bulkChunk, 2 * bulkChunk, 3 * bulkChunk, size, size - bulkChunk, 1 << 31, 0}
		return edges[rng.Intn(len(edges))] + uint32(rng.Intn(7)) - 3
	}
	number := func() uint32 {
		if rng.Intn(2) == 0 {
			return near()
		}
		return uint32(rng.Intn(size + size/4))
	}
	var traps, long int
	for range 6000 {
		name := []string{"fill", "copy"}[rng.Intn(2)]
		to, from, n := number(), number(), number()
		if rng.Intn(3) == 0 {
			from = to + uint32(rng.Intn(2*bulkChunk)) - bulkChunk
		}
		args := []uint64{uint64(to), uint64(from), uint64(n)}
		_, wantErr := plain.ExportedFunction(name).Call(context.Background(), args...)
		_, gotErr := rewritten.ExportedFunction(name).Call(context.Background(), args...)
		if (wantErr == nil) != (gotErr == nil) || gotErr != nil && !strings.Contains(gotErr.Error(), "out of bounds memory access") {
			t.Fatalf("%s(%d, %d, %d): got %v, want %v", name, to, from, n, gotErr, wantErr)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("%s(%d, %d, %d): memories differ", name, to, from, n)
		}
		if wantErr != nil {
			traps++
		} else if n > bulkChunk {
			long++
		}
	}
	if traps < 500 || long < 500 || calls < 6000 {
		t.Errorf("%d traps, %d long ones, %d pauses: the numbers are badly chosen", traps, long, calls)
	}
}
