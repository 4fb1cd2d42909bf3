// Package link joins what a plugin's contract says with how the runtime calls guests: which
// contract a manifest is of, and which exports and imports that makes. Nobody else knows both.
package link

import (
	"fmt"
	"slices"

	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/sdk/api/host"
	"github.com/pluginhost/pluginhost/sdk/api/schema"
	"github.com/pluginhost/pluginhost/wasmrt"
)

// Contract returns the contract that a manifest is of. A manifest that was not parsed has none,
// for which it panics.
func Contract(manifest *plugin.Manifest) *schema.Contract {
	switch manifest.Contract {
	case plugin.Navidrome058:
		return schema.Navidrome058()
	default:
		panic(fmt.Errorf("a manifest of the contract %q", manifest.Contract))
	}
}

// ABI returns how plugins of a contract are called that have these capabilities. What the contract
// does not know is left out.
func ABI(contract *schema.Contract, capabilities []string) wasmrt.ABI {
	var abi wasmrt.GoPlugin
	for _, capability := range contract.Capabilities() {
		if slices.Contains(capabilities, capability.Name) {
			abi.Services = append(abi.Services, wasmrt.Service{
				Name: capability.Name, VersionExport: capability.VersionExport, Methods: capability.Exports(),
			})
		}
	}
	return abi
}

// Functions are functions of host services as the runtime offers them to a guest.
func Functions(functions []host.Function) []wasmrt.HostFunction {
	offered := make([]wasmrt.HostFunction, len(functions))
	for i, function := range functions {
		offered[i] = wasmrt.HostFunction(function)
	}
	return offered
}
