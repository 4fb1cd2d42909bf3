package rewrite

import "fmt"

// constant is an expression that is one i32.const.
type constant struct {
	value int32
	ok    bool
}

// expression copies a constant expression with new function indices.
func (m *module) expression(r *reader, out []byte) ([]byte, constant) {
	var c constant
	for n := 0; ; n++ {
		at := r.pos
		op := r.byte()
		c.ok = c.ok && op == opEnd
		out = append(out, op)
		switch start := r.pos; op {
		case opEnd:
			return out, c
		case opRefFunc:
			out = appendUint32(out, m.functionIndex(r))
		case opI32Const:
			c = constant{int32(r.sint(32)), n == 0}
			out = append(out, m.wasm[start:r.pos]...)
		default:
			m.operand(r, at, op)
			out = append(out, m.wasm[start:r.pos]...)
		}
		if r.err != nil {
			return out, constant{}
		}
	}
}

// operand reads what follows the opcodes of constant expressions that are copied
// as they are.
func (m *module) operand(r *reader, at int, op byte) {
	switch op {
	case opI64Const:
		r.sint(64)
	case opF32Const:
		r.bytes(4)
	case opF64Const:
		r.bytes(8)
	case opGlobalGet:
		m.globalIndex(r)
	case opRefNull:
		r.reference()
	case opVector:
		if op := r.byte(); r.err == nil && op != vectorConst {
			r.fail(at, fmt.Errorf("opcode 0xfd %#x in a constant expression: %w", op, ErrUnsupported))
		}
		r.bytes(16)
	default:
		r.fail(at, fmt.Errorf("opcode %#x in a constant expression: %w", op, ErrUnsupported))
	}
}

func (r *reader) reference() {
	at := r.pos
	if b := r.byte(); r.err == nil && !isReference(b) {
		r.fail(at, fmt.Errorf("type of reference %#x: %w", b, ErrUnsupported))
	}
}

// Flags of element segments.
const (
	elementInactive = 1 << iota // passive, or declarative with the next
	elementExplicit             // has a table, or is declarative
	elementExpressions
	elementFlags
)

// readElements copies the element segments with new function indices.
func (m *module) readElements(r *reader, s *section) {
	n := r.count(3)
	s.count = uint32(n)
	// Indices may become longer by a byte each.
	s.entries = make([]byte, 0, 2*r.left())
	for i := range n {
		r.item, r.index = "segment", i
		at := r.pos
		flags := r.u32()
		if r.err == nil && flags >= elementFlags {
			r.fail(at, fmt.Errorf("flags of element segment %#x: %w", flags, ErrUnsupported))
		}
		s.entries = appendUint32(s.entries, flags)
		if flags&(elementInactive|elementExplicit) == elementExplicit {
			s.entries = appendUint32(s.entries, r.u32())
		}
		if flags&elementInactive == 0 {
			s.entries, _ = m.expression(r, s.entries)
		}
		s.entries = m.elements(r, s.entries, flags)
		if r.err != nil {
			return
		}
	}
}

// elements copies the type and the entries of one element segment.
func (m *module) elements(r *reader, out []byte, flags uint32) []byte {
	expressions := flags&elementExpressions != 0
	if flags&(elementInactive|elementExplicit) != 0 {
		start := r.pos
		if expressions {
			r.reference()
		} else if kind := r.byte(); kind != 0 {
			r.fail(start, fmt.Errorf("kind of elements %#x: %w", kind, ErrUnsupported))
		}
		out = append(out, m.wasm[start:r.pos]...)
	}
	n := r.count(1)
	m.elementEntries += n
	out = appendUint32(out, uint32(n))
	for range n {
		if expressions {
			out, _ = m.expression(r, out)
		} else {
			out = appendUint32(out, m.functionIndex(r))
		}
		if r.err != nil {
			break
		}
	}
	return out
}

func (m *module) readDataCount(r *reader, s *section) { s.count = r.u32() }

// Flags of data segments.
const (
	dataActive = iota
	dataPassive
	dataActiveMemory // with the index of the memory
)

// readData notes the data segments. They name no functions and stay as they are
// where they stay.
func (m *module) readData(r *reader, s *section) {
	n := r.count(2)
	start := r.pos
	m.segments = make([]Segment, 0, n)
	scratch := make([]byte, 0, 16)
	for i := range n {
		r.item, r.index = "segment", i
		at := r.pos
		flags := r.u32()
		if flags == dataActiveMemory {
			if index := r.u32(); index != 0 {
				r.fail(at, outOfRange("memory", index, m.memories))
			}
		}
		var offset constant
		switch flags {
		case dataPassive:
			m.obstacle("passive data segment")
		case dataActive, dataActiveMemory:
			if m.memories == 0 {
				r.fail(at, fmt.Errorf("there is no memory"))
			}
			scratch, offset = m.expression(r, scratch[:0])
			if !offset.ok {
				m.obstacle("data segment at a variable offset")
			}
		default:
			r.fail(at, fmt.Errorf("flags of data segment %#x: %w", flags, ErrUnsupported))
		}
		data := r.name()
		if r.err != nil {
			return
		}
		m.segments = append(m.segments, Segment{Offset: uint32(offset.value), Bytes: data})
	}
	s.keep(r, n, start)
}

// dropData takes the data out of the module and returns it.
func (m *module) dropData() []Segment {
	m.sections[sectionData] = section{}
	m.sections[sectionDataCount] = section{}
	return m.segments
}
