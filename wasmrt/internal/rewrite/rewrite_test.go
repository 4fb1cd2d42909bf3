package rewrite

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/pluginhost/pluginhost/testenv/guests"
)

// compiles says whether wazero takes a module.
func compiles(t testing.TB, wasm []byte) error {
	t.Helper()
	_, err := newRuntime(t, wazero.NewRuntimeConfigInterpreter()).CompileModule(context.Background(), wasm)
	return err
}

// must rewrites a module that wazero takes before and after.
func must(t testing.TB, wasm []byte, options Options) *Module {
	t.Helper()
	if err := compiles(t, wasm); err != nil {
		t.Fatalf("the module itself: %v", err)
	}
	m, err := Rewrite(wasm, options)
	if err != nil {
		t.Fatal(err)
	}
	if err := compiles(t, m.Wasm); err != nil {
		t.Fatal(err)
	}
	return m
}

// constExpr ends a constant expression.
func constExpr(code ...byte) []byte { return append(code, opEnd) }

func mutable(value byte, init ...byte) []byte {
	return append([]byte{value, 1}, constExpr(init...)...)
}

var importedGlobal = slices.Concat(text("env"), text("g"), []byte{kindGlobal, typeI32, 0})

func TestWhatKeepsInstancesFromBeingRestored(t *testing.T) {
	table := func() *builder { return (&builder{}).add(sectionTable, typeFuncref, 0, 4) }
	element := []byte{1, 0, 0} // passive, no functions
	misc := func(b *builder, args int, op ...byte) *builder {
		code := bytes.Repeat([]byte{opI32Const, 0}, args)
		return b.fn("f", noTypes, noTypes, slices.Concat(code, []byte{opMisc}, op)...)
	}
	data := func(b *builder, entry ...byte) *builder {
		b.raw = map[int][]byte{sectionDataCount: {1}}
		return b.memory(0, 1).add(sectionData, entry...)
	}
	passive := []byte{1, 1, 'x'}
	for _, c := range []struct {
		want   []string
		module *builder
	}{
		{nil, (&builder{}).memory(0, 1).add(sectionGlobal, mutable(typeF64, opF64Const, 0, 0, 0, 0, 0, 0, 0, 0)...)},
		{nil, table().add(sectionElement, element...)},
		{[]string{"table.set"}, table().fn("f", noTypes, noTypes, opI32Const, 0, opRefNull, typeFuncref, opTableSet, 0)},
		{[]string{"table.grow"}, table().fn("f", noTypes, oneI32, opRefNull, typeFuncref, opI32Const, 0, opMisc, miscTableGrow, 0)},
		{[]string{"table.fill"}, table().fn("f", noTypes, noTypes, opI32Const, 0, opRefNull, typeFuncref, opI32Const, 0, opMisc, miscTableFill, 0)},
		{[]string{"table.copy"}, misc(table(), 3, miscTableCopy, 0, 0)},
		{[]string{"table.init"}, misc(table().add(sectionElement, element...), 3, miscTableInit, 0, 0)},
		{[]string{"elem.drop"}, misc(table().add(sectionElement, element...), 0, miscElemDrop, 0)},
		{[]string{"data.drop", "passive data segment"}, misc(data(&builder{}, passive...), 0, miscDataDrop, 0)},
		{[]string{"memory.init", "passive data segment"}, misc(data(&builder{}, passive...), 3, miscMemoryInit, 0, 0)},
		{[]string{"passive data segment"}, data(&builder{}, passive...)},
		{[]string{"data segment at a variable offset"}, data((&builder{}).add(sectionImport, importedGlobal...), 0, opGlobalGet, 0, opEnd, 1, 'x')},
		{[]string{"imported mutable global"}, (&builder{}).add(sectionImport, slices.Concat(text("env"), text("g"), []byte{kindGlobal, typeI32, 1})...)},
		{[]string{"imported memory"}, (&builder{}).add(sectionImport, slices.Concat(text("env"), text("m"), []byte{kindMemory, 0, 1})...)},
		{[]string{"imported table"}, (&builder{}).add(sectionImport, slices.Concat(text("env"), text("t"), []byte{kindTable, typeFuncref, 0, 1})...)},
		{[]string{"mutable v128 global"}, (&builder{}).add(sectionGlobal, mutable(typeV128, slices.Concat([]byte{opVector, vectorConst}, make([]byte, 16))...)...)},
		{[]string{"mutable reference global"}, (&builder{}).add(sectionGlobal, mutable(typeExternref, opRefNull, typeExternref)...)},
		{[]string{"start section"}, func() *builder {
			b := (&builder{}).fn("f", noTypes, noTypes)
			b.raw = map[int][]byte{sectionStart: {0}}
			return b
		}()},
	} {
		t.Run(strings.Join(c.want, ", "), func(t *testing.T) {
			wasm := c.module.wasm()
			for _, image := range []bool{false, true} {
				m := must(t, wasm, Options{Image: image})
				if !slices.Equal(m.Obstacles, c.want) {
					t.Errorf("got %q with image %v", m.Obstacles, image)
				}
				if len(m.Obstacles) > 0 && (m.Data != nil || m.Globals != nil) {
					t.Errorf("data %v and globals %v are gone from a module that keeps them", m.Data, m.Globals)
				}
			}
		})
	}
}

