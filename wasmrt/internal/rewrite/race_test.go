//go:build race

package rewrite

const raceEnabled = true

// raceScripts are the scripts that run under the race detector, which slows
// wazero's compiler down.
var raceScripts = []string{
	"address.json", "binary.json", "binary-leb128.json", "bulk.json", "call_indirect.json", "custom.json", "data.json", "elem.json",
	"exports.json", "func_ptrs.json", "global.json", "imports.json", "linking.json", "loop.json", "memory_copy.json",
	"memory_fill.json", "memory_grow.json", "ref_func.json", "simd_const.json", "simd_lane.json", "simd_select.json", "start.json",
	"table_copy.json", "table_grow.json", "table_init.json", "unreached-valid.json", "unreached-invalid.json",
}

var (
	specCounts = map[string]int{"module": 500, "assert_return": 5000, "assert_trap": 1500, "assert_invalid": 500}
	specCalls  = map[int64]int{0: 100_000}
)
