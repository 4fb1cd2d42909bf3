package plugin

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
)

// ErrNewer says that a plugin was made for a newer Navidrome than those whose plugins run here.
var ErrNewer = errors.New("it is a plugin for Navidrome 0.60 or newer, whose plugins have another interface: those for 0.57 to 0.59 run here, so look for an older release of it, or leave it to Navidrome")

// newerModule begins the name of the modules that newer plugins import their functions from, and those of no others.
const newerModule = "extism:host/"

// IsNewerModule says whether only plugins for a newer Navidrome import functions from a module of this name.
func IsNewerModule(name string) bool { return strings.HasPrefix(name, newerModule) }

// listsCapabilities says whether a manifest has capabilities, as those of newer plugins have not. It is so of what is no
// manifest at all.
func listsCapabilities(manifest []byte) bool {
	var keys map[string]json.RawMessage
	if json.Unmarshal(manifest, &keys) != nil {
		return true
	}
	for key := range keys {
		if strings.EqualFold(key, "capabilities") {
			return true
		}
	}
	return false
}

// isNewer says whether a module whose manifest has no capabilities is that of a newer plugin.
func isNewer(wasm []byte) bool { return bytes.Contains(wasm, []byte(newerModule)) }
