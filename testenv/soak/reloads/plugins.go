package reloads

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

// The plugins that Install adds.
const (
	agent    = "agent"    // has two versions
	compiled = "compiled" // guests.Probe; its file stays
)

// skip returns the request without its first byte.
var skip = []byte{
	0x20, 0x00, 0x41, 0x01, 0x6a, 0xad, 0x42, 0x20, 0x86, // local.get 0, i32.const 1, i32.add, i64.extend_i32_u, i64.const 32, i64.shl
	0x20, 0x01, 0x41, 0x01, 0x6b, 0xad, 0x84, // local.get 1, i32.const 1, i32.sub, i64.extend_i32_u, i64.or
}

// version is one of those of agent.
type version struct {
	wasm []byte
	// answer is what it returns for a request.
	answer func(request string) string
}

// versions differ in the size of their memory too.
func versions() [2]version {
	return [2]version{
		{guests.Handmade{Body: guests.Echo, Pages: 20}.Bytes(), func(request string) string { return request }},
		{guests.Handmade{Body: skip, Pages: 2}.Bytes(), func(request string) string { return request[1:] }},
	}
}

// broken are files that cannot be loaded: one is no module, one traps when it is
// initialised.
func broken() [2][]byte {
	return [2][]byte{[]byte("none"), guests.Handmade{Initialize: guests.Trap}.Bytes()}
}

// Install adds the plugins to the folder of a replica that is yet to start.
func Install(t testing.TB, config *config.Config) {
	t.Helper()
	manifest := testenv.Manifest(nil, "MetadataAgent")
	testenv.AddPlugin(t, config.Plugins.Folder, agent, manifest, versions()[0].wasm)
	testenv.AddPlugin(t, config.Plugins.Folder, compiled, testenv.Manifest(nil, "MetadataAgent", "Scrobbler"), guests.Wasm(t, guests.Probe))
}

// replace puts another file into the place of agent's.
func replace(folder string, wasm []byte) error {
	file := filepath.Join(folder, agent, "plugin.wasm")
	temp := file + ".new"
	if err := os.WriteFile(temp, wasm, 0o600); err != nil {
		return err
	}
	return os.Rename(temp, file)
}
