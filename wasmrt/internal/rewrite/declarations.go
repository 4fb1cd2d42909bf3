package rewrite

import (
	"bytes"
	"fmt"
	"strconv"
)

// Kinds of imports and exports.
const (
	kindFunction = iota
	kindTable
	kindMemory
	kindGlobal
)

func (m *module) readImports(r *reader, s *section) {
	n := r.count(4)
	start := r.pos
	for i := range n {
		r.item, r.index = "import", i
		at := r.pos
		module, name := r.name(), r.name()
		if string(module) == ImportModule {
			r.fail(at, fmt.Errorf("the module %s is the host's: %w", ImportModule, ErrUnsupported))
		}
		m.readImport(r, module, name)
		if r.err != nil {
			return
		}
	}
	m.functions, m.globals = m.importedFunctions, m.importedGlobals
	s.keep(r, n, start)
}

func (m *module) readImport(r *reader, from, name []byte) {
	at := r.pos
	switch kind := r.byte(); {
	case r.err != nil:
	case kind == kindFunction:
		m.typeIndex(r)
		m.importedFunctions++
		m.imports = append(m.imports, Import{string(from), string(name)})
	case kind == kindTable:
		r.tableType()
		m.obstacle("imported table")
	case kind == kindMemory:
		m.readMemory(r)
		m.obstacle("imported memory")
	case kind == kindGlobal:
		if _, mutable := r.globalType(); mutable {
			m.obstacle("imported mutable global")
		}
		m.importedGlobals++
	default:
		r.fail(at, fmt.Errorf("kind of import %#x: %w", kind, ErrUnsupported))
	}
}

// limits are those of a table or memory.
type limits struct {
	min, max uint32
	hasMax   bool
}

func (r *reader) limits() (l limits) {
	at := r.pos
	switch flags := r.byte(); {
	case r.err != nil:
	case flags > 1:
		r.fail(at, fmt.Errorf("flags of limits %#x: %w", flags, ErrUnsupported))
	case flags == 1:
		l.min, l.max, l.hasMax = r.u32(), r.u32(), true
	default:
		l.min = r.u32()
	}
	if r.err == nil && l.hasMax && l.min > l.max {
		r.fail(at, fmt.Errorf("minimum %d is above the maximum %d", l.min, l.max))
	}
	return l
}

func (l limits) append(out []byte) []byte {
	if !l.hasMax {
		return appendUint32(append(out, 0), l.min)
	}
	return appendUint32(appendUint32(append(out, 1), l.min), l.max)
}

func (r *reader) tableType() (element byte, l limits) {
	at := r.pos
	element = r.byte()
	if r.err == nil && !isReference(element) {
		r.fail(at, fmt.Errorf("type of table %#x: %w", element, ErrUnsupported))
	}
	return element, r.limits()
}

// readTables bounds the tables: what they have at first must fit, and what they
// may grow by is shared between those that may.
func (m *module) readTables(r *reader, s *section) {
	type table struct {
		element byte
		limits  limits
	}
	n := r.count(3)
	at := r.pos
	tables := make([]table, n)
	var sum uint64
	var growing uint32
	for i := range tables {
		element, l := r.tableType()
		if r.err != nil {
			return
		}
		tables[i] = table{element, l}
		sum += uint64(l.min)
		if !l.hasMax || l.max > l.min {
			growing++
		}
	}
	if sum > uint64(m.maxTable) {
		r.fail(at, fmt.Errorf("%d entries, at most %d: %w", sum, m.maxTable, ErrLimit))
		return
	}
	m.tableEntries = int(sum)
	room := (m.maxTable - uint32(sum)) / max(growing, 1)
	for _, t := range tables {
		if most := t.limits.min + room; !t.limits.hasMax || t.limits.max > most {
			t.limits.hasMax, t.limits.max = true, most
		}
		m.tableMost += int(t.limits.max)
		s.add(t.limits.append([]byte{t.element})...)
	}
}

func (m *module) readMemories(r *reader, s *section) {
	n := r.count(2)
	start := r.pos
	for range n {
		m.memoryMax = m.readMemory(r)
	}
	s.keep(r, n, start)
}

// readMemory says whether there is a maximum.
func (m *module) readMemory(r *reader) bool {
	at := r.pos
	l := r.limits()
	if !l.hasMax {
		l.max = maxPages
	}
	m.memories++
	switch {
	case r.err != nil:
	case m.memories > 1:
		r.fail(at, fmt.Errorf("more than one memory: %w", ErrUnsupported))
	case l.min > maxPages || l.max > maxPages:
		r.fail(at, fmt.Errorf("memory of %d to %d pages, at most %d", l.min, l.max, maxPages))
	default:
		m.memory = Memory{Min: l.min, Max: l.max, Present: true}
	}
	return l.hasMax
}

