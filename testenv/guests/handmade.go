package guests

import (
	"bytes"

	"github.com/pluginhost/pluginhost/sdk/api/schema"
)

// Handmade is a plugin written byte by byte, for what a compiler would not
// produce and for tests that need no Go runtime in the guest. The zero value
// answers every method of MetadataAgent with an empty message.
type Handmade struct {
	// Capabilities are those whose exports the module has. Defaults to
	// MetadataAgent.
	Capabilities []string
	// Version is what the version exports return. Defaults to 1.
	Version int64
	// Omit names an export to leave out.
	Omit string
	// Imports are functions of type (i32, i32) -> i64 that the module imports
	// from env.
	Imports []string
	// WASI is a function of wasi_snapshot_preview1 that the module imports after
	// Imports, and WASIParams how many parameters of type i32 it has: with them it
	// returns an i32, except proc_exit.
	WASI       string
	WASIParams int
	// Body is the code of every method, without its end. Defaults to Empty.
	Body []byte
	// Malloc is the code of malloc, without its end. Defaults to the address 1024.
	Malloc []byte
	// Free is the code of free, without its end. Defaults to none.
	Free []byte
	// Initialize is the code of _initialize, without its end. Nil is no such
	// export.
	Initialize []byte
	// Globals is how many mutable globals of type i64 the module has; each starts
	// with 7.
	Globals int
	// PassiveData gives the module a data segment that only code can use.
	PassiveData bool
	// Start gives the module an export _start, as a program has.
	Start bool
	// Pages is the initial size of the memory. Defaults to 1.
	Pages uint32
	// More are functions that nothing calls.
	More []Function
}

// Function is one function of a module.
type Function struct {
	// Type is its type, as in a type section.
	Type []byte
	// Code are its locals and its code, without its end.
	Code []byte
}

