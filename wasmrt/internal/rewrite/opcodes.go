package rewrite

// immediate says what follows an opcode.
type immediate uint8

const (
	immUnknown immediate = iota // the opcode is not one of those known
	immNone
	immLEB32   // one LEB128 number of at most 5 bytes that needs no look
	immLEB64   // one of at most 10
	immFour    // 4 bytes
	immEight   // 8 bytes
	immMemory  // alignment and offset
	immBlock   // a block type
	immSpecial // looked at by body.special
	// Those below follow the prefix 0xfd only.
	immSixteen    // 16 bytes
	immLane       // 1 byte
	immMemoryLane // alignment, offset and 1 byte
)

// Opcodes that are written or looked at, from the binary format of WebAssembly
// 2.0, sections 5.4.1 to 5.4.8.
const (
	opBlock        = 0x02
	opLoop         = 0x03
	opIf           = 0x04
	opElse         = 0x05
	opEnd          = 0x0b
	opBrIf         = 0x0d
	opBrTable      = 0x0e
	opReturn       = 0x0f
	opCall         = 0x10
	opCallIndirect = 0x11
	opSelectTyped  = 0x1c
	opLocalGet     = 0x20
	opLocalSet     = 0x21
	opGlobalGet    = 0x23
	opGlobalSet    = 0x24
	opTableSet     = 0x26
	opMemorySize   = 0x3f
	opMemoryGrow   = 0x40
	opI32Const     = 0x41
	opI64Const     = 0x42
	opF32Const     = 0x43
	opF64Const     = 0x44
	opI32LtS       = 0x48
	opI32GtU       = 0x4b
	opI64GtU       = 0x56
	opI32Add       = 0x6a
	opI32Sub       = 0x6b
	opI32ShrU      = 0x76
	opI64Add       = 0x7c
	opI64Shl       = 0x86
	opI64ExtendU   = 0xad
	opRefNull      = 0xd0
	opRefFunc      = 0xd2
	opMisc         = 0xfc
	opVector       = 0xfd

	miscMemoryInit = 8
	miscDataDrop   = 9
	miscMemoryCopy = 10
	miscMemoryFill = 11
	miscTableInit  = 12
	miscElemDrop   = 13
	miscTableCopy  = 14
	miscTableGrow  = 15
	miscTableSize  = 16
	miscTableFill  = 17

	vectorConst = 0x0c
)

// Types of values and blocks.
const (
	typeI32       = 0x7f
	typeI64       = 0x7e
	typeF32       = 0x7d
	typeF64       = 0x7c
	typeV128      = 0x7b
	typeFuncref   = 0x70
	typeExternref = 0x6f
	typeEmpty     = 0x40
	typeFunction  = 0x60
)

func isValueType(b byte) bool {
	return b >= typeV128 && b <= typeI32 || isReference(b)
}

func isReference(b byte) bool { return b == typeFuncref || b == typeExternref }

// opcodes is what follows each opcode of one byte. What is missing is unknown
// and refuses the module: exceptions, tail calls, threads, typed references.
var opcodes = makeOpcodes()

func makeOpcodes() (t [256]immediate) {
	set := func(from, to int, imm immediate) {
		for op := from; op <= to; op++ {
			t[op] = imm
		}
	}
	set(0x00, 0x01, immNone)  // unreachable, nop
	set(0x02, 0x04, immBlock) // block, loop, if
	set(0x05, 0x05, immNone)  // else
	set(0x0b, 0x0b, immNone)  // end
	set(0x0c, 0x0d, immLEB32) // br, br_if
	set(0x0e, 0x0e, immSpecial)
	set(0x0f, 0x0f, immNone) // return
	set(0x10, 0x11, immSpecial)
	set(0x1a, 0x1b, immNone) // drop, select
	set(0x1c, 0x1c, immSpecial)
	set(0x20, 0x22, immLEB32)   // local.get, local.set, local.tee
	set(0x23, 0x24, immSpecial) // global.get, global.set
	set(0x25, 0x25, immLEB32)   // table.get
	set(0x26, 0x26, immSpecial) // table.set
	set(0x28, 0x3e, immMemory)  // loads and stores
	set(0x3f, 0x40, immSpecial) // memory.size, memory.grow
	set(0x41, 0x41, immLEB32)   // i32.const
	set(0x42, 0x42, immLEB64)   // i64.const
	set(0x43, 0x43, immFour)    // f32.const
	set(0x44, 0x44, immEight)   // f64.const
	set(0x45, 0xc4, immNone)    // arithmetic and sign extension
	set(0xd0, 0xd0, immSpecial) // ref.null
	set(0xd1, 0xd1, immNone)    // ref.is_null
	set(0xd2, 0xd2, immSpecial) // ref.func
	set(0xfc, 0xfd, immSpecial)
	return t
}

// vectorOpcodes is what follows each opcode behind the prefix 0xfd.
var vectorOpcodes = makeVectorOpcodes()

func makeVectorOpcodes() (t [256]immediate) {
	for op := range t {
		t[op] = immNone
	}
	set := func(from, to int, imm immediate) {
		for op := from; op <= to; op++ {
			t[op] = imm
		}
	}
	set(0x00, 0x0b, immMemory)
	set(0x0c, 0x0d, immSixteen) // v128.const, i8x16.shuffle
	set(0x15, 0x22, immLane)
	set(0x54, 0x5b, immMemoryLane)
	set(0x5c, 0x5d, immMemory)
	for _, hole := range []int{
		0x9a, 0xa2, 0xa5, 0xa6, 0xaf, 0xb0, 0xb2, 0xb3, 0xb4, 0xbb,
		0xc2, 0xc5, 0xc6, 0xcf, 0xd0, 0xd2, 0xd3, 0xd4, 0xe2, 0xee,
	} {
		t[hole] = immUnknown
	}
	return t
}
