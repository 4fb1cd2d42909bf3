package rewrite

import "unicode/utf8"

// Subsections of the name section that wazero reads. Others are dropped.
const (
	namesModule = iota
	namesFunctions
	namesLocals
)

// appendNames appends the name section with new function indices, or nothing if
// there is none or it is malformed.
func (m *module) appendNames(out []byte) []byte {
	if !m.names.present {
		return out
	}
	before := len(out)
	out = append(out, sectionCustom)
	start := len(out)
	out = append(reserveSize(out), "\x04name"...)
	r := &reader{wasm: m.wasm, pos: m.names.pos, end: m.names.end, section: "name"}
	for r.err == nil && r.left() > 0 {
		id := r.byte()
		size := r.u32()
		pos := r.pos
		r.bytes(size)
		if r.err != nil || id > namesLocals {
			continue
		}
		sub := &reader{wasm: m.wasm, pos: pos, end: r.pos, section: "name"}
		out = append(out, id)
		from := len(out)
		out = reserveSize(out)
		switch id {
		case namesModule:
			out = sub.copyName(out)
		case namesFunctions:
			out = m.functionNames(sub, out)
		case namesLocals:
			out = m.localNames(sub, out)
		}
		out = fillSize(out, from)
		r.err = sub.done()
	}
	if r.err != nil {
		return out[:before]
	}
	return fillSize(out, start)
}

// copyName copies a name.
func (r *reader) copyName(out []byte) []byte {
	start := r.pos
	if name := r.name(); r.err == nil && !utf8.Valid(name) {
		r.fail(start, errShort)
	}
	return append(out, r.wasm[start:r.pos]...)
}

func (m *module) functionNames(r *reader, out []byte) []byte {
	n := r.count(2)
	out = appendUint32(out, uint32(n+len(m.bulk)))
	for range n {
		out = appendUint32(out, m.functionIndex(r))
		if out = r.copyName(out); r.err != nil {
			return out
		}
	}
	for i, op := range m.bulk {
		name := bulkNames[op]
		out = appendUint32(out, m.functions+1+uint32(i))
		out = append(appendUint32(out, uint32(len(name))), name...)
	}
	return out
}

func (m *module) localNames(r *reader, out []byte) []byte {
	n := r.count(2)
	out = appendUint32(out, uint32(n))
	for range n {
		out = appendUint32(out, m.functionIndex(r))
		locals := r.count(2)
		out = appendUint32(out, uint32(locals))
		for range locals {
			out = appendUint32(out, r.u32())
			if out = r.copyName(out); r.err != nil {
				return out
			}
		}
		if r.err != nil {
			return out
		}
	}
	return out
}
