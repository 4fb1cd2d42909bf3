package rewrite

import (
	"fmt"
)

// body copies the bodies of functions. One is used for all of them.
type body struct {
	reader // over one body
	module *module
	copied int // what is before it is in out
	out    []byte
	// allLocals is how many locals all bodies so far have.
	allLocals uint64
	// What counts down: these bytes with the weight between them.
	before, after []byte
	// pause gives way unconditionally.
	pause []byte
}

// readCode copies all bodies.
func (m *module) readCode(r *reader, s *section) {
	n := r.count(3)
	b := &body{module: m, out: make([]byte, 0, r.left()+r.left()/4+64)}
	b.before = append(appendUint32([]byte{opGlobalGet}, m.globals), opI32Const)
	b.pause = m.appendPause(nil)
	b.after = m.appendCheck([]byte{opI32Sub})
	for i := range n {
		r.item, r.index = "function", int(m.importedFunctions)+i
		size := r.u32()
		start := r.pos
		r.bytes(size)
		if r.err != nil {
			return
		}
		b.reader = reader{wasm: m.wasm, pos: start, end: r.pos, section: r.section, item: r.item, index: r.index}
		if b.copy(); b.err != nil {
			r.err = b.err
			return
		}
	}
	s.count, s.entries = uint32(n), b.out
}

// appendPause appends a call of the import, whose result is the counter.
func (m *module) appendPause(out []byte) []byte {
	out = appendUint32(append(out, opCall), m.importedFunctions)
	return appendUint32(append(out, opGlobalSet), m.globals)
}

// appendCheck takes the counter's new value from the stack and gives way if it
// is below zero.
func (m *module) appendCheck(out []byte) []byte {
	out = appendUint32(append(out, opGlobalSet), m.globals)
	out = appendUint32(append(out, opGlobalGet), m.globals)
	out = append(out, opI32Const, 0, opI32LtS, opIf, typeEmpty)
	return append(m.appendPause(out), opEnd)
}

// countDown counts down by what may run before the next count: code that does not
// loop passes each byte behind this point once at most.
func (b *body) countDown() {
	weight := 1 + int64(b.end-b.pos)>>10
	b.out = append(b.out, b.before...)
	b.out = appendInt64(b.out, weight)
	b.out = append(b.out, b.after...)
}

// flush copies what was read and not yet copied, up to the byte at.
func (b *body) flush(at int) {
	b.out = append(b.out, b.wasm[b.copied:at]...)
	b.copied = at
}

// copy copies one body.
func (b *body) copy() {
	start := len(b.out)
	b.out = reserveSize(b.out)
	b.copied = b.pos
	b.locals()
	b.flush(b.pos)
	b.countDown()
	b.instructions()
	b.flush(b.end)
	b.out = fillSize(b.out, start)
}

// locals passes the declarations of locals.
func (b *body) locals() {
	n := b.count(2)
	at := b.pos
	var sum uint64
	for range n {
		sum += uint64(b.u32())
		if b.valueType(); b.err != nil {
			return
		}
	}
	b.allLocals += sum
	if sum > maxLocals || b.allLocals > maxLocals+uint64(len(b.wasm)) {
		b.fail(at, fmt.Errorf("%d locals, and %d up to here: %w", sum, b.allLocals, ErrLimit))
	}
}

// instructions copies the instructions up to the end of the body.
func (b *body) instructions() {
	// Here the time goes: the position stays in a register, and whatever is not
	// simply passed is done elsewhere.
	code := b.wasm[:b.end]
	pos := b.pos
	for pos < len(code) {
		at := pos
		op := code[pos]
		pos++
		switch opcodes[op] {
		case immNone:
			continue
		case immLEB32:
			pos = pass(code, pos, 5)
		case immMemory:
			pos = pass(code, pass(code, pos, 5), 5)
		case immLEB64:
			pos = pass(code, pos, 10)
		case immFour:
			pos += 4
		case immEight:
			pos += 8
		case immBlock:
			b.pos = pos
			b.block(op)
			pos = b.pos
		case immSpecial:
			b.pos = pos
			b.special(at, op)
			pos = b.pos
		default:
			b.unknown(at, fmt.Sprintf("%#x", op))
			return
		}
		if pos > len(code) {
			b.fail(at, errShort)
			return
		}
	}
	b.pos = pos
}

// pass returns the position behind a LEB128 number of no more than the given
// bytes, or one behind the end of the code.
func pass(code []byte, pos, most int) int {
	for end := min(pos+most, len(code)); pos < end; pos++ {
		if code[pos] < 0x80 {
			return pos + 1
		}
	}
	return len(code) + 1
}

func (b *body) unknown(at int, opcode string) {
	b.fail(at, fmt.Errorf("unknown opcode %s: %w", opcode, ErrUnsupported))
}

