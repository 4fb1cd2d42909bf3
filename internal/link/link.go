// Package link joins what a plugin's contract says with how the runtime calls guests: which
// contract a manifest is of, and which exports and imports that makes. Nobody else knows both.
package link

import (
	"fmt"

	"github.com/pluginhost/pluginhost/api/host"
	"github.com/pluginhost/pluginhost/api/schema"
	"github.com/pluginhost/pluginhost/plugin"
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

// ABI returns how a plugin is called: as its contract has it, with what the capabilities in
// its manifest need.
func ABI(manifest *plugin.Manifest) wasmrt.ABI {
	var abi wasmrt.GoPlugin
	for _, capability := range Contract(manifest).Capabilities() {
		if manifest.Has(capability.Name) {
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
