package wasmrt

import "sync/atomic"

// budget bounds the memory of all guests of a Runtime, in bytes.
type budget struct {
	limit int64 // 0 is none
	used  atomic.Int64
	// reclaim frees memory that no call needs and reports whether it found any.
	reclaim func() bool
}

// reserve takes n bytes, or reports that they are not to be had.
func (b *budget) reserve(n int64) bool {
	for b.limit > 0 {
		used := b.used.Load()
		if used+n <= b.limit {
			if b.used.CompareAndSwap(used, used+n) {
				return true
			}
			continue
		}
		if b.reclaim == nil || !b.reclaim() {
			return false
		}
	}
	b.used.Add(n)
	return true
}

func (b *budget) release(n int64) { b.used.Add(-n) }
