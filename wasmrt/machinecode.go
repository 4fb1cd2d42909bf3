package wasmrt

import (
	"reflect"

	"github.com/tetratelabs/wazero/api"
)

// machineCode is how long the machine code of a module is, in bytes. wazero tells nobody,
// so this looks into its implementation, at what does not change once it is compiled.
// Where that is not as expected, the length is 0.
func machineCode(module api.Module) int64 {
	value := reflect.ValueOf(module)
	for _, name := range []string{"Engine", "parent", "executables", "executable"} {
		for value.Kind() == reflect.Interface || value.Kind() == reflect.Pointer {
			value = value.Elem()
		}
		if value.Kind() != reflect.Struct {
			return 0
		}
		value = value.FieldByName(name)
	}
	if value.Kind() != reflect.Slice {
		return 0
	}
	return int64(value.Len())
}

// chargeCode charges the plugin for the code that an instance of it runs.
func (m *Module) chargeCode(inst *instance) error {
	if m.code > 0 {
		return nil
	}
	code := m.source + machineCode(inst.module)
	if err := m.account.load(code); err != nil {
		return err
	}
	m.code = code
	return nil
}