func TestAnImageTakesTheDataAndTheGlobals(t *testing.T) {
	wasm := (&builder{}).memory(1, 1, 3).
		add(sectionImport, importedGlobal...).
		add(sectionGlobal, mutable(typeI64, opI64Const, 5)...).
		add(sectionGlobal, append([]byte{typeI32, 0}, constExpr(opI32Const, 6)...)...).
		add(sectionGlobal, mutable(typeI32, opI32Const, 7)...).
		add(sectionExport, append(text("pluginhost.global.x"), kindGlobal, 1)...).
		add(sectionExport, append(text("pluginhost.global..1"), kindGlobal, 1)...).
		add(sectionData, slices.Concat([]byte{0}, constExpr(opI32Const, 8), text("first"))...).
		add(sectionData, slices.Concat([]byte{2, 0}, constExpr(opI32Const, 0x7f), text("last"))...).wasm()

	m := must(t, wasm, Options{Image: true})
	if want := []string{"pluginhost.global...1", "pluginhost.global...3"}; !slices.Equal(m.Globals, want) {
		t.Errorf("globals are %q, want %q", m.Globals, want)
	}
	if len(m.Data) != 2 || m.Data[0].Offset != 8 || string(m.Data[0].Bytes) != "first" || m.Data[1].Offset != 0xffff_ffff || string(m.Data[1].Bytes) != "last" {
		t.Errorf("data are %v", m.Data)
	}
	if bytes.Contains(m.Wasm, []byte("first")) {
		t.Error("the data are still there")
	}
	if want := (Memory{Min: 1, Max: 3, Present: true}); m.Memory != want {
		t.Errorf("memory is %v, want %v", m.Memory, want)
	}
	c, err := newRuntime(t, wazero.NewRuntimeConfigInterpreter()).CompileModule(context.Background(), m.Wasm)
	if err != nil {
		t.Fatal(err)
	}
	if most, _ := c.ExportedMemories()["memory"].Max(); most != 4 {
		t.Errorf("the module written allows %d pages, want one more than 3", most)
	}

	kept := must(t, wasm, Options{})
	if kept.Data != nil || kept.Globals != nil || !bytes.Contains(kept.Wasm, []byte("first")) {
		t.Error("nobody asked for an image, but the data or the globals are gone")
	}
}

func TestDataAreOnlyTakenFromWhatIsValid(t *testing.T) {
	for name, offset := range map[string][]byte{
		"two values": {opI32Const, 1, opI64Const, 2, opEnd},
		"no value":   {opEnd},
		"a float":    {opF32Const, 0, 0, 0, 0, opEnd},
	} {
		wasm := (&builder{}).memory(0, 1).add(sectionData, slices.Concat([]byte{0}, offset, text("x"))...).wasm()
		m, err := Rewrite(wasm, Options{Image: true})
		if err == nil && compiles(t, m.Wasm) == nil {
			t.Errorf("%s: an offset that is invalid has become valid", name)
		}
	}
}

