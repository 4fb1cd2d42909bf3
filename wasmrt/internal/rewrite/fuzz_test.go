package rewrite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/tetratelabs/wazero"
)

// withoutCustom is a module without its custom sections, which Rewrite does not
// look into.
func withoutCustom(wasm []byte) []byte {
	m := &module{wasm: wasm}
	if m.split() != nil {
		return wasm
	}
	out := []byte(header)
	for _, id := range sectionOrder {
		if s := m.sections[id]; s.present {
			out = append(append(out, byte(id)), vector(wasm[s.pos:s.end])...)
		}
	}
	return out
}

// harmless says that no number in a module is so big that wazero, which makes
// room for as many entries as a section claims to have, would take all memory.
func harmless(wasm []byte) bool {
	for i := range wasm {
		if v, _, err := uint32At(wasm, i, len(wasm)); err == nil && v > 1<<18 {
			return false
		}
	}
	return true
}

// errPanic says that wazero panicked, which some malformed modules make it do.
// None of these may come out of Rewrite.
var errPanic = errors.New("wazero panicked")

func FuzzRewrite(f *testing.F) {
	dir := filepath.Join(specDir(f), "v2", "testdata")
	files, err := filepath.Glob(filepath.Join(dir, "*.wasm"))
	if err != nil || len(files) == 0 {
		f.Fatalf("no modules in %s: %v", dir, err)
	}
	for _, file := range files {
		if wasm, err := os.ReadFile(file); err == nil && len(wasm) < 400 {
			f.Add(wasm, len(wasm)%2 == 0)
		}
	}
	f.Add([]byte("no module"), false)
	r := newRuntime(f, wazero.NewRuntimeConfigInterpreter())
	valid := func(wasm []byte) (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("%w: %v", errPanic, p)
			}
		}()
		c, err := r.CompileModule(context.Background(), wasm)
		if err == nil {
			err = c.Close(context.Background())
		}
		return err
	}
	f.Fuzz(func(t *testing.T, wasm []byte, image bool) {
		m, err := Rewrite(wasm, Options{Image: image})
		if err == nil {
			original, rewritten := valid(withoutCustom(wasm)), valid(m.Wasm)
			if (original == nil) != (rewritten == nil) || errors.Is(rewritten, errPanic) {
				t.Errorf("original: %v, rewritten: %v", original, rewritten)
			}
			return
		}
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%v is of type %T", err, err)
		}
		// What only Rewrite refuses are things it does not know, bounds and two
		// laxities of wazero: unused bits of numbers and an empty data count.
		lax := errors.Is(err, errTooLong) || errors.Is(err, errShort) && e.Section == sectionNames[sectionDataCount]
		if errors.Is(err, ErrUnsupported) || errors.Is(err, ErrLimit) || lax || !harmless(wasm) {
			return
		}
		if valid(wasm) == nil {
			t.Errorf("a valid module was refused: %v", err)
		}
	})
}
