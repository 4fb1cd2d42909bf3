package wasmrt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/pluginhost/pluginhost/wasmrt/internal/rewrite"
)

// Interface is what a module says of itself, without being compiled.
type Interface struct {
	// Imports are the functions of the host services that the module imports, in its order.
	Imports []string
	// Offered are the modules that a guest may import functions from, and Foreign the others
	// that this one imports from.
	Offered, Foreign []string
	// Exports are the functions that it exports, in its order.
	Exports []string
	// Missing are the exports that every guest of the ABI needs and this one lacks.
	Missing []string
	// Program tells that it is a program, which ends when it has begun, and no library.
	Program bool
	// Incomplete are the services of the ABI of which it lacks exports, with those as Methods.
	Incomplete []Service
	// Isolation is what the module gets where Limits.Isolation asks for it, and Reason why
	// it is another.
	Isolation Isolation
	Reason    string
}

// Inspect reads the interface of a module and compares it with what an ABI needs. A module that
// cannot be one is a *LoadError.
func Inspect(wasm []byte, abi ABI, limits Limits) (*Interface, error) {
	limits = limits.withDefaults()
	module, err := parse(wasm, limits)
	if err != nil {
		return nil, err
	}
	i := &Interface{Exports: module.Exports, Offered: append(abi.modules(), wasi_snapshot_preview1.ModuleName)}
	i.Isolation, i.Reason = isolationOf(module, limits)
	for _, function := range module.Imports {
		switch {
		case slices.Contains(abi.modules(), function.Module):
			i.Imports = append(i.Imports, function.Name)
		case function.Module == wasi_snapshot_preview1.ModuleName:
		default:
			i.Foreign = append(i.Foreign, function.Module)
		}
	}
	abi.inspect(i)
	return i, nil
}

// Check says why Load would refuse a module, as far as that shows without running it: it
// compiles the module, also where that has failed before, and looks at what it imports and
// exports. functions are the names of the host functions that it may import. What is wrong
// with the module is a *LoadError.
func (r *Runtime) Check(ctx context.Context, wasm []byte, abi ABI, functions []string) (err error) {
	limits := Limits{}.withDefaults()
	m := &Module{abi: abi, limits: limits, account: r.budget.open(""), runtime: newEngine(ctx, r.cache, limits)}
	defer func() { err = errors.Join(err, m.release(context.WithoutCancel(ctx))) }()
	return r.prepare(ctx, m, wasm, Options{Functions: named(functions), Logger: r.config.Logger, Again: true})
}

// named are host functions of which only the names matter.
func named(names []string) []HostFunction {
	functions := make([]HostFunction, len(names))
	for i, name := range names {
		functions[i].Name = name
	}
	return functions
}

// Check is Runtime.Check for modules of one's own: it validates the module in this process,
// and nothing bounds what that takes.
func Check(ctx context.Context, wasm []byte, abi ABI, functions []string) (err error) {
	limits := Limits{}.withDefaults()
	m := &Module{abi: abi, limits: limits}
	if m.rewritten, err = parse(wasm, limits); err != nil {
		return err
	}
	// The interpreter's compiler validates as the other one does, and is quick.
	m.runtime = wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().WithMemoryLimitPages(limits.runtimePages()))
	defer func() { err = errors.Join(err, m.runtime.Close(ctx)) }()
	if err := instantiateWASI(ctx, m.runtime); err != nil {
		return fmt.Errorf("wasi: %w", err)
	}
	if m.compiled, err = m.runtime.CompileModule(ctx, m.rewritten.Wasm); err != nil {
		return &LoadError{fmt.Errorf("not a valid WebAssembly module: %w", err), "build it again"}
	}
	if err := m.checkImports(named(functions)); err != nil {
		return err
	}
	return m.abi.check(m.compiled)
}

// isolationOf is how calls of a module are isolated, and why not as asked for.
func isolationOf(module *rewrite.Module, limits Limits) (Isolation, string) {
	if limits.Isolation == IsolationClean && len(module.Obstacles) > 0 {
		return IsolationFresh, "the module cannot be restored: it uses " + strings.Join(module.Obstacles, ", ")
	}
	return limits.Isolation, ""
}
