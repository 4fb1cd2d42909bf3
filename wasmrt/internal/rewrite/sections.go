package rewrite

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// Sections of the binary format, by id.
const (
	sectionCustom = iota
	sectionType
	sectionImport
	sectionFunction
	sectionTable
	sectionMemory
	sectionGlobal
	sectionExport
	sectionStart
	sectionElement
	sectionCode
	sectionData
	sectionDataCount
	sections
)

var sectionNames = [sections]string{
	"custom", "type", "import", "function", "table", "memory", "global",
	"export", "start", "element", "code", "data", "data count",
}

// sectionOrder is the order in which sections stand in a module.
var sectionOrder = [...]int{
	sectionType, sectionImport, sectionFunction, sectionTable, sectionMemory, sectionGlobal,
	sectionExport, sectionStart, sectionElement, sectionDataCount, sectionCode, sectionData,
}

// header is the magic number and the version.
const header = "\x00asm\x01\x00\x00\x00"

// section is one section, first as read and then as it is written.
type section struct {
	present bool
	pos     int // of the contents in the module
	end     int
	// count is how many entries there are, and entries are their bytes. They may
	// be part of the input, with no room behind, so that appending copies. Start
	// and data count sections are a count without entries.
	count   uint32
	entries []byte
}

// add appends an entry.
func (s *section) add(entry ...byte) {
	s.present = true
	s.count++
	s.entries = append(s.entries, entry...)
}

// module is what is known of the module that is read.
type module struct {
	wasm     []byte
	maxTable uint32
	// tableEntries and tableMost are how many entries all tables have at first and can
	// have, elementEntries how many the element segments have.
	tableEntries, tableMost, elementEntries int

	sections [sections]section
	names    section // the custom section "name"

	// How many of each kind the module has, imported and its own.
	types             uint32
	importedFunctions uint32
	functions         uint32
	importedGlobals   uint32
	globals           uint32
	memories          uint32

	memory            Memory
	memoryMax         bool     // whether Memory.Max is declared by the module itself
	mutable           []uint32 // the module's own mutable globals
	exports           [][]byte // the names
	imports           []Import // functions only, as are exportedFunctions
	exportedFunctions []string
	segments          []Segment
	obstacles         []string

	// Types that fit the functions that are added, -1 if there are none.
	pauseType, bulkType int
	// bulk are the functions added for bulk operations, in the order of their
	// indices.
	bulk []byte
}

// read reads the whole module and makes the new contents of all sections as far
// as they do not depend on later ones.
func (m *module) read() error {
	if err := m.split(); err != nil {
		return err
	}
	for _, read := range []struct {
		id   int
		read func(*reader, *section)
	}{
		{sectionType, m.readTypes},
		{sectionImport, m.readImports},
		{sectionFunction, m.readFunctions},
		{sectionTable, m.readTables},
		{sectionMemory, m.readMemories},
		{sectionGlobal, m.readGlobals},
		{sectionExport, m.readExports},
		{sectionStart, m.readStart},
		{sectionElement, m.readElements},
		{sectionDataCount, m.readDataCount},
		{sectionCode, m.readCode},
		{sectionData, m.readData},
	} {
		s := &m.sections[read.id]
		if !s.present {
			continue
		}
		r := &reader{wasm: m.wasm, pos: s.pos, end: s.end, section: sectionNames[read.id]}
		read.read(r, s)
		if err := r.done(); err != nil {
			return err
		}
	}
	return m.checkCounts()
}

// checkCounts compares sections that belong together.
func (m *module) checkCounts() error {
	code, data := &m.sections[sectionCode], &m.sections[sectionData]
	if n := m.sections[sectionFunction].count; n != code.count {
		return &Error{Section: "code", Offset: code.pos, Err: fmt.Errorf("%d bodies for %d functions", code.count, n)}
	}
	if n := &m.sections[sectionDataCount]; n.present && n.count != data.count {
		return &Error{Section: "data", Offset: data.pos, Err: fmt.Errorf("%d segments where %d were announced", data.count, n.count)}
	}
	return nil
}

// split finds the sections.
func (m *module) split() error {
	if len(m.wasm) < len(header) || string(m.wasm[:len(header)]) != header {
		return &Error{Section: "header", Err: fmt.Errorf("this is no WebAssembly module of version 1")}
	}
	r := &reader{wasm: m.wasm, pos: len(header), end: len(m.wasm), section: "header"}
	rank := -1
	for r.err == nil && r.left() > 0 {
		at := r.pos
		id := r.byte()
		if id >= sections {
			r.fail(at, fmt.Errorf("section %d: %w", id, ErrUnsupported))
			break
		}
		r.section = sectionNames[id]
		size := r.u32()
		pos := r.pos
		r.bytes(size)
		if r.err != nil {
			break
		}
		if id == sectionCustom {
			m.splitCustom(r, pos)
			continue
		}
		next := rankOf(int(id))
		if next <= rank {
			r.fail(at, fmt.Errorf("it is out of order, or there twice"))
			break
		}
		rank = next
		m.sections[id] = section{present: true, pos: pos, end: r.pos}
	}
	return r.err
}

