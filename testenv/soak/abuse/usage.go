package abuse

import (
	"context"

	"github.com/pluginhost/pluginhost/testenv/soak/usage"
)

// spare is what a process may use more of after abuse. It is more than
// usage.Spare: floods and allocations without end leave the process with a larger
// heap. The least that one lost call costs is an instance of 64 KiB or a goroutine.
func spare() usage.Usage {
	spare := usage.Spare()
	spare.Heap, spare.Resident, spare.Private = 16<<20, 32<<20, 32<<20
	// Instances that a call has grown stay in the pools, and their memory is in
	// several parts.
	spare.Mappings = 64
	return spare
}

// Settle is usage.Settle, with what may be used more of after abuse.
func Settle(ctx context.Context, before usage.Usage) (now usage.Usage, grown []string) {
	return usage.Settle(ctx, before, spare())
}
