package wasmrt

import "time"

// Isolation says what an instance keeps from one call to the next.
type Isolation string

const (
	// IsolationClean keeps nothing: after every call an instance is made what it
	// was before, byte by byte.
	IsolationClean Isolation = "clean"
	// IsolationReuse keeps everything: an instance serves many calls, one after
	// the other.
	IsolationReuse Isolation = "reuse"
	// IsolationFresh keeps nothing: every call gets an instance of its own, that
	// has run its _initialize.
	IsolationFresh Isolation = "fresh"
)

const (
	pageSize = 64 << 10
	// maxMemory is what 32-bit addresses reach, less a page: with all of them
	// wazero takes a memory for empty.
	maxMemory = 4<<30 - pageSize
)

// Limits bound what one module may use. The zero value of each field is its
// default.
type Limits struct {
	// Isolation defaults to IsolationClean. A module whose state is more than its
	// memory and globals runs as IsolationFresh instead.
	Isolation Isolation
	// PoolSize is how many idle instances are kept. Defaults to 8.
	PoolSize int
	// InstanceTTL is how long an idle instance is kept. Defaults to 1 minute.
	InstanceTTL time.Duration
	// MaxConcurrent is how many calls run at once. Defaults to 10.
	MaxConcurrent int
	// Queue is how many calls may wait. Defaults to 256; negative is none.
	Queue int
	// MaxMemory is what one guest may use, in bytes, rounded down to pages of
	// 64 KiB. Defaults to 256 MiB; 4 GiB less a page is the most.
	MaxMemory int64
	// MaxResult is how long a result may be, in bytes. Defaults to 64 MiB.
	MaxResult int
}

func (l Limits) withDefaults() Limits {
	if l.Isolation == "" {
		l.Isolation = IsolationClean
	}
	if l.PoolSize <= 0 {
		l.PoolSize = 8
	}
	if l.InstanceTTL <= 0 {
		l.InstanceTTL = time.Minute
	}
	if l.MaxConcurrent <= 0 {
		l.MaxConcurrent = 10
	}
	if l.Queue == 0 {
		l.Queue = 256
	}
	if l.MaxMemory <= 0 {
		l.MaxMemory = 256 << 20
	}
	l.MaxMemory = min(l.MaxMemory, maxMemory)
	if l.MaxResult <= 0 {
		l.MaxResult = 64 << 20
	}
	return l
}

// pages is MaxMemory in the unit of WebAssembly.
func (l Limits) pages() uint32 { return uint32(l.MaxMemory / pageSize) }

// runtimePages is what wazero is told: one page more, without which it would not
// let a memory shrink. The memory itself keeps to MaxMemory.
func (l Limits) runtimePages() uint32 { return l.pages() + 1 }
