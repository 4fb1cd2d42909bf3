//go:build !unix

package usage

import "time"

// CPU returns 0: the processor time of this process cannot be told here.
func CPU() time.Duration { return 0 }