// raiseMemory gives the memory the page of head-room.
func (m *module) raiseMemory() {
	if s := &m.sections[sectionMemory]; m.memoryMax && m.memory.Max < maxPages {
		s.entries = limits{m.memory.Min, m.memory.Max + 1, true}.append(nil)
	}
}

func (r *reader) globalType() (value byte, mutable bool) {
	value = r.valueType()
	at := r.pos
	b := r.byte()
	if r.err == nil && b > 1 {
		r.fail(at, fmt.Errorf("mutability %#x: %w", b, ErrUnsupported))
	}
	return value, b == 1
}

func (m *module) readGlobals(r *reader, s *section) {
	n := r.count(4)
	// Only imported globals may stand in expressions, which wazero checks, so it
	// does not matter that the count has those that are still to come.
	m.globals = m.importedGlobals + uint32(n)
	s.count = uint32(n)
	s.entries = make([]byte, 0, r.left()+16)
	for i := range n {
		r.item, r.index = "global", i
		start := r.pos
		value, mutable := r.globalType()
		s.entries = append(s.entries, m.wasm[start:r.pos]...)
		s.entries, _ = m.expression(r, s.entries)
		if r.err != nil {
			return
		}
		if !mutable {
			continue
		}
		m.mutable = append(m.mutable, m.importedGlobals+uint32(i))
		switch {
		case value == typeV128:
			m.obstacle("mutable v128 global")
		case isReference(value):
			m.obstacle("mutable reference global")
		}
	}
}

// addCounter adds the global that counts down.
func (m *module) addCounter(period int64) {
	entry := appendInt64([]byte{typeI32, 1, opI32Const}, period)
	m.sections[sectionGlobal].add(append(entry, opEnd)...)
}

func (m *module) readExports(r *reader, s *section) {
	n := r.count(3)
	s.count = uint32(n)
	s.entries = make([]byte, 0, r.left()+n)
	m.exports = make([][]byte, 0, n)
	for i := range n {
		r.item, r.index = "export", i
		start := r.pos
		m.exports = append(m.exports, r.name())
		at := r.pos
		kind := r.byte()
		s.entries = append(s.entries, m.wasm[start:r.pos]...)
		var index uint32
		switch kind {
		case kindFunction:
			index = m.functionIndex(r)
			m.exportedFunctions = append(m.exportedFunctions, string(m.exports[i]))
		case kindGlobal:
			index = m.globalIndex(r)
		case kindTable, kindMemory:
			index = r.u32()
		default:
			r.fail(at, fmt.Errorf("kind of export %#x: %w", kind, ErrUnsupported))
		}
		if r.err != nil {
			return
		}
		s.entries = appendUint32(s.entries, index)
	}
}

// exportGlobals exports the mutable globals under names that are free.
func (m *module) exportGlobals() []string {
	prefix := []byte(ImportModule + ".global.")
	for i := 0; i < len(m.exports); i++ {
		if bytes.HasPrefix(m.exports[i], prefix) {
			prefix = append(prefix, '.')
			i = -1
		}
	}
	names := make([]string, 0, len(m.mutable))
	for _, index := range m.mutable {
		name := string(prefix) + strconv.Itoa(int(index))
		names = append(names, name)
		entry := append(appendUint32(nil, uint32(len(name))), name...)
		m.sections[sectionExport].add(appendUint32(append(entry, kindGlobal), index)...)
	}
	return names
}

func (m *module) readStart(r *reader, s *section) {
	s.count = m.functionIndex(r)
	m.obstacle("start section")
}

// obstacle notes why an instance cannot be restored.
func (m *module) obstacle(name string) {
	for _, o := range m.obstacles {
		if o == name {
			return
		}
	}
	m.obstacles = append(m.obstacles, name)
}

// pauseSignature and bulkSignature are the types of what is added.
var (
	pauseSignature = []byte{typeFunction, 0, 1, typeI32}
	bulkSignature  = []byte{typeFunction, 3, typeI32, typeI32, typeI32, 0}
)

// addType returns the index of a type, which it adds unless there is one.
func (m *module) addType(index int, signature []byte) uint32 {
	if index >= 0 {
		return uint32(index)
	}
	s := &m.sections[sectionType]
	s.add(signature...)
	return s.count - 1
}

// addImport adds the import, behind all others.
func (m *module) addImport() {
	entry := append([]byte{byte(len(ImportModule))}, ImportModule...)
	entry = append(append(entry, byte(len(ImportName))), ImportName...)
	entry = append(entry, kindFunction)
	m.sections[sectionImport].add(appendUint32(entry, m.addType(m.pauseType, pauseSignature))...)
}
