package memory

import (
	"encoding/binary"
	"testing"

	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

// The plugins. All but Bystander want memory.
const (
	bystander = "bystander" // returns every request, in 16 MB
	stuffing  = "stuffing"  // caches values of 900 kB for ever
	bloated   = "bloated"   // hands values of 64 MB to the cache for ever
	digging   = "digging"   // calls itself without end
	fetching  = "fetching"  // hands its requests to http's post
	named     = "named"     // a Scrobbler that returns every request
)

// hogs are plugins that grow for as long as they may, fill all of it and go on doing so.
func hogs() []string { return []string{"hog1", "hog2", "hog3"} }

// Small pieces of code.
var (
	recurse = []byte{0x20, 0x00, 0x20, 0x01, 0x10, 0x01} // local.get 0, local.get 1, call 1
	gorge   = []byte{
		0x03, 0x40, 0x41, 0x10, 0x40, 0x00, 0x41, 0x7f, 0x47, 0x0d, 0x00, 0x0b, // loop, memory.grow 16, i32.const -1, i32.ne, br_if 0, end
		0x03, 0x40, // loop
		0x41, 0x00, 0x41, 0x01, 0x3f, 0x00, 0x41, 0x10, 0x74, // i32.const 0, i32.const 1, memory.size, i32.const 16, i32.shl
		0xfc, 0x0b, 0x00, // memory.fill
		0x0c, 0x00, 0x0b, 0x42, 0x00, // br 0, end, i64.const 0
	}
)

// caching is a guest that hands a value of so many bytes to the cache, for ever.
func caching(size int) guests.Handmade {
	const at = 16384
	head := binary.AppendUvarint([]byte{0x0a, 0x01, 'k', 0x12}, uint64(size))
	for len(head) < 8 {
		head = append(head, 0) // of the value
	}
	body := concat([]byte{0x41}, signed(at), []byte{0x42}, signed(int64(binary.LittleEndian.Uint64(head))), []byte{0x37, 0x00, 0x00}) // i64.store
	total := int64(len(binary.AppendUvarint([]byte{0x0a, 0x01, 'k', 0x12}, uint64(size))) + size)
	body = concat(body, []byte{0x03, 0x40, 0x41}, signed(at), []byte{0x41}, signed(total), []byte{0x10, 0x00, 0x1a, 0x0c, 0x00, 0x0b, 0x42, 0x00}) // loop, call 0, drop, br 0, end, i64.const 0
	return guests.Handmade{Imports: []string{"set_bytes"}, Body: body, Pages: uint32(size>>16) + 2}
}

func install(t testing.TB, folder, site string) {
	t.Helper()
	agent := testenv.Manifest(nil, "MetadataAgent")
	cache := testenv.Manifest(map[string]any{"cache": map[string]any{"reason": "test"}}, "MetadataAgent")
	testenv.AddPlugin(t, folder, bystander, agent, guests.Handmade{Body: guests.Echo, Pages: 256}.Bytes())
	testenv.AddPlugin(t, folder, stuffing, cache, caching(900_000).Bytes())
	testenv.AddPlugin(t, folder, bloated, cache, caching(64<<20).Bytes())
	testenv.AddPlugin(t, folder, digging, agent, guests.Handmade{Body: recurse}.Bytes())
	testenv.AddPlugin(t, folder, fetching, testenv.Manifest(map[string]any{"http": map[string]any{
		"reason": "test", "allowedUrls": map[string]any{site + "/*": []string{"*"}}, "allowLocalNetwork": true,
	}}, "MetadataAgent"), guests.Handmade{Imports: []string{"post"}, Body: guests.CallImport, Pages: 200}.Bytes())
	testenv.AddPlugin(t, folder, named, testenv.Manifest(nil, "Scrobbler"), guests.Handmade{Capabilities: []string{"Scrobbler"}, Body: guests.Echo, Pages: 128}.Bytes())
	for _, id := range hogs() {
		testenv.AddPlugin(t, folder, id, agent, guests.Handmade{Body: gorge}.Bytes())
	}
}

func concat(parts ...[]byte) (out []byte) {
	for _, part := range parts {
		out = append(out, part...)
	}
	return out
}

// signed is a number as WebAssembly writes it.
func signed(v int64) (out []byte) {
	for {
		b := byte(v & 0x7f)
		v >>= 7
		if v == 0 && b&0x40 == 0 || v == -1 && b&0x40 != 0 {
			return append(out, b)
		}
		out = append(out, b|0x80)
	}
}