func rankOf(id int) int {
	for rank, i := range sectionOrder {
		if i == id {
			return rank
		}
	}
	return -1
}

// splitCustom looks at the name of a custom section, whose contents end where r
// stands.
func (m *module) splitCustom(r *reader, pos int) {
	c := &reader{wasm: m.wasm, pos: pos, end: r.pos, section: r.section}
	name := c.name()
	if c.err == nil && !utf8.Valid(name) {
		c.fail(pos, fmt.Errorf("its name is not UTF-8"))
	}
	if r.err = c.err; r.err != nil {
		return
	}
	if string(name) == "name" && !m.names.present {
		m.names = section{present: true, pos: c.pos, end: c.end}
	}
}

// name reads a name, which is part of the module.
func (r *reader) name() []byte { return r.bytes(r.u32()) }

// readTypes takes the types as they are and looks for those needed later.
func (m *module) readTypes(r *reader, s *section) {
	n := r.count(3)
	start := r.pos
	for i := range n {
		at := r.pos
		if form := r.byte(); r.err == nil && form != typeFunction {
			r.fail(at, fmt.Errorf("form of type %#x: %w", form, ErrUnsupported))
		}
		r.valueTypes(maxParams)
		r.valueTypes(maxResults)
		if r.err != nil {
			return
		}
		switch entry := m.wasm[at:r.pos]; {
		case bytes.Equal(entry, pauseSignature):
			m.pauseType = i
		case bytes.Equal(entry, bulkSignature):
			m.bulkType = i
		}
	}
	m.types = uint32(n)
	s.keep(r, n, start)
}

// keep takes the entries between start and where r stands as they are.
func (s *section) keep(r *reader, n, start int) {
	s.count = uint32(n)
	s.entries = r.wasm[start:r.pos:r.pos]
}

func (r *reader) valueTypes(most int) {
	at := r.pos
	n := r.count(1)
	if n > most {
		r.fail(at, fmt.Errorf("%d parameters or results, at most %d: %w", n, most, ErrLimit))
		return
	}
	for range n {
		r.valueType()
	}
}

func (r *reader) valueType() byte {
	at := r.pos
	b := r.byte()
	if r.err == nil && !isValueType(b) {
		r.fail(at, fmt.Errorf("type of value %#x: %w", b, ErrUnsupported))
	}
	return b
}

// typeIndex reads the index of a type that the module declares.
func (m *module) typeIndex(r *reader) {
	at := r.pos
	if i := r.u32(); r.err == nil && i >= m.types {
		r.fail(at, outOfRange("type", i, m.types))
	}
}

func (m *module) readFunctions(r *reader, s *section) {
	n := r.count(1)
	start := r.pos
	for range n {
		if m.typeIndex(r); r.err != nil {
			return
		}
	}
	m.functions = m.importedFunctions + uint32(n)
	s.keep(r, n, start)
}

// function is the new index of a function.
func (m *module) function(i uint32) uint32 {
	if i >= m.importedFunctions {
		return i + 1
	}
	return i
}

// functionIndex reads the index of a function of the module and returns the new
// one.
func (m *module) functionIndex(r *reader) uint32 {
	at := r.pos
	i := r.u32()
	if r.err == nil && i >= m.functions {
		r.fail(at, outOfRange("function", i, m.functions))
	}
	return m.function(i)
}

// globalIndex reads the index of a global of the module. It stays the same.
func (m *module) globalIndex(r *reader) uint32 {
	at := r.pos
	i := r.u32()
	if r.err == nil && i >= m.globals {
		r.fail(at, outOfRange("global", i, m.globals))
	}
	return i
}

// write puts the sections together.
func (m *module) write() []byte {
	size := len(header) + 64 + 2*(m.names.end-m.names.pos)
	for i := range m.sections {
		size += len(m.sections[i].entries) + 16
	}
	out := append(make([]byte, 0, size), header...)
	for _, id := range sectionOrder {
		s := &m.sections[id]
		if !s.present {
			continue
		}
		out = append(out, byte(id))
		var count [sizeRoom]byte
		n := len(appendUint32(count[:0], s.count))
		out = appendUint32(out, uint32(n+len(s.entries)))
		out = append(out, count[:n]...)
		out = append(out, s.entries...)
	}
	out = m.appendNames(out)
	out = append(out, sectionCustom, byte(1+len(versionSection)+1), byte(len(versionSection)))
	out = append(out, versionSection...)
	return append(out, Version)
}
