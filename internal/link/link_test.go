package link_test

import (
	"slices"
	"testing"

	"github.com/pluginhost/pluginhost/internal/link"
	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/sdk/api/schema"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/wasmrt"
)

func TestTheABINeedsWhatTheManifestLists(t *testing.T) {
	manifest, _, err := plugin.ParseManifest(testenv.Manifest(nil, plugin.LifecycleManagement, plugin.Scrobbler))
	if err != nil {
		t.Fatal(err)
	}
	if contract := link.Contract(manifest); contract != schema.Navidrome058() {
		t.Errorf("the contract is %v", contract)
	}
	abi, ok := link.ABI(link.Contract(manifest), manifest.Capabilities).(wasmrt.GoPlugin)
	var exports []string
	for _, service := range abi.Services {
		exports = append(append(exports, service.Name, service.VersionExport), service.Methods...)
	}
	if want := []string{
		"Scrobbler", "scrobbler_api_version", "scrobbler_is_authorized", "scrobbler_now_playing", "scrobbler_scrobble",
		"LifecycleManagement", "lifecycle_management_api_version", "lifecycle_management_on_init",
	}; !ok || !slices.Equal(exports, want) {
		t.Errorf("got %q, want %q", exports, want)
	}
}
