package rewrite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// specScript is one file of the specification's test suite, as wast2json writes
// it.
type specScript struct {
	Commands []specCommand `json:"commands"`
}

type specCommand struct {
	Type       string `json:"type"`
	Line       int    `json:"line"`
	Name       string `json:"name"`
	Filename   string `json:"filename"`
	As         string `json:"as"`
	ModuleType string `json:"module_type"`
	Text       string `json:"text"`
	Action     struct {
		Type   string      `json:"type"`
		Field  string      `json:"field"`
		Module string      `json:"module"`
		Args   []specValue `json:"args"`
	} `json:"action"`
	Expected []specValue `json:"expected"`
}

type specValue struct {
	Type  string `json:"type"`
	Lanes string `json:"lane_type"`
	Value any    `json:"value"`
}

// specDir is where the module of wazero keeps the suite.
func specDir(tb testing.TB) string {
	tb.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	if err != nil {
		tb.Fatalf("finding wazero: %v", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "internal", "integration_test", "spectest")
}

// pattern is what a value of so many bits must look like.
type pattern struct {
	bits        int
	value, mask uint64
	any         bool
}

func (p pattern) fits(v uint64) bool {
	if p.bits == 32 {
		v = uint64(uint32(v))
	}
	return p.any || v&p.mask == p.value
}

// scalar reads one number; NaN patterns have names.
func scalar(text string, bits int) pattern {
	p := pattern{bits: bits, mask: math.MaxUint64}
	canonical, arithmetic := uint64(0x7ff8_0000_0000_0000), uint64(0x7ff8_0000_0000_0000)
	sign := uint64(1) << 63
	if bits == 32 {
		canonical, arithmetic, sign = 0x7fc0_0000, 0x7fc0_0000, 1<<31
	}
	switch text {
	case "nan:canonical":
		p.value, p.mask = canonical, ^sign
	case "nan:arithmetic":
		p.value, p.mask = arithmetic, arithmetic
	default:
		v, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			panic(err)
		}
		p.value = v
	}
	return p
}

// patterns are what a value becomes in the binary interface: one number, or two
// for vectors, and for these one pattern for each lane.
func (v specValue) patterns() []pattern {
	switch v.Type {
	case "i32", "f32":
		return []pattern{scalar(v.Value.(string), 32)}
	case "i64", "f64":
		return []pattern{scalar(v.Value.(string), 64)}
	case "externref":
		if v.Value == nil {
			return []pattern{{any: true}}
		}
		if v.Value == "null" {
			return []pattern{{mask: math.MaxUint64}}
		}
		p := scalar(v.Value.(string), 64)
		p.value++ // 0 is null
		return []pattern{p}
	case "funcref":
		return []pattern{{any: v.Value == nil, mask: math.MaxUint64}}
	}
	panic("no pattern for " + v.Type)
}

// words are the numbers to pass for a value.
func (v specValue) words() []uint64 {
	if v.Type != "v128" {
		return []uint64{v.patterns()[0].value}
	}
	words, _ := v.vector()
	return words[:]
}

// vector returns the two words of a vector and which bits of them count.
func (v specValue) vector() (words, masks [2]uint64) {
	width, err := strconv.Atoi(v.Lanes[1:])
	if err != nil {
		panic(err)
	}
	for i, lane := range v.Value.([]any) {
		p := scalar(lane.(string), width)
		low := uint64(math.MaxUint64) >> (64 - width)
		word, shift := i*width/64, i*width%64
		words[word] |= (p.value & low) << shift
		masks[word] |= (p.mask & low) << shift
	}
	return words, masks
}

// compare says what is wrong with results.
func compare(want []specValue, got []uint64) string {
	rest := got
	for _, w := range want {
		if w.Type == "v128" {
			words, masks := w.vector()
			if len(rest) < 2 || rest[0]&masks[0] != words[0]&masks[0] || rest[1]&masks[1] != words[1]&masks[1] {
				return fmt.Sprintf("got %#x, want %v", got, want)
			}
			rest = rest[2:]
			continue
		}
		if len(rest) < 1 || !w.patterns()[0].fits(rest[0]) {
			return fmt.Sprintf("got %#x, want %v", got, want)
		}
		rest = rest[1:]
	}
	if len(rest) > 0 {
		return fmt.Sprintf("got %#x, want %v", got, want)
	}
	return ""
}

