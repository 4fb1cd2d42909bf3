package guests

import (
	"github.com/pluginhost/pluginhost/api/schema"
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
	// Body is the code of every method, without its end. Defaults to Empty.
	Body []byte
	// Initialize is the code of _initialize, without its end. Nil is no such
	// export.
	Initialize []byte
	// Start gives the module an export _start, as a program has.
	Start bool
	// Pages is the initial size of the memory. Defaults to 1.
	Pages uint32
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
	// CallImport passes the request to the first imported function and returns
	// what it returns.
	CallImport = []byte{0x20, 0x00, 0x20, 0x01, 0x10, 0x00} // local.get 0, local.get 1, call 0
)

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
	)
	types := vector(
		[]byte{0x60, 0, 1, 0x7e},
		[]byte{0x60, 2, 0x7f, 0x7f, 1, 0x7e},
		[]byte{0x60, 1, 0x7f, 1, 0x7f},
		[]byte{0x60, 1, 0x7f, 0},
		[]byte{0x60, 0, 0},
	)
	var imports, functions, exports, codes [][]byte
	for _, name := range h.Imports {
		imports = append(imports, concat(text("env"), text(name), []byte{0x00, typeMethod}))
	}
	add := func(name string, kind byte, body []byte) {
		if name == h.Omit {
			return
		}
		index := len(h.Imports) + len(functions)
		functions = append(functions, []byte{kind})
		exports = append(exports, concat(text(name), []byte{0x00}, uleb(uint64(index))))
		code := concat([]byte{0}, body, []byte{0x0b})
		codes = append(codes, concat(uleb(uint64(len(code))), code))
	}
	for _, name := range h.Capabilities {
		capability, _ := schema.Lookup(name)
		add(capability.VersionExport, typeVersion, concat([]byte{0x42}, sleb(h.Version)))
		for _, method := range capability.Methods {
			add(method.Export, typeMethod, h.Body)
		}
	}
	add("malloc", typeMalloc, concat([]byte{0x41}, sleb(1024)))
	add("free", typeFree, nil)
	if h.Initialize != nil {
		add("_initialize", typeInitialize, h.Initialize)
	}
	if h.Start {
		add("_start", typeInitialize, nil)
	}
	if h.Omit != "memory" {
		exports = append(exports, concat(text("memory"), []byte{0x02, 0x00}))
	}
	return concat(
		[]byte("\x00asm\x01\x00\x00\x00"),
		section(1, types),
		section(2, vector(imports...)),
		section(3, vector(functions...)),
		section(5, vector(concat([]byte{0x00}, uleb(uint64(h.Pages))))),
		section(7, vector(exports...)),
		section(10, vector(codes...)),
	)
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