// block passes a block type and counts the iterations of loops.
func (b *body) block(op byte) {
	at := b.pos
	switch t := b.sint(33); {
	case b.err != nil:
	case t >= 0:
		if t >= int64(b.module.types) {
			b.fail(at, outOfRange("type", uint32(t), b.module.types))
		}
	case t < -64 || !isValueType(byte(t&0x7f)) && t != typeEmpty-0x80:
		b.fail(at, fmt.Errorf("type of block %d: %w", t, ErrUnsupported))
	}
	if op == opLoop && b.err == nil {
		b.flush(b.pos)
		b.countDown()
	}
}

// special passes or replaces an instruction that needs a look.
func (b *body) special(at int, op byte) {
	switch op {
	case opCall, opRefFunc:
		b.call()
	case opCallIndirect:
		b.module.typeIndex(&b.reader)
		b.u32()
	case opGlobalGet, opGlobalSet:
		b.module.globalIndex(&b.reader)
	case opBrTable:
		for range b.count(1) + 1 {
			if b.u32(); b.err != nil {
				return
			}
		}
	case opSelectTyped:
		b.zero(1, "number of types of select")
		b.valueType()
	case opTableSet:
		b.u32()
		b.module.obstacle("table.set")
	case opMemorySize, opMemoryGrow:
		b.zero(0, "memory")
	case opRefNull:
		b.reference()
	case opMisc:
		b.misc(at)
	case opVector:
		b.vector(at)
	}
}

// zero reads a byte that has only one value so far.
func (b *body) zero(want byte, what string) {
	at := b.pos
	if got := b.byte(); b.err == nil && got != want {
		b.fail(at, fmt.Errorf("%s %#x: %w", what, got, ErrUnsupported))
	}
}

// call copies the index of a function.
func (b *body) call() {
	at := b.pos
	index := b.module.functionIndex(&b.reader)
	if b.err != nil {
		return
	}
	b.flush(at)
	b.out = appendUint32(b.out, index)
	b.copied = b.pos
}

// miscOpcodes is what follows each opcode behind the prefix 0xfc: how many
// indices, and which name it has as an obstacle.
var miscOpcodes = [...]struct {
	indices  int
	obstacle string
	pause    bool // may take long: give way before it
}{
	miscMemoryInit: {2, "memory.init", true},
	miscDataDrop:   {1, "data.drop", false},
	miscMemoryCopy: {2, "", false},
	miscMemoryFill: {1, "", false},
	miscTableInit:  {2, "table.init", true},
	miscElemDrop:   {1, "elem.drop", false},
	miscTableCopy:  {2, "table.copy", true},
	miscTableGrow:  {1, "table.grow", true},
	miscTableSize:  {1, "", false},
	miscTableFill:  {1, "table.fill", true},
}

// misc passes or replaces an instruction with the prefix 0xfc.
func (b *body) misc(at int) {
	op := b.u32()
	if b.err != nil {
		return
	}
	if op >= uint32(len(miscOpcodes)) {
		b.unknown(at, fmt.Sprintf("0xfc %#x", op))
		return
	}
	if op == miscMemoryCopy || op == miscMemoryFill {
		for range miscOpcodes[op].indices {
			b.zero(0, "memory")
		}
		if b.err == nil {
			b.flush(at)
			b.out = appendUint32(append(b.out, opCall), b.module.bulkIndex(byte(op)))
			b.copied = b.pos
		}
		return
	}
	m := &miscOpcodes[op]
	for range m.indices {
		b.u32()
	}
	if m.obstacle != "" {
		b.module.obstacle(m.obstacle)
	}
	if m.pause && b.err == nil {
		b.flush(at)
		b.out = append(b.out, b.pause...)
	}
}

// vector passes an instruction with the prefix 0xfd. The opcode is a LEB128
// number, of which wazero reads one byte and takes the second of those above
// 0x7f, which is 1, for a nop. Other forms mean different things to the two and
// are refused.
func (b *body) vector(at int) {
	op := b.byte()
	if op >= 0x80 {
		if second := b.byte(); b.err == nil && second != 1 {
			b.unknown(at, fmt.Sprintf("0xfd %#x", uint32(second)<<7|uint32(op&0x7f)))
		}
	}
	if b.err != nil {
		return
	}
	switch vectorOpcodes[op] {
	case immNone:
	case immMemory:
		b.u32()
		b.u32()
	case immSixteen:
		b.bytes(16)
	case immLane:
		b.byte()
	case immMemoryLane:
		b.u32()
		b.u32()
		b.byte()
	default:
		b.unknown(at, fmt.Sprintf("0xfd %#x", op))
	}
}
