package plugintest

import "testing"

// SetMaxCallbacks sets how many callbacks of schedules one Advance runs.
func (h *Host) SetMaxCallbacks(most int) { h.callbacks = most }

// CodeFolder is where machine code is kept.
func CodeFolder(t testing.TB) string { return openCache(t).code }
