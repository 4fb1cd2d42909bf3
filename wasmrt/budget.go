package wasmrt

import "sync/atomic"

// budget bounds the memory of all guests of a Runtime, in bytes.
type budget struct {
	limit int64 // 0 is none
	used  atomic.Int64
	// reclaim closes idle instances to free n bytes, and does nothing and reports
	// false where there are not enough of them.
	reclaim func(n int64) bool
}

// reserve takes n bytes, or reports that they are not to be had.
func (b *budget) reserve(n int64) bool {
	for {
		used := b.used.Load()
		if b.limit > 0 && used+n > b.limit {
			return false
		}
		if b.used.CompareAndSwap(used, used+n) {
			return true
		}
	}
}

// reserveByReclaiming is reserve for a call that would be refused otherwise: idle
// instances make room for it.
func (b *budget) reserveByReclaiming(n int64) bool {
	for !b.reserve(n) {
		if missing := b.used.Load() + n - b.limit; missing > 0 && !b.reclaim(missing) {
			return false
		}
	}
	return true
}

func (b *budget) release(n int64) { b.used.Add(-n) }
