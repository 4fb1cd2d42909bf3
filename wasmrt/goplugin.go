package wasmrt

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// GoPlugin is the ABI of knqyf263/go-plugin, which Navidrome's plugins before 0.60 have: a
// request goes into memory that the guest allocates, and a method takes its address and size
// and returns those of the response in one number.
type GoPlugin struct {
	// Services are what the guest must export.
	Services []Service
}

// Service is a set of exports that a guest must have.
type Service struct {
	// Name is for who reads what is missing.
	Name string
	// VersionExport returns the version of the binary interface.
	VersionExport string
	// Methods are the exports that can be called.
	Methods []string
}

const (
	// envModule is the module from which guests import host functions.
	envModule = "env"
	// apiVersion is what the version export of every service returns.
	apiVersion = 1
	// errorFlag, in the low word of a result, marks the text of an error.
	errorFlag = 1 << 31

	exportMalloc, exportFree, exportMemory = "malloc", "free", "memory"
	exportStart, exportInitialize          = "_start", "_initialize"
)

var _ ABI = GoPlugin{}

func (GoPlugin) modules() []string { return []string{envModule} }

// start runs the runtime of the guest's language.
func (GoPlugin) start() []string { return []string{exportInitialize} }

func (g GoPlugin) methods() []string {
	var methods []string
	for _, service := range g.Services {
		methods = append(methods, service.Methods...)
	}
	return methods
}

func (g GoPlugin) bind(inst *instance) guest {
	return &goPluginGuest{instance: inst, services: g.Services}
}

// instantiate makes the module env of a runtime.
func (GoPlugin) instantiate(ctx context.Context, runtime wazero.Runtime, functions []HostFunction) error {
	builder := runtime.NewHostModuleBuilder(envModule)
	for _, function := range functions {
		serve := func(ctx context.Context, module api.Module, stack []uint64) {
			serveGoPlugin(ctx, module, function, stack)
		}
		builder.NewFunctionBuilder().
			WithGoModuleFunction(api.GoModuleFunc(serve), []api.ValueType{i32, i32}, []api.ValueType{i64}).
			WithParameterNames("offset", "size").
			Export(function.Name)
	}
	if _, err := builder.Instantiate(ctx); err != nil {
		return fmt.Errorf("%s: %w", envModule, err)
	}
	return nil
}

// inspect notes which exports a module lacks.
func (g GoPlugin) inspect(module *Interface) {
	lacking := func(names ...string) []string {
		return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(module.Exports, name) })
	}
	module.Missing = lacking(exportMalloc, exportFree)
	module.Program = len(lacking(exportStart)) == 0 && len(lacking(exportInitialize)) > 0
	for _, service := range g.Services {
		if missing := lacking(append([]string{service.VersionExport}, service.Methods...)...); len(missing) > 0 {
			module.Incomplete = append(module.Incomplete, Service{Name: service.Name, Methods: missing})
		}
	}
}

// check says which export a module lacks, or has with another signature.
func (g GoPlugin) check(module wazero.CompiledModule) error {
	exports := module.ExportedFunctions()
	if exports[exportStart] != nil && exports[exportInitialize] == nil {
		return &LoadError{
			fmt.Errorf("the module is a program, not a library: it exports %s and no %s", exportStart, exportInitialize),
			"with Go, build it with -buildmode=c-shared",
		}
	}
	if _, ok := module.ExportedMemories()[exportMemory]; !ok {
		return notExported(exportMemory)
	}
	for _, service := range g.Services {
		if err := checkExport(exports, service.VersionExport, nil, []api.ValueType{i64}); err != nil {
			return err
		}
		for _, method := range service.Methods {
			if err := checkExport(exports, method, []api.ValueType{i32, i32}, []api.ValueType{i64}); err != nil {
				return err
			}
		}
	}
	if err := checkExport(exports, exportMalloc, []api.ValueType{i32}, []api.ValueType{i32}); err != nil {
		return err
	}
	return checkExport(exports, exportFree, []api.ValueType{i32}, nil)
}

func checkExport(exports map[string]api.FunctionDefinition, name string, params, results []api.ValueType) error {
	definition, ok := exports[name]
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
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = api.ValueTypeName(t)
	}
	return strings.Join(names, ", ")
}

func notExported(name string) error {
	return &LoadError{
		fmt.Errorf("%s is not exported", name),
		"the module must export memory, malloc, free and every method of the capabilities in its manifest; with the Go SDK, build with -buildmode=c-shared",
	}
}

// wrongVersion says that a guest was built for another version of the contract.
func wrongVersion(version uint64) error {
	return &LoadError{
		fmt.Errorf("API version mismatch, host: %d, plugin: %d", apiVersion, version),
		"build the plugin against this version of the contract",
	}
}
