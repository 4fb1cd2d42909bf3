package abuse

import (
	"testing"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

// The plugins that Install adds. All but Probe and Bystander are written byte
// by byte: they misbehave when a request is empty and otherwise return its
// bytes.
const (
	// Probe is guests.Probe, in little memory.
	Probe = "probe"
	// Bystander returns every request.
	Bystander = "bystander"

	trapping    = "trapping"
	looping     = "looping"
	recursing   = "recursing"
	outOfBounds = "outofbounds"
	huge        = "huge"
	emptyError  = "emptyerror"
	tooLong     = "toolong"
)

// probeMemory is what an instance of Probe may use, in bytes: what grows without
// end is soon stopped.
const probeMemory = 8 << 20

// recurse calls the method itself, which is the first function of a module
// without imports but for its version.
var recurse = []byte{0x20, 0x00, 0x20, 0x01, 0x10, 0x01} // local.get 0, local.get 1, call 1

// twoMegabytes returns 2 MiB of the memory, beginning at address 8.
var twoMegabytes = []byte{
	0x42, 0x80, 0x80, 0x80, 0x01, // i64.const 2<<20
	0x42, 0x08, 0x42, 0x20, 0x86, 0x84, // i64.const 8, i64.const 32, i64.shl, i64.or
}

// Install adds the plugins to the folder of a replica that is yet to start, and
// bounds what they use.
func Install(t testing.TB, host *config.Config) {
	t.Helper()
	manifest := testenv.Manifest(nil, "MetadataAgent")
	folder := host.Plugins.Folder
	testenv.AddPlugin(t, folder, Probe, testenv.Manifest(nil, "MetadataAgent", "Scrobbler"), guests.Wasm(t, guests.Probe))
	testenv.AddPlugin(t, folder, Bystander, manifest, guests.Handmade{Body: guests.Echo}.Bytes())
	for id, body := range map[string][]byte{
		trapping:    guests.Trap,
		looping:     guests.Loop,
		recursing:   recurse,
		outOfBounds: guests.OutOfBounds,
		huge:        guests.HugeResult,
		emptyError:  guests.EmptyError,
	} {
		testenv.AddPlugin(t, folder, id, manifest, guests.Handmade{Body: whenEmpty(body)}.Bytes())
	}
	testenv.AddPlugin(t, folder, tooLong, manifest, guests.Handmade{Body: whenEmpty(twoMegabytes), Pages: 40}.Bytes())
	memory := int64(probeMemory)
	host.Runtime.Plugin = map[string]config.RuntimeOverride{Probe: {MaxMemory: &memory}}
}

// whenEmpty is a body that runs bad for an empty request and otherwise returns
// the request.
func whenEmpty(bad []byte) []byte {
	body := []byte{0x20, 0x01, 0x45, 0x04, 0x40} // local.get 1, i32.eqz, if
	body = append(body, bad...)
	body = append(body, 0x0f, 0x0b) // return, end
	return append(body, guests.Echo...)
}