// traps maps the suite's words for a trap to wazero's.
var traps = map[string]string{
	"out of bounds memory access":   "out of bounds memory access",
	"indirect call type mismatch":   "indirect call type mismatch",
	"indirect call":                 "indirect call type mismatch",
	"undefined element":             "invalid table access",
	"undefined":                     "invalid table access",
	"out of bounds table access":    "invalid table access",
	"uninitialized":                 "invalid table access",
	"uninitialized element":         "invalid table access",
	"uninitialized element 2":       "invalid table access",
	"integer overflow":              "integer overflow",
	"invalid conversion to integer": "invalid conversion to integer",
	"integer divide by zero":        "integer divide by zero",
	"unreachable":                   "unreachable",
	"call stack exhausted":          "stack overflow",
}

// specVariant is how the suite's modules are rewritten and run.
type specVariant struct {
	options Options
	period  int64 // the first one and those that follow
}

// specRun runs one script.
type specRun struct {
	t       *testing.T
	dir     string
	variant specVariant
	runtime wazero.Runtime
	// reference decides what is valid.
	reference wazero.Runtime
	named     map[string]api.Module
	last      api.Module
	ran       map[string]int
}

func newRuntime(t testing.TB, config wazero.RuntimeConfig) wazero.Runtime {
	t.Helper()
	r := wazero.NewRuntimeWithConfig(context.Background(), config)
	t.Cleanup(func() { _ = r.Close(context.Background()) })
	return r
}

// hostPause offers the import.
func hostPause(t testing.TB, r wazero.Runtime, pause func() int32) {
	t.Helper()
	call := api.GoFunc(func(_ context.Context, stack []uint64) { stack[0] = api.EncodeI32(pause()) })
	_, err := r.NewHostModuleBuilder(ImportModule).NewFunctionBuilder().
		WithGoFunction(call, nil, []api.ValueType{api.ValueTypeI32}).Export(ImportName).Instantiate(context.Background())
	if err != nil {
		t.Fatal(err)
	}
}

// boundedMemory enforces the limit that a module declared, as the host does.
type boundedMemory struct {
	buf []byte
	max uint64
}

func (m *boundedMemory) Reallocate(size uint64) []byte {
	if size > m.max {
		return nil
	}
	if size > uint64(len(m.buf)) {
		m.buf = append(m.buf, make([]byte, size-uint64(len(m.buf)))...)
	}
	return m.buf[:size]
}

func (m *boundedMemory) Free() {}

// instantiate rewrites, compiles and instantiates a module.
func (s *specRun) instantiate(file, name string) (api.Module, error) {
	wasm, err := os.ReadFile(filepath.Join(s.dir, file))
	if err != nil {
		s.t.Fatal(err)
	}
	m, err := rewrite(wasm, s.variant.options, s.variant.period)
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	if s.variant.options.Image {
		ctx = experimental.WithMemoryAllocator(ctx, experimental.MemoryAllocatorFunc(func(_, _ uint64) experimental.LinearMemory {
			return &boundedMemory{max: uint64(m.Memory.Max) << 16}
		}))
	}
	instance, err := s.runtime.InstantiateWithConfig(ctx, m.Wasm, wazero.NewModuleConfig().WithName(name))
	if err != nil {
		return nil, err
	}
	for _, segment := range m.Data {
		if !instance.Memory().Write(segment.Offset, segment.Bytes) {
			return nil, errors.Join(errors.New("out of bounds memory access"), instance.Close(ctx))
		}
	}
	for _, name := range m.Globals {
		if _, ok := instance.ExportedGlobal(name).(api.MutableGlobal); !ok {
			s.t.Errorf("%s: no mutable global %q", file, name)
		}
	}
	return instance, nil
}

// valid says whether a module compiles as it is, and rewritten.
func (s *specRun) valid(file string) (original, rewritten error) {
	wasm, err := os.ReadFile(filepath.Join(s.dir, file))
	if err != nil {
		s.t.Fatal(err)
	}
	compile := func(wasm []byte) error {
		c, err := s.reference.CompileModule(context.Background(), wasm)
		if err == nil {
			err = c.Close(context.Background())
		}
		return err
	}
	m, err := rewrite(wasm, s.variant.options, s.variant.period)
	if err == nil {
		err = compile(m.Wasm)
	}
	return compile(wasm), err
}

