// Package rewrite changes a WebAssembly module so that the host can run it:
// guests that never return can be stopped, large memory operations do not run
// longer than small ones, tables are bounded and, on request, an instance can be
// restored from an image of its memory.
//
// Machine code cannot be preempted, and a flag set from outside is never set
// while the collector waits for the guest. So the guest counts down itself: each
// function and each iteration of a loop takes from a counter, and when that is
// below zero the guest calls an import of the host, which may stop it or returns
// the next period.
//
// The module is not validated here, wazero does that with what comes out. This
// is enough: what Rewrite adds is valid in every place where it is added and
// changes the operand stack of no instruction around it, also in unreachable
// code. It starts behind the locals of a body or behind the block type of a
// loop, where the stack of the new block is known, or stands before an
// instruction and takes nothing and leaves nothing, or replaces memory.fill and
// memory.copy by calls with the same operands of functions that use the same
// instruction, so that a module without a memory stays invalid. All types,
// functions and globals that the module names are checked to be its own, which
// is why none of it becomes valid through what was added, and the guest can
// neither read the counter nor call the functions. Indices of tables, memories
// and segments need no check, because nothing of these is added; where data
// segments are dropped, what wazero would have checked of them is checked here.
// So the output is valid if and only if the input was.
package rewrite

import (
	"slices"
)

// Version is written into every module in a custom section of this name, so that
// caches of compiled code, whose key is the module, tell versions apart.
const Version = 1

const versionSection = "pluginhost.rewrite"

// ImportModule and ImportName name the function () -> i32 that a rewritten
// module imports. The guest calls it when its period is over; what it returns is
// the next period, and it may panic to stop the guest.
const (
	ImportModule = "pluginhost"
	ImportName   = "give_way"
)

// Period is what a new instance's counter starts with, and what the host should
// return from the import: about 10 µs to 100 µs of work.
const Period = 10_000

// defaultMaxTable is used where Options says nothing.
const defaultMaxTable = 1 << 20

// Limits on what the declarations of one function may multiply into. They are
// those that browsers agreed on (WebAssembly JavaScript Interface, 7.2). All
// functions together may have one local more for each byte of the module: locals
// that are used take more.
const (
	maxLocals  = 50_000
	maxParams  = 1_000
	maxResults = 1_000
)

// maxPages is how many pages of 64 KiB 32-bit addresses reach.
const maxPages = 65_536

// Options say how to rewrite a module.
type Options struct {
	// Image says that instances will be made from an image of the memory and the
	// mutable globals: these are exported, and the data segments are dropped.
	// It is without effect where the module has Obstacles.
	Image bool
	// MaxTable is how many entries all tables of the module may have together.
	// What the module needs at once must fit; growth is cut. Defaults to 1<<20.
	MaxTable uint32
}

// Module is a rewritten module.
type Module struct {
	// Wasm is the module. It shares no memory with the input.
	Wasm []byte
	// Globals are the export names of all mutable globals that the module
	// defines, by index. Empty without Options.Image or with Obstacles.
	Globals []string
	// Obstacles say why memory and mutable globals are not all of an instance's
	// state, sorted and without duplicates. Empty if instances can be restored.
	Obstacles []string
	// Data are the segments that were dropped, in the order in which they must be
	// written; nobody checked that they are inside the memory. Empty without
	// Options.Image or with Obstacles, because then the module keeps them.
	Data []Segment
	// Memory is what the module declares.
	Memory Memory
	// Imports are the functions that the module imports, in its order.
	Imports []Import
	// Exports are the names of the functions that it exports, in its order.
	Exports []string
	// TableEntries is how many entries all tables can come to have together, Elements
	// how many entries the element segments have, and GlobalCount how many globals
	// there are, mutable or not.
	TableEntries, Elements, GlobalCount int
}

// Import names a function of another module.
type Import struct{ Module, Name string }

// Segment is what to write into a new memory.
type Segment struct {
	// Offset is in bytes.
	Offset uint32
	// Bytes are part of the input.
	Bytes []byte
}

// Memory is the declaration of a memory, in pages of 64 KiB.
type Memory struct {
	Min uint32
	// Max is 65536 where the module declares none. In a module for images the
	// limit written is one page more, because shrinking a memory takes a growth
	// by one page: whoever allocates the memory enforces this one.
	Max uint32
	// Present says whether there is a memory at all, defined or imported.
	Present bool
}

// Rewrite returns the module with all that the package comment names. All errors
// are of type *Error. Custom sections other than "name" are dropped: they are
// for other tools or, as debug information, big and of no use to the host. So is
// a "name" section that is malformed, because it only serves stack traces.
//
// The input is not changed. What Rewrite allocates is in proportion to it.
func Rewrite(wasm []byte, options Options) (*Module, error) {
	return rewrite(wasm, options, Period)
}

// rewrite is Rewrite with another first period.
func rewrite(wasm []byte, options Options, period int64) (*Module, error) {
	if options.MaxTable == 0 {
		options.MaxTable = defaultMaxTable
	}
	m := &module{wasm: wasm, maxTable: options.MaxTable, pauseType: -1, bulkType: -1}
	if err := m.read(); err != nil {
		return nil, err
	}
	slices.Sort(m.obstacles)
	result := &Module{Obstacles: m.obstacles, Memory: m.memory, Imports: m.imports, Exports: m.exportedFunctions}
	if options.Image && len(m.obstacles) == 0 {
		result.Globals = m.exportGlobals()
		result.Data = m.dropData()
		m.raiseMemory()
	}
	result.TableEntries, result.Elements, result.GlobalCount = m.tableEntries, m.elementEntries, int(m.globals)+1
	if slices.Contains(m.obstacles, "table.grow") {
		result.TableEntries = m.tableMost
	}
	m.addImport()
	m.addCounter(period)
	m.addBulk()
	result.Wasm = m.write()
	return result, nil
}