func TestGuestsReachNothingThatWasAdded(t *testing.T) {
	one := func(code ...byte) *builder { return (&builder{}).fn("f", noTypes, noTypes, code...) }
	drop := byte(0x1a)
	for name, module := range map[string]*builder{
		"calling a function":             one(opCall, 1),
		"reading a global":               one(opGlobalGet, 0, drop),
		"writing a global":               one(opI32Const, 0, opGlobalSet, 0),
		"a reference to a function":      one(opRefFunc, 1, drop),
		"a block with a type":            one(opBlock, 1, opEnd),
		"calling by a type":              one(opI32Const, 0, opCallIndirect, 1, 0).add(sectionTable, typeFuncref, 0, 1),
		"exporting a function":           one().add(sectionExport, append(text("x"), kindFunction, 1)...),
		"exporting a global":             one().add(sectionExport, append(text("x"), kindGlobal, 0)...),
		"importing a function of a type": one().add(sectionImport, slices.Concat(text("env"), text("f"), []byte{kindFunction, 1})...),
		"a function of a type":           one().add(sectionFunction, 1).add(sectionCode, 2, 0, opEnd),
		"elements":                       one().add(sectionElement, 1, 0, 1, 1),
		"elements by expression":         one().add(sectionElement, slices.Concat([]byte{5, typeFuncref, 1}, constExpr(opRefFunc, 1))...),
		"elements by global":             one().add(sectionElement, slices.Concat([]byte{5, typeFuncref, 1}, constExpr(opGlobalGet, 0))...),
		"a global that refers to it":     one().add(sectionGlobal, append([]byte{typeFuncref, 0}, constExpr(opRefFunc, 1)...)...),
		"starting":                       {raw: map[int][]byte{sectionStart: {0}}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Rewrite(module.wasm(), Options{})
			if err == nil || !strings.Contains(err.Error(), "out of range") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestWhatIsRefused(t *testing.T) {
	code := func(code ...byte) []byte { return (&builder{}).fn("f", noTypes, noTypes, code...).wasm() }
	section := func(id int, content ...byte) []byte { return (&builder{raw: map[int][]byte{id: content}}).wasm() }
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0x0f}
	for _, c := range []struct {
		name string
		wasm []byte
		is   error
		text string
	}{
		{"nothing", nil, nil, "header section: at byte 0x0: this is no WebAssembly module of version 1"},
		{"a component", []byte("\x00asm\x0d\x00\x01\x00"), nil, "this is no WebAssembly module"},
		{"an atomic", code(0xfe, 0x03, 0), ErrUnsupported, "code section: function 0 at byte 0x1e: unknown opcode 0xfe"},
		{"a tail call", code(0x12, 0), ErrUnsupported, "unknown opcode 0x12"},
		{"an exception", code(0x08, 0), ErrUnsupported, "unknown opcode 0x8"},
		{"relaxed vectors", code(0xfd, 0x80, 0x02), ErrUnsupported, "unknown opcode 0xfd 0x100"},
		{"a hole among vectors", code(0xfd, 0x9a, 0x01), ErrUnsupported, "unknown opcode 0xfd 0x9a"},
		{"0xfc 18", code(0xfc, 18), ErrUnsupported, "unknown opcode 0xfc 0x12"},
		{"a second memory", code(opMemorySize, 1, 0x1a), ErrUnsupported, "memory 0x1"},
		{"a tag section", append([]byte(header), 13, 1, 0), ErrUnsupported, "section 13"},
		{"sections out of order", append([]byte(header), sectionImport, 1, 0, sectionType, 1, 0), nil, "type section: at byte 0xb: it is out of order"},
		{"a section twice", append([]byte(header), sectionType, 1, 0, sectionType, 1, 0), nil, "out of order, or there twice"},
		{"a long section", append([]byte(header), sectionType, 9, 0), nil, "unexpected end"},
		{"bytes behind", section(sectionType, 0, 0), nil, "bytes left over"},
		{"types that are not there", section(sectionType, huge...), ErrLimit, "4294967295 entries in 0 bytes"},
		{"a body without function", section(sectionCode, 1, 2, 0, opEnd), nil, "1 bodies for 0 functions"},
		{"many locals", (&builder{}).fnLocals("f", noTypes, noTypes, append([]byte{1}, append(huge, typeI32)...)).wasm(), ErrLimit, "4294967295 locals, and 4294967295 up to here: over the limit"},
		{"many locals in many functions", manyLocals(3).wasm(), ErrLimit, "code section: function 1 at byte"},
		{"many parameters", section(sectionType, slices.Concat([]byte{1, typeFunction}, vector(bytes.Repeat(oneI32, 1001)), []byte{0})...), ErrLimit, "1001 parameters or results"},
		{"a big table", section(sectionTable, 1, typeFuncref, 0, 0x81, 0x80, 0x40), ErrLimit, "table section: at byte 0xb: 1048577 entries, at most 1048576"},
		{"a shared memory", section(sectionMemory, 1, 3, 1, 1), ErrUnsupported, "flags of limits 0x3"},
		{"a memory of 64 bits", section(sectionMemory, 1, 4, 1), ErrUnsupported, "flags of limits 0x4"},
		{"two memories", section(sectionMemory, 2, 0, 1, 0, 1), ErrUnsupported, "more than one memory"},
		{"a memory above its maximum", section(sectionMemory, 1, 1, 2, 1), nil, "minimum 2 is above the maximum 1"},
		{"addition in a constant", section(sectionGlobal, 1, typeI32, 0, opI32Const, 1, opI32Const, 1, opI32Add, opEnd), ErrUnsupported, "opcode 0x6a in a constant expression"},
		{"the host's import", section(sectionImport, slices.Concat([]byte{1}, text(ImportModule), text(ImportName), []byte{kindFunction, 0})...), ErrUnsupported, "is the host's"},
		{"data without memory", section(sectionData, 1, 0, opI32Const, 0, opEnd, 0), nil, "there is no memory"},
		{"a name that is not UTF-8", append([]byte(header), sectionCustom, 2, 1, 0xff), nil, "not UTF-8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Rewrite(c.wasm, Options{Image: true})
			var e *Error
			if !errors.As(err, &e) || !strings.Contains(err.Error(), c.text) || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("got %v, want %q of kind %v", err, c.text, c.is)
			}
		})
	}
}

