package rewrite

// bulkChunk is how many bytes memory.fill and memory.copy move at once, and
// bulkShift which part of them counts: about what other code does in the time of
// one count.
const (
	bulkChunk = 64 << 10
	bulkShift = 12
)

// bulkNames are the names of the functions that stand for the operations.
var bulkNames = map[byte]string{
	miscMemoryCopy: ImportModule + ".memory.copy",
	miscMemoryFill: ImportModule + ".memory.fill",
}

// bulkIndex returns the index of the function that stands for an operation. They
// come behind all functions of the module.
func (m *module) bulkIndex(op byte) uint32 {
	first := m.functions + 1
	for i, have := range m.bulk {
		if have == op {
			return first + uint32(i)
		}
	}
	m.bulk = append(m.bulk, op)
	return first + uint32(len(m.bulk)-1)
}

// addBulk adds the functions that were called.
func (m *module) addBulk() {
	if len(m.bulk) == 0 {
		return
	}
	index := appendUint32(nil, m.addType(m.bulkType, bulkSignature))
	for _, op := range m.bulk {
		m.sections[sectionFunction].add(index...)
		start := 0
		out := append(reserveSize(nil), 0) // no locals
		if op == miscMemoryFill {
			out = m.appendFill(out)
		} else {
			out = m.appendCopy(out)
		}
		m.sections[sectionCode].add(fillSize(append(out, opEnd), start)...)
	}
}

// The parameters of both: where to, a value or where from, and how many bytes.
const (
	bulkTo = iota
	bulkFrom
	bulkLength
)

var (
	fillOp = []byte{opMisc, miscMemoryFill, 0}
	copyOp = []byte{opMisc, miscMemoryCopy, 0, 0}
)

// appendFill appends the body that fills memory:
//
//	if length > chunk {
//		if to+length > memory.size { memory.fill(to, value, length) } // traps
//		for { count; memory.fill(to, value, chunk); to += chunk; length -= chunk } while length > chunk
//	}
//	count; memory.fill(to, value, length)
func (m *module) appendFill(out []byte) []byte {
	out = appendIfLong(out)
	out = appendIfOutside(out, bulkTo)
	out = appendBulk(out, fillOp)
	out = append(out, opEnd)
	out = append(out, opLoop, typeEmpty)
	out = m.appendCountChunk(out)
	out = appendChunk(out, fillOp)
	out = appendMove(out, bulkTo, opI32Add)
	out = appendMove(out, bulkLength, opI32Sub)
	out = appendWhileLong(out)
	out = append(out, opEnd) // if
	return appendBulk(m.appendCountLength(out), fillOp)
}

// appendCopy appends the body that copies memory. Overlapping regions are copied
// from the end that is read before it is written:
//
//	if length > chunk {
//		if to+length > memory.size { memory.copy(to, from, length) } // traps
//		if from+length > memory.size { memory.copy(to, from, length) } // traps
//		if to > from {
//			for { count; length -= chunk; memory.copy(to+length, from+length, chunk) } while length > chunk
//		} else {
//			for { count; memory.copy(to, from, chunk); to, from += chunk; length -= chunk } while length > chunk
//		}
//	}
//	count; memory.copy(to, from, length)
func (m *module) appendCopy(out []byte) []byte {
	out = appendIfLong(out)
	for _, param := range []byte{bulkTo, bulkFrom} {
		out = appendIfOutside(out, param)
		out = appendBulk(out, copyOp)
		out = append(out, opEnd)
	}
	out = append(out, opLocalGet, bulkTo, opLocalGet, bulkFrom, opI32GtU, opIf, typeEmpty)

	out = append(out, opLoop, typeEmpty)
	out = m.appendCountChunk(out)
	out = appendMove(out, bulkLength, opI32Sub)
	out = append(out, opLocalGet, bulkTo, opLocalGet, bulkLength, opI32Add)
	out = append(out, opLocalGet, bulkFrom, opLocalGet, bulkLength, opI32Add)
	out = appendInt64(append(out, opI32Const), bulkChunk)
	out = append(out, copyOp...)
	out = appendWhileLong(out)

	out = append(out, opElse)

	out = append(out, opLoop, typeEmpty)
	out = m.appendCountChunk(out)
	out = appendChunk(out, copyOp)
	out = appendMove(out, bulkTo, opI32Add)
	out = appendMove(out, bulkFrom, opI32Add)
	out = appendMove(out, bulkLength, opI32Sub)
	out = appendWhileLong(out)

	out = append(out, opEnd, opEnd) // both ifs
	return appendBulk(m.appendCountLength(out), copyOp)
}

// appendIfLong opens a block that runs if there is more than a chunk.
func appendIfLong(out []byte) []byte {
	out = appendInt64(append(out, opLocalGet, bulkLength, opI32Const), bulkChunk)
	return append(out, opI32GtU, opIf, typeEmpty)
}

// appendWhileLong closes a loop that runs while there is more than a chunk.
func appendWhileLong(out []byte) []byte {
	out = appendInt64(append(out, opLocalGet, bulkLength, opI32Const), bulkChunk)
	return append(out, opI32GtU, opBrIf, 0, opEnd)
}

// appendIfOutside opens a block that runs if a region ends outside the memory.
// The operation in it traps and has written nothing.
func appendIfOutside(out []byte, start byte) []byte {
	out = append(out, opLocalGet, start, opI64ExtendU, opLocalGet, bulkLength, opI64ExtendU, opI64Add)
	out = append(out, opMemorySize, 0, opI64ExtendU, opI64Const, 16, opI64Shl)
	return append(out, opI64GtU, opIf, typeEmpty)
}

// appendBulk does all that is left.
func appendBulk(out, op []byte) []byte {
	out = append(out, opLocalGet, bulkTo, opLocalGet, bulkFrom, opLocalGet, bulkLength)
	return append(out, op...)
}

// appendChunk does one chunk at the start.
func appendChunk(out, op []byte) []byte {
	out = append(out, opLocalGet, bulkTo, opLocalGet, bulkFrom)
	out = appendInt64(append(out, opI32Const), bulkChunk)
	return append(out, op...)
}

// appendMove adds a chunk to a parameter, or subtracts it.
func appendMove(out []byte, param, op byte) []byte {
	out = appendInt64(append(out, opLocalGet, param, opI32Const), bulkChunk)
	return append(out, op, opLocalSet, param)
}

// appendCountChunk counts one chunk.
func (m *module) appendCountChunk(out []byte) []byte {
	out = appendUint32(append(out, opGlobalGet), m.globals)
	out = appendInt64(append(out, opI32Const), bulkChunk>>bulkShift)
	return m.appendCheck(append(out, opI32Sub))
}

// appendCountLength counts what is left, a chunk at most.
func (m *module) appendCountLength(out []byte) []byte {
	out = appendUint32(append(out, opGlobalGet), m.globals)
	out = append(out, opLocalGet, bulkLength, opI32Const, bulkShift, opI32ShrU, opI32Sub)
	return m.appendCheck(out)
}
