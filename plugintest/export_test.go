package plugintest

// SetMaxCallbacks sets how many callbacks of schedules one Advance runs.
func (h *Host) SetMaxCallbacks(most int) { h.callbacks = most }