// manyLocals makes functions with as many locals as one may have.
func manyLocals(functions int) *builder {
	b := &builder{}
	for i := range functions {
		b.fnLocals(strconv.Itoa(i), noTypes, noTypes, append(appendUint32([]byte{1}, maxLocals), typeI32))
	}
	return b
}

func TestEveryTruncationIsRefused(t *testing.T) {
	wasm := (&builder{}).memory(0, 1).add(sectionTable, typeFuncref, 0, 1).
		fn("f", threeI32, noTypes, slices.Concat(bothArgs, fillOp, []byte{opI32Const, 0, opBrTable, 1, 0, 0})...).
		add(sectionElement, slices.Concat([]byte{0}, constExpr(opI32Const, 0), []byte{1, 0})...).
		add(sectionData, slices.Concat([]byte{0}, constExpr(opI32Const, 8), text("data"))...).wasm()
	must(t, wasm, Options{})
	for n := range wasm {
		if m, err := Rewrite(wasm[:n], Options{}); err == nil && compiles(t, wasm[:n]) != nil && compiles(t, m.Wasm) == nil {
			t.Errorf("the first %d bytes have become valid", n)
		}
	}
}

func TestGrowthOfTablesIsShared(t *testing.T) {
	grow := func(table byte) []byte {
		return []byte{opRefNull, typeFuncref, opLocalGet, 0, opMisc, miscTableGrow, table}
	}
	wasm := (&builder{}).
		add(sectionTable, typeFuncref, 0, 10).
		add(sectionTable, typeFuncref, 1, 20, 20).
		add(sectionTable, typeFuncref, 1, 0, 0x7f).
		fn("first", oneI32, oneI32, grow(0)...).
		fn("second", oneI32, oneI32, grow(1)...).
		fn("third", oneI32, oneI32, grow(2)...).wasm()
	m, _ := run(t, wasm, Options{MaxTable: 100}, Period, func() int32 { return Period })
	for _, c := range []struct {
		table string
		by    uint64
		want  int32
	}{
		{"first", 36, -1}, {"first", 35, 10}, {"second", 1, -1}, {"third", 36, -1}, {"third", 35, 0}, {"third", 1, -1},
	} {
		if got := api.DecodeI32(call(t, m, c.table, c.by)[0]); got != c.want {
			t.Errorf("growing the %s table by %d: got %d, want %d", c.table, c.by, got, c.want)
		}
	}
	if _, err := Rewrite(wasm, Options{MaxTable: 29}); !errors.Is(err, ErrLimit) {
		t.Errorf("tables of 30 entries where 29 are allowed: got %v", err)
	}
}