// Bodies of methods. Local 0 is the address of the request, local 1 its size;
// an i64 is left on the stack.
var (
	// Empty returns an empty message.
	Empty = []byte{0x42, 0x00} // i64.const 0
	// Echo returns the bytes of the request: a request whose field 1 is a
	// string is a response whose field 1 is that string.
	Echo = []byte{
		0x20, 0x00, 0xad, 0x42, 0x20, 0x86, // local.get 0, i64.extend_i32_u, i64.const 32, i64.shl
		0x20, 0x01, 0xad, 0x84, // local.get 1, i64.extend_i32_u, i64.or
	}
	// Trap executes unreachable.
	Trap = []byte{0x00}
	// Loop never returns.
	Loop = []byte{0x03, 0x40, 0x0c, 0x00, 0x0b, 0x42, 0x00} // loop, br 0, end, i64.const 0
	// OutOfBounds returns an address beyond the memory.
	OutOfBounds = append([]byte{0x42}, sleb(0x7fff0000<<32|16)...)
	// HugeResult returns all of the memory's first page and more than there is.
	HugeResult = append([]byte{0x42}, sleb(8<<32|0x7fffffff)...)
	// EmptyError returns an error without a text.
	EmptyError = append([]byte{0x42}, sleb(1<<31)...)
	// Recurse calls itself without a loop, without end and, as it has no frame to
	// speak of, without soon running out of stack: every level calls twice.
	Recurse = []byte{
		0x20, 0x00, 0x41, 0xc0, 0x00, 0x46, 0x04, 0x7e, 0x42, 0x00, 0x05, // local.get 0, i32.const 64, i32.eq, if i64, i64.const 0, else
		0x20, 0x00, 0x41, 0x01, 0x6a, 0x20, 0x01, 0x10, 0x01, // local.get 0, i32.const 1, i32.add, local.get 1, call 1
		0x20, 0x00, 0x41, 0x01, 0x6a, 0x20, 0x01, 0x10, 0x01, // the same
		0x84, 0x0b, // i64.or, end
	}
	// FillForEver writes all of the first page's MaxMemory again and again:
	// few instructions that take long.
	FillForEver = []byte{
		0x41, 0xff, 0x1f, 0x40, 0x00, 0x1a, // i32.const 4095, memory.grow, drop
		0x03, 0x40, // loop
		0x41, 0x00, 0x41, 0x01, 0x3f, 0x00, 0x41, 0x10, 0x74, // i32.const 0, i32.const 1, memory.size, i32.const 16, i32.shl
		0xfc, 0x0b, 0x00, // memory.fill
		0x0c, 0x00, 0x0b, 0x42, 0x00, // br 0, end, i64.const 0
	}
	// Obey does what the request says in its first byte: 0 fills the memory from
	// the address in bytes 4 to 7 with byte 8, as long as bytes 12 to 15 say; 1
	// grows it by bytes 4 to 7; 2 sets the first two globals to bytes 4 to 11; 3
	// loops for ever; 4 traps. It needs two Globals.
	Obey = []byte{
		0x02, 0x40, 0x02, 0x40, 0x02, 0x40, 0x02, 0x40, 0x02, 0x40, 0x02, 0x40, // six blocks
		0x20, 0x00, 0x2d, 0x00, 0x00, // local.get 0, i32.load8_u
		0x0e, 0x05, 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x0b, // br_table 0 1 2 3 4 5, end
		0x20, 0x00, 0x28, 0x02, 0x04, 0x20, 0x00, 0x28, 0x02, 0x08, 0x20, 0x00, 0x28, 0x02, 0x0c, // three times local.get 0, i32.load
		0xfc, 0x0b, 0x00, 0x0c, 0x04, 0x0b, // memory.fill, br 4, end
		0x20, 0x00, 0x28, 0x02, 0x04, 0x40, 0x00, 0x1a, 0x0c, 0x03, 0x0b, // local.get 0, i32.load, memory.grow, drop, br 3, end
		0x20, 0x00, 0x29, 0x03, 0x04, 0x24, 0x00, // local.get 0, i64.load, global.set 0
		0x20, 0x00, 0x29, 0x03, 0x04, 0x24, 0x01, 0x0c, 0x02, 0x0b, // local.get 0, i64.load, global.set 1, br 2, end
		0x03, 0x40, 0x0c, 0x00, 0x0b, 0x0b, // loop, br 0, end, end
		0x00, 0x0b, // unreachable, end
		0x42, 0x00, // i64.const 0
	}
	// CallImport passes the request to the first imported function and returns
	// what it returns.
	CallImport = []byte{0x20, 0x00, 0x20, 0x01, 0x10, 0x00} // local.get 0, local.get 1, call 0
)

// Stuck is a plugin whose initialisation writes "hm?" to stderr and never ends.
func Stuck() Handmade {
	store := func(address, value int64) []byte { // i32.const address, i32.const value, i32.store
		return concat([]byte{0x41}, sleb(address), []byte{0x41}, sleb(value), []byte{0x36, 0x02, 0x00})
	}
	return Handmade{WASI: "fd_write", WASIParams: 4, Initialize: concat(
		store(16, 'h'|'m'<<8|'?'<<16|'\n'<<24),
		store(0, 16), store(4, 4), // where the text is, and how long
		[]byte{0x41, 0x02, 0x41, 0x00, 0x41, 0x01, 0x41, 0x18, 0x10, 0x00, 0x1a}, // fd_write(2, 0, 1, 24), drop
		Loop[:5], // without its result
	)}
}

