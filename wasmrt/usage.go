package wasmrt

import "runtime"

// allocated is how many bytes Go has allocated since the process began.
func allocated() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.TotalAlloc
}
