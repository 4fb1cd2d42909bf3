package wasmrt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// apiVersion is what the version export of every service returns.
const apiVersion = 1

// Service is a set of exports that a guest must have.
type Service struct {
	// VersionExport returns the version of the binary interface.
	VersionExport string
	// Methods are the exports that can be called.
	Methods []string
}

func (m *Module) checkImports(functions []HostFunction) error {
	wasi := m.runtime.Module(wasi_snapshot_preview1.ModuleName).ExportedFunctionDefinitions()
	imports := m.compiled.ImportedFunctions()
	for _, definition := range imports[:len(imports)-1] { // the last is ours
		module, name, _ := definition.Import()
		known := false
		switch module {
		case wasi_snapshot_preview1.ModuleName:
			_, known = wasi[name]
		case envModule:
			known = slices.ContainsFunc(functions, func(f HostFunction) bool { return f.Name == name })
		default:
		}
		if !known {
			return &LoadError{Err: &MissingImportError{module, name}}
		}
	}
	if memories := m.compiled.ImportedMemories(); len(memories) > 0 {
		return &LoadError{errors.New("the module imports its memory"), "export a memory of its own as \"memory\""}
	}
	return nil
}

var (
	i32 = api.ValueTypeI32
	i64 = api.ValueTypeI64
)

func (m *Module) checkExports() error {
	exports := m.compiled.ExportedFunctions()
	if exports["_start"] != nil && exports["_initialize"] == nil {
		return &LoadError{
			errors.New("the module is a program, not a library: it exports _start and no _initialize"),
			"with Go, build it with -buildmode=c-shared",
		}
	}
	if _, ok := m.compiled.ExportedMemories()["memory"]; !ok {
		return notExported("memory")
	}
	for _, service := range m.services {
		if err := m.checkExport(service.VersionExport, nil, []api.ValueType{i64}); err != nil {
			return err
		}
		for _, method := range service.Methods {
			if err := m.checkExport(method, []api.ValueType{i32, i32}, []api.ValueType{i64}); err != nil {
				return err
			}
		}
	}
	if err := m.checkExport("malloc", []api.ValueType{i32}, []api.ValueType{i32}); err != nil {
		return err
	}
	return m.checkExport("free", []api.ValueType{i32}, nil)
}

func (m *Module) checkExport(name string, params, results []api.ValueType) error {
	definition, ok := m.compiled.ExportedFunctions()[name]
	if !ok {
		return notExported(name)
	}
	if !slices.Equal(definition.ParamTypes(), params) || !slices.Equal(definition.ResultTypes(), results) {
		return &LoadError{
			fmt.Errorf("invalid %s signature", name),
			fmt.Sprintf("the contract wants (%s) -> (%s)", typeNames(params), typeNames(results)),
		}
	}
	return nil
}

func typeNames(types []api.ValueType) string {
	var b bytes.Buffer
	for i, t := range types {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(api.ValueTypeName(t))
	}
	return b.String()
}

func notExported(name string) error {
	return &LoadError{
		fmt.Errorf("%s is not exported", name),
		"the module must export memory, malloc, free and every method of the capabilities in its manifest; with the Go SDK, build with -buildmode=c-shared",
	}
}

func (m *Module) checkVersions(ctx context.Context, inst *instance) error {
	ctx, err := inst.enter(ctx)
	if err != nil {
		return err
	}
	defer inst.leave()
	for _, service := range m.services {
		result, err := inst.module.ExportedFunction(service.VersionExport).Call(ctx)
		if err != nil {
			return &LoadError{fmt.Errorf("%s: %w", service.VersionExport, err), ""}
		}
		if result[0] != apiVersion {
			return &LoadError{
				fmt.Errorf("API version mismatch, host: %d, plugin: %d", apiVersion, result[0]),
				"build the plugin against this version of the contract",
			}
		}
	}
	return nil
}
