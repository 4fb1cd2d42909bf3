package plugintest

import "testing"

// SetMaxCallbacks sets how many callbacks of schedules one Advance runs.
func (h *Host) SetMaxCallbacks(most int) { h.callbacks = most }

// CodeFolder is where machine code is kept.
func CodeFolder(t testing.TB) string { return openCache(t).code }

// ModuleFile is where the module of the plugin in a folder is kept.
func ModuleFile(t testing.TB, dir string) string { return openCache(t).target(dir) }

// TryLoad is Load for plugins that do not load.
func TryLoad(t testing.TB, dir string) error {
	_, err := load(t, dir)
	return err
}