// Bytes returns the binary module.
func (h Handmade) Bytes() []byte {
	if h.Capabilities == nil {
		h.Capabilities = []string{"MetadataAgent"}
	}
	if h.Version == 0 {
		h.Version = 1
	}
	if h.Body == nil {
		h.Body = Empty
	}
	if h.Pages == 0 {
		h.Pages = 1
	}
	const (
		typeVersion, typeMethod, typeMalloc, typeFree, typeInitialize = 0, 1, 2, 3, 4
		typeWASI                                                      = 5
	)
	types := [][]byte{
		{0x60, 0, 1, 0x7e},
		{0x60, 2, 0x7f, 0x7f, 1, 0x7e},
		{0x60, 1, 0x7f, 1, 0x7f},
		{0x60, 1, 0x7f, 0},
		{0x60, 0, 0},
		h.typeOfWASI(),
	}
	var imports, functions, exports, codes [][]byte
	for _, name := range h.Imports {
		imports = append(imports, concat(text("env"), text(name), []byte{0x00, typeMethod}))
	}
	if h.WASI != "" {
		imports = append(imports, concat(text("wasi_snapshot_preview1"), text(h.WASI), []byte{0x00, typeWASI}))
	}
	add := func(name string, kind byte, body []byte) {
		if name == h.Omit {
			return
		}
		index := len(imports) + len(functions)
		functions = append(functions, []byte{kind})
		exports = append(exports, concat(text(name), []byte{0x00}, uleb(uint64(index))))
		code := concat([]byte{0}, body, []byte{0x0b})
		codes = append(codes, concat(uleb(uint64(len(code))), code))
	}
	for _, name := range h.Capabilities {
		capability, _ := schema.Navidrome058().Capability(name)
		add(capability.VersionExport, typeVersion, concat([]byte{0x42}, sleb(h.Version)))
		for _, method := range capability.Methods {
			add(method.Export, typeMethod, h.Body)
		}
	}
	if h.Malloc == nil {
		h.Malloc = concat([]byte{0x41}, sleb(1024)) // i32.const 1024
	}
	add("malloc", typeMalloc, h.Malloc)
	add("free", typeFree, h.Free)
	if h.Initialize != nil {
		add("_initialize", typeInitialize, h.Initialize)
	}
	if h.Start {
		add("_start", typeInitialize, nil)
	}
	for _, function := range h.More {
		functions = append(functions, uleb(uint64(len(types))))
		types = append(types, function.Type)
		code := concat(function.Code, []byte{0x0b})
		codes = append(codes, concat(uleb(uint64(len(code))), code))
	}
	if h.Omit != "memory" {
		exports = append(exports, concat(text("memory"), []byte{0x02, 0x00}))
	}
	var globals [][]byte
	for range h.Globals {
		globals = append(globals, []byte{0x7e, 0x01, 0x42, 0x07, 0x0b}) // i64, mutable, i64.const 7, end
	}
	var count, data []byte
	if h.PassiveData {
		count, data = section(12, uleb(1)), section(11, vector([]byte{0x01, 0x01, 0xff}))
	}
	return concat(
		[]byte("\x00asm\x01\x00\x00\x00"),
		section(1, vector(types...)),
		section(2, vector(imports...)),
		section(3, vector(functions...)),
		section(5, vector(concat([]byte{0x00}, uleb(uint64(h.Pages))))),
		section(6, vector(globals...)),
		section(7, vector(exports...)),
		count,
		section(10, vector(codes...)),
		data,
	)
}

func (h Handmade) typeOfWASI() []byte {
	results := []byte{1, 0x7f}
	if h.WASI == "proc_exit" {
		results = []byte{0}
	}
	return concat([]byte{0x60, byte(h.WASIParams)}, bytes.Repeat([]byte{0x7f}, h.WASIParams), results)
}

func section(id byte, content []byte) []byte {
	return concat([]byte{id}, uleb(uint64(len(content))), content)
}

func vector(items ...[]byte) []byte {
	return concat(append([][]byte{uleb(uint64(len(items)))}, items...)...)
}

func text(s string) []byte { return concat(uleb(uint64(len(s))), []byte(s)) }

func concat(parts ...[]byte) []byte {
	var out []byte
	for _, part := range parts {
		out = append(out, part...)
	}
	return out
}

func uleb(v uint64) []byte {
	var out []byte
	for {
		b := byte(v & 0x7f)
		v >>= 7
		if v == 0 {
			return append(out, b)
		}
		out = append(out, b|0x80)
	}
}

func sleb(v int64) []byte {
	var out []byte
	for {
		b := byte(v & 0x7f)
		v >>= 7
		if v == 0 && b&0x40 == 0 || v == -1 && b&0x40 != 0 {
			return append(out, b)
		}
		out = append(out, b|0x80)
	}
}