func TestNamesFollowTheirFunctions(t *testing.T) {
	named := func(index byte, name string) []byte { return append([]byte{index}, text(name)...) }
	content := slices.Concat(
		[]byte{namesModule}, vector(text("module")),
		[]byte{namesFunctions}, vector(slices.Concat([]byte{3}, named(0, "outside"), named(1, "inside"), named(2, "filler"))),
		[]byte{namesLocals}, vector(slices.Concat([]byte{1, 1, 1}, named(0, "local"))),
		[]byte{9}, vector([]byte("unknown")),
	)
	module := func(names []byte) []byte {
		return (&builder{}).memory(0, 1).
			add(sectionImport, slices.Concat(text("env"), text("f"), []byte{kindFunction, 0})...).
			fn("f", oneI32, noTypes, 0x00).
			fn("fill", threeI32, noTypes, slices.Concat(bothArgs, fillOp)...).names(names).wasm()
	}
	definitions := func(wasm []byte) map[string]api.FunctionDefinition {
		c, err := newRuntime(t, wazero.NewRuntimeConfigInterpreter()).CompileModule(context.Background(), wasm)
		if err != nil {
			t.Fatal(err)
		}
		return c.ExportedFunctions()
	}
	m := must(t, module(content), Options{})
	got := definitions(m.Wasm)
	if f := got["f"]; f.DebugName() != "module.inside" || !slices.Equal(f.ParamNames(), []string{"local"}) {
		t.Errorf("f is %s%s", f.DebugName(), f.ParamNames())
	}
	if f := got["fill"]; f.DebugName() != "module.filler" {
		t.Errorf("fill is %s", f.DebugName())
	}
	if !bytes.Contains(m.Wasm, []byte(bulkNames[miscMemoryFill])) {
		t.Error("the function that was added has no name")
	}

	for name, malformed := range map[string][]byte{
		"a function that there is not": append([]byte{namesFunctions}, vector(append([]byte{1}, named(9, "x")...))...),
		"a count that cannot be":       append([]byte{namesFunctions}, vector([]byte{0xff, 0xff, 0xff, 0xff, 0x0f})...),
		"a name that is not UTF-8":     append([]byte{namesModule}, vector(text("\xff"))...),
		"a size that is too long":      {namesModule, 9, 1, 'x'},
	} {
		m, err := Rewrite(module(malformed), Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := definitions(m.Wasm)["f"].DebugName(); got == "" || bytes.Contains(m.Wasm, []byte("\x04name")) {
			t.Errorf("%s: the names are still there", name)
		}
	}
}

func TestGuestsOfGoAreRewritten(t *testing.T) {
	wasm := guests.Wasm(t, guests.Probe)
	before := bytes.Clone(wasm)
	m := must(t, wasm, Options{Image: true})
	if !bytes.Equal(wasm, before) {
		t.Error("the input was changed")
	}
	if len(m.Obstacles) > 0 || len(m.Globals) == 0 || len(m.Data) == 0 {
		t.Errorf("%d globals and %d segments, obstacles %q", len(m.Globals), len(m.Data), m.Obstacles)
	}
	if !bytes.HasSuffix(m.Wasm, append([]byte(versionSection), Version)) {
		t.Error("the version is missing")
	}
	if _, err := Rewrite(m.Wasm, Options{}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("rewritten twice: %v", err)
	}
}

func BenchmarkRewrite(b *testing.B) {
	wasm := guests.Wasm(b, guests.Probe)
	b.SetBytes(int64(len(wasm)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Rewrite(wasm, Options{Image: true}); err != nil {
			b.Fatal(err)
		}
	}
}
