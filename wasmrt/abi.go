package wasmrt

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// ABI is a binary interface: which functions host and guest have for each other, and how
// requests and responses go through them. An ABI is part of this package, as it works on the
// package's instances; GoPlugin is one.
type ABI interface {
	// modules are the names of the modules from which guests import the functions of host
	// services, and instantiate makes those modules in a runtime, with exactly functions.
	modules() []string
	instantiate(ctx context.Context, runtime wazero.Runtime, functions []HostFunction) error
	// check says which export a compiled module lacks, as a *LoadError; inspect notes the
	// same of one that is not compiled, by name alone.
	check(module wazero.CompiledModule) error
	inspect(module *Interface)
	// start are the exports that run first in a new instance, where a guest has them.
	start() []string
	// methods are the exports that can be called.
	methods() []string
	// bind makes the guest of an instance that has no module yet.
	bind(inst *instance) guest
}

// guest is one instance as its ABI calls it. What takes a context runs between enter and leave
// of the instance; a function of the host may run before resolve, from a start function.
type guest interface {
	// resolve finds what the ABI needs of the guest besides methods, and returns the native
	// stacks of that.
	resolve(module api.Module) []nativeStack
	// warm has the guest set up what its first calls would.
	warm(ctx context.Context) error
	// verify asks the guest what its exports do not tell, such as its version. What is wrong
	// is a *LoadError.
	verify(ctx context.Context) error
	// exchange calls a method with the bytes of a request. The response is valid until the
	// instance is used again or restored.
	exchange(ctx context.Context, method export, request []byte) ([]byte, error)
	// settle frees in the guest what exchange, or warm, has left allocated there.
	settle(ctx context.Context) error
}

const (
	i32 = api.ValueTypeI32
	i64 = api.ValueTypeI64
)

// checkImports says which function the module imports that it is not offered.
func (m *Module) checkImports(functions []HostFunction) error {
	wasi := m.runtime.Module(wasi_snapshot_preview1.ModuleName).ExportedFunctionDefinitions()
	imports := m.compiled.ImportedFunctions()
	for _, definition := range imports[:len(imports)-1] { // the last is ours
		module, name, _ := definition.Import()
		known, service := false, slices.Contains(m.abi.modules(), module)
		switch {
		case service:
			known = slices.ContainsFunc(functions, func(f HostFunction) bool { return f.Name == name })
		case module == wasi_snapshot_preview1.ModuleName:
			_, known = wasi[name]
		default:
		}
		if !known {
			return &LoadError{Err: &MissingImportError{module, name, service}}
		}
	}
	if memories := m.compiled.ImportedMemories(); len(memories) > 0 {
		return &LoadError{errors.New("the module imports its memory"), "export a memory of its own as \"memory\""}
	}
	return nil
}

// verify has the guest asked what its exports do not tell.
func (i *instance) verify(ctx context.Context) error {
	ctx, err := i.enter(ctx)
	if err != nil {
		return err
	}
	defer i.leave()
	return i.guest.verify(ctx)
}

func errOutOfMemoryRange(operation string, ptr, size, memorySize uint32) error {
	return fmt.Errorf("Memory.%s(%d, %d) out of range of memory size %d", operation, ptr, size, memorySize)
}