func (s *specRun) act(c *specCommand) ([]uint64, error) {
	module := s.last
	if c.Action.Module != "" {
		module = s.named[c.Action.Module]
	}
	if module == nil {
		return nil, errors.New("there is no module")
	}
	if c.Action.Type == "get" {
		return []uint64{module.ExportedGlobal(c.Action.Field).Get()}, nil
	}
	var args []uint64
	for _, arg := range c.Action.Args {
		args = append(args, arg.words()...)
	}
	return module.ExportedFunction(c.Action.Field).Call(context.Background(), args...)
}

// command runs one command and returns what went wrong.
func (s *specRun) command(c, next *specCommand) string {
	s.ran[c.Type]++
	switch c.Type {
	case "module":
		var name string
		if next != nil && next.Type == "register" {
			name = next.As
		}
		instance, err := s.instantiate(c.Filename, name)
		if err != nil {
			return err.Error()
		}
		s.last = instance
		if c.Name != "" {
			s.named[c.Name] = instance
		}
	case "register": // with the module before
	case "assert_return", "action":
		got, err := s.act(c)
		if err != nil {
			return err.Error()
		}
		if c.Type == "assert_return" {
			return compare(c.Expected, got)
		}
	case "assert_trap", "assert_exhaustion":
		want, ok := traps[c.Text]
		if !ok {
			return "unknown kind of trap " + c.Text
		}
		if _, err := s.act(c); err == nil || !strings.Contains(err.Error(), want) {
			return fmt.Sprintf("got %v, want %s", err, want)
		}
	case "assert_invalid", "assert_malformed":
		if c.ModuleType == "text" {
			s.ran[c.Type]--
			break
		}
		original, rewritten := s.valid(c.Filename)
		if (original == nil) != (rewritten == nil) {
			return fmt.Sprintf("%s: original: %v, rewritten: %v", c.Filename, original, rewritten)
		}
	case "assert_unlinkable", "assert_uninstantiable":
		_, err := s.instantiate(c.Filename, "")
		// wazero keeps such an instance, because its functions may be in tables.
		if kept := c.Text == "out of bounds table access"; (err == nil) != kept {
			return fmt.Sprintf("%s: %v", c.Filename, err)
		}
	default:
		return "unknown command"
	}
	return ""
}

func (s *specRun) script(file string) {
	raw, err := os.ReadFile(file)
	if err != nil {
		s.t.Fatal(err)
	}
	var script specScript
	if err := json.Unmarshal(raw, &script); err != nil {
		s.t.Fatal(err)
	}
	for i := range script.Commands {
		var next *specCommand
		if i+1 < len(script.Commands) {
			next = &script.Commands[i+1]
		}
		c := &script.Commands[i]
		if wrong := s.command(c, next); wrong != "" {
			s.t.Errorf("%s:%d: %s %s: %s", filepath.Base(file), c.Line, c.Type, c.Action.Field, wrong)
		}
	}
}

func TestTheSpecificationHoldsForRewrittenModules(t *testing.T) {
	root := specDir(t)
	dir := filepath.Join(root, "v2", "testdata")
	scripts, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for name, variant := range map[string]specVariant{
		"as the host does":      {period: Period},
		"giving way every time": {period: 0},
		"for images":            {options: Options{Image: true}, period: Period},
	} {
		t.Run(name, func(t *testing.T) {
			ran := map[string]int{}
			calls := 0
			for _, file := range scripts {
				if raceEnabled && !slices.Contains(raceScripts, filepath.Base(file)) {
					continue
				}
				s := &specRun{
					t: t, dir: dir, variant: variant, ran: ran, named: map[string]api.Module{},
					runtime:   newRuntime(t, wazero.NewRuntimeConfig()),
					reference: newRuntime(t, wazero.NewRuntimeConfigInterpreter()),
				}
				spectest, err := os.ReadFile(filepath.Join(root, "testdata", "spectest.wasm"))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := s.runtime.Instantiate(context.Background(), spectest); err != nil {
					t.Fatal(err)
				}
				hostPause(t, s.runtime, func() int32 { calls++; return int32(variant.period) })
				s.script(file)
				_ = s.runtime.Close(context.Background())
			}
			t.Logf("ran %v, gave way %d times", ran, calls)
			for kind, least := range specCounts {
				if ran[kind] < least {
					t.Errorf("ran %d of %s, want at least %d", ran[kind], kind, least)
				}
			}
			if calls < specCalls[variant.period] {
				t.Errorf("gave way %d times, want at least %d", calls, specCalls[variant.period])
			}
		})
	}
}
