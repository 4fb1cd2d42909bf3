package netguard

import (
	"context"
	"net/netip"
)

// IsHere reports whether an address is one of this machine, where the system tells its
// interfaces and where it does not.
func IsHere(ctx context.Context, addr netip.Addr) (told, untold bool) {
	return thisMachine().has(ctx, addr), machine{}.has(ctx, addr)
}
