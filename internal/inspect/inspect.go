// Package inspect compares what a plugin's manifest says with what its module has,
// without running it.
package inspect

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pluginhost/pluginhost/hostsvc/netguard"
	"github.com/pluginhost/pluginhost/internal/link"
	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/sdk/api/schema"
	"github.com/pluginhost/pluginhost/wasmrt"
)

// Report is what a plugin can do, and what is wrong with it.
type Report struct {
	// Granted are the host functions that the permissions grant, Imported those that the
	// module imports, both sorted. Of those of HTTP only methods count that an address allows; a
	// module may import the others, and each request is refused.
	Granted, Imported []string
	// Isolation is that of its calls by default, IsolationReason why it is no better.
	Isolation, IsolationReason string
	// Faults keep the plugin from loading; Warnings should be put right.
	Faults, Warnings []string

	contract *schema.Contract
}

// Check says why a module would not load, as wasmrt.Check does. functions are the names of
// the host functions that it may import. Nil is wasmrt.Check, for modules of one's own.
type Check func(ctx context.Context, wasm []byte, abi wasmrt.ABI, functions []string) error

// Plugin reports on a plugin, whose module is checked by check.
func Plugin(ctx context.Context, manifest *plugin.Manifest, wasm []byte, check Check) Report {
	contract := link.Contract(manifest)
	abi := link.ABI(contract, manifest.Capabilities)
	r := Report{contract: contract}
	granted := manifest.Permissions.Granted()
	var may []string // import
	for _, service := range contract.HostServices() {
		if slices.Contains(granted, service.Permission) {
			may = append(may, service.Functions...)
		}
	}
	slices.Sort(may)
	r.Granted = slices.DeleteFunc(slices.Clone(may), func(function string) bool { return r.isRefused(manifest.Permissions.HTTP, function) })
	module, err := wasmrt.Inspect(wasm, abi, wasmrt.Limits{})
	if err != nil {
		r.Faults = append(r.Faults, err.Error())
		return r
	}
	r.Imported = slices.Sorted(slices.Values(module.Imports))
	r.Isolation, r.IsolationReason = string(module.Isolation), module.Reason
	r.imports(may, granted, manifest.Capabilities, module)
	r.exports(module)
	r.permissions(manifest.Permissions)
	if len(r.Faults) == 0 {
		r.module(ctx, abi, may, wasm, check)
	}
	return r
}

// isRefused says whether a function makes requests of a method that no address allows.
func (r *Report) isRefused(http *plugin.HTTPPermission, function string) bool {
	service, _ := r.contract.HostService(function)
	if service.Permission != "http" || http == nil {
		return false
	}
	for _, methods := range http.AllowedURLs {
		if slices.Contains(methods, "*") || slices.Contains(methods, strings.ToUpper(function)) {
			return false
		}
	}
	return true
}

// module has the module validated, which what it imports and exports does not tell.
func (r *Report) module(ctx context.Context, abi wasmrt.ABI, may []string, wasm []byte, check Check) {
	if check == nil {
		check = wasmrt.Check
	}
	if err := check(ctx, wasm, abi, may); err != nil {
		r.Faults = append(r.Faults, err.Error())
	}
}

// imports compares what the module imports with what it may import and is granted, and with what
// it can be called back for.
func (r *Report) imports(may, granted, capabilities []string, module *wasmrt.Interface) {
	for _, function := range r.Imported {
		if !slices.Contains(may, function) {
			r.Faults = append(r.Faults, fmt.Sprintf("it imports %s: %s", function, Ungranted(r.contract, function)))
		}
	}
	for _, need := range []struct{ permission, capability string }{{"scheduler", plugin.SchedulerCallback}, {"websocket", plugin.WebSocketCallback}} {
		if r.uses(need.permission) && !slices.Contains(capabilities, need.capability) {
			r.Warnings = append(r.Warnings, fmt.Sprintf("it uses %s without the capability %s: nothing calls it back", need.permission, need.capability))
		}
	}
	for _, foreign := range slices.Compact(slices.Sorted(slices.Values(module.Foreign))) {
		if plugin.IsNewerModule(foreign) {
			r.Faults = append(r.Faults, plugin.ErrNewer.Error())
			continue
		}
		r.Faults = append(r.Faults, fmt.Sprintf("it imports functions of %q: there are those of %s", foreign, strings.Join(module.Offered, " and of ")))
	}
	for _, service := range r.contract.HostServices() {
		if slices.Contains(granted, service.Permission) && !r.uses(service.Permission) {
			r.Warnings = append(r.Warnings, fmt.Sprintf("permission %s is asked for and never used", service.Permission))
		}
	}
}

// uses says whether the module imports a function of a permission.
func (r *Report) uses(permission string) bool {
	return slices.ContainsFunc(r.Imported, func(function string) bool {
		service, known := r.contract.HostService(function)
		return known && service.Permission == permission
	})
}

// exports tells which exports the module lacks that it needs, for itself and for its capabilities.
func (r *Report) exports(module *wasmrt.Interface) {
	for _, export := range module.Missing {
		r.Faults = append(r.Faults, fmt.Sprintf("it does not export %s", export))
	}
	if module.Program {
		r.Faults = append(r.Faults, "it is a program, not a library: with Go, build it with -buildmode=c-shared")
	}
	for _, capability := range module.Incomplete {
		r.Faults = append(r.Faults, fmt.Sprintf("capability %s: it does not export %s", capability.Name, strings.Join(capability.Methods, ", ")))
	}
}

// permissions warns of those that are unknown, or wide.
func (r *Report) permissions(p plugin.Permissions) {
	for _, unknown := range p.Unknown {
		r.Warnings = append(r.Warnings, fmt.Sprintf("permission %s is unknown and not granted", unknown))
	}
	if p.HTTP != nil {
		for _, pattern := range slices.Sorted(maps.Keys(p.HTTP.AllowedURLs)) {
			r.wide("http", pattern)
		}
		if _, err := netguard.Parse(p.HTTP.AllowedURLs); err != nil {
			r.Faults = append(r.Faults, fmt.Sprintf("permission http: %v", err))
		}
	}
	if p.WebSocket != nil {
		for _, pattern := range p.WebSocket.AllowedURLs {
			r.wide("websocket", pattern)
		}
		if _, err := netguard.ParseList(p.WebSocket.AllowedURLs); err != nil {
			r.Faults = append(r.Faults, fmt.Sprintf("permission websocket: %v", err))
		}
	}
}

// wide warns of a URL pattern that every host matches.
func (r *Report) wide(permission, pattern string) {
	_, rest, found := strings.Cut(pattern, "://")
	if !found {
		rest = pattern
	}
	host, _, _ := strings.Cut(rest, "/")
	host, _, _ = strings.Cut(host, ":")
	labels := strings.Split(host, ".")
	switch {
	case host == "", !strings.ContainsFunc(host, func(r rune) bool { return r != '*' && r != '.' }):
		r.Warnings = append(r.Warnings, fmt.Sprintf("permission %s: %s is every server on the internet", permission, pattern))
	case len(labels) == 2 && labels[0] == "*":
		r.Warnings = append(r.Warnings, fmt.Sprintf("permission %s: %s is every server below .%s", permission, pattern, labels[1]))
	}
}

// Ungranted says what to do about a host function that a plugin of a contract imports and is not
// granted.
func Ungranted(contract *schema.Contract, function string) string {
	service, known := contract.HostService(function)
	if !known {
		return "no host service has this function"
	}
	return fmt.Sprintf("add %q to the permissions in manifest.json, or do not call that service", service.Permission)
}
