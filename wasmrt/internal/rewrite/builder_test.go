package rewrite

import "slices"

// builder makes small modules for tests: sections by id, written in order.
type builder struct {
	parts  [sections][][]byte
	raw    map[int][]byte // contents instead of entries
	custom [][]byte       // behind all others
}

func (b *builder) add(id int, entry ...byte) *builder {
	b.parts[id] = append(b.parts[id], entry)
	return b
}

// fn adds a type, a function of it without locals and an export of the function.
func (b *builder) fn(name string, params, results []byte, code ...byte) *builder {
	return b.fnLocals(name, params, results, []byte{0}, code...)
}

func (b *builder) fnLocals(name string, params, results, locals []byte, code ...byte) *builder {
	signature := slices.Concat([]byte{typeFunction}, vector(params), vector(results))
	b.add(sectionFunction, byte(len(b.parts[sectionType])))
	b.add(sectionType, signature...)
	imported := 0
	for _, i := range b.parts[sectionImport] {
		if i[len(i)-2] == kindFunction {
			imported++
		}
	}
	index := imported + len(b.parts[sectionFunction]) - 1
	b.add(sectionExport, slices.Concat(text(name), []byte{kindFunction}, appendUint32(nil, uint32(index)))...)
	return b.add(sectionCode, vector(slices.Concat(locals, code, []byte{opEnd}))...)
}

// memory adds a memory, which is exported as "memory".
func (b *builder) memory(limits ...byte) *builder {
	return b.add(sectionMemory, limits...).add(sectionExport, append(text("memory"), kindMemory, 0)...)
}

func (b *builder) names(content []byte) *builder {
	b.custom = append(b.custom, append(text("name"), content...))
	return b
}

func (b *builder) wasm() []byte {
	out := []byte(header)
	for _, id := range sectionOrder {
		content := b.raw[id]
		if content == nil && len(b.parts[id]) > 0 {
			content = slices.Concat(appendUint32(nil, uint32(len(b.parts[id]))), slices.Concat(b.parts[id]...))
		}
		if content != nil {
			out = append(append(out, byte(id)), vector(content)...)
		}
	}
	for _, c := range b.custom {
		out = append(append(out, sectionCustom), vector(c)...)
	}
	return out
}

// vector is bytes behind their count.
func vector(b []byte) []byte { return append(appendUint32(nil, uint32(len(b))), b...) }

func text(s string) []byte { return vector([]byte(s)) }

func i32Const(v int64) []byte { return appendInt64([]byte{opI32Const}, v) }

var (
	noTypes  []byte
	oneI32   = []byte{typeI32}
	threeI32 = []byte{typeI32, typeI32, typeI32}
	bothArgs = []byte{opLocalGet, 0, opLocalGet, 1, opLocalGet, 2}
)

// fibCode calls itself, which is function 0, and never loops.
var fibCode = slices.Concat(
	[]byte{opLocalGet, 0, opI32Const, 2, opI32LtS, opIf, typeI32, opLocalGet, 0, opElse},
	[]byte{opLocalGet, 0, opI32Const, 1, opI32Sub, opCall, 0},
	[]byte{opLocalGet, 0, opI32Const, 2, opI32Sub, opCall, 0, opI32Add, opEnd},
)

// spinCode runs a body as often as its parameter says.
func spinCode(body ...byte) []byte {
	return slices.Concat(
		[]byte{opLoop, typeEmpty}, body,
		[]byte{opLocalGet, 0, opI32Const, 1, opI32Sub, opLocalSet, 0, opLocalGet, 0, opBrIf, 0, opEnd},
	)
}
