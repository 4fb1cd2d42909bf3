package jet

import "time"

// WallPassed is how much time has passed by the clock on the wall: that of a machine
// which slept goes on, and the monotonic one may not.
func WallPassed(from, to time.Time) time.Duration { return to.Round(0).Sub(from.Round(0)) }

// Passed is how much time has passed by the clock that says more: the monotonic one may stand
// still while a machine sleeps, and that on the wall may be set back.
func Passed(from, to time.Time) time.Duration { return max(to.Sub(from), WallPassed(from, to)) }
