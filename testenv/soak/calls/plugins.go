package calls

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

// The plugins that Install adds.
const (
	probe    = "probe"    // guests.Probe, in little memory
	echo     = "echo"     // returns every request
	trapping = "trapping" // traps at every call
	settings = "settings" // returns its configuration, as the host gives it
	fetching = "fetching" // has the host send the HTTP request that it is given
)

const (
	// probeMemory is what an instance of probe may use, in bytes.
	probeMemory = 16 << 20
	// entry is what the configuration of settings has, under entryKey.
	entry    = "what settings must return"
	entryKey = "entry"
)

// Plugins are those of a replica that calls are made to.
type Plugins struct {
	// web answers the path of each request.
	web string
}

// Install adds the plugins to the folder of a replica that is yet to start.
func Install(t testing.TB, host *config.Config) *Plugins {
	t.Helper()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, r.URL.Path)
	}))
	t.Cleanup(web.Close)
	folder, agent := host.Plugins.Folder, testenv.Manifest(nil, "MetadataAgent")
	testenv.AddPlugin(t, folder, probe, testenv.Manifest(nil, "MetadataAgent", "Scrobbler"), guests.Wasm(t, guests.Probe))
	testenv.AddPlugin(t, folder, echo, agent, guests.Handmade{Body: guests.Echo}.Bytes())
	testenv.AddPlugin(t, folder, trapping, agent, guests.Handmade{Body: guests.Trap}.Bytes())
	testenv.AddPlugin(t, folder, settings,
		testenv.Manifest(map[string]any{"config": map[string]any{"reason": "to return it"}}, "MetadataAgent"),
		guests.Handmade{Imports: []string{"get_plugin_config"}, Body: guests.CallImport}.Bytes())
	testenv.AddPlugin(t, folder, fetching,
		testenv.Manifest(map[string]any{"http": map[string]any{
			"reason": "to ask for pages", "allowLocalNetwork": true,
			"allowedUrls": map[string]any{web.URL + "/*": []string{"GET"}},
		}}, "MetadataAgent"),
		guests.Handmade{Imports: []string{"get"}, Body: guests.CallImport}.Bytes())
	memory := int64(probeMemory)
	host.Runtime.Plugin = map[string]config.RuntimeOverride{probe: {MaxMemory: &memory}}
	host.PluginConfig = map[string]map[string]string{settings: {entryKey: entry}}
	return &Plugins{web: web.URL}
}
