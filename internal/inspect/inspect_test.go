package inspect_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/internal/inspect"
	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

func TestReport(t *testing.T) {
	anywhere := map[string]any{
		"http":      map[string]any{"reason": "r", "allowedUrls": map[string]any{"https://*": []string{"*"}, "https://example.com/*": []string{"*"}}},
		"websocket": map[string]any{"reason": "r", "allowedUrls": []string{"wss://*:443/feed"}},
		"teleport":  map[string]any{"reason": "r"},
	}
	for name, c := range map[string]struct {
		guest            guests.Handmade
		permissions      map[string]any
		capabilities     []string
		faults, warnings []string
	}{
		"nothing wrong": {guests.Handmade{}, nil, nil, nil, nil},
		"an import that is not granted": {
			guests.Handmade{Imports: []string{"get_plugin_config"}}, nil, nil,
			[]string{`it imports get_plugin_config: add "config" to the permissions in manifest.json, or do not call that service`}, nil,
		},
		"an import that nobody has": {guests.Handmade{Imports: []string{"fly"}}, nil, nil, []string{"it imports fly: no host service has this function"}, nil},
		"a permission that is not used": {
			guests.Handmade{}, map[string]any{"config": map[string]any{"reason": "r"}}, nil, nil,
			[]string{"permission config is asked for and never used"},
		},
		"schedules that call nobody back": {
			guests.Handmade{Imports: []string{"schedule_recurring"}}, map[string]any{"scheduler": map[string]any{"reason": "r"}}, nil, nil,
			[]string{"it uses scheduler without the capability SchedulerCallback: nothing calls it back"},
		},
		"permissions for every server, and one that is unknown": {
			guests.Handmade{}, anywhere, nil, nil,
			[]string{
				"permission http is asked for and never used", "permission websocket is asked for and never used",
				"permission teleport is unknown and not granted",
				"permission http: https://* is every server on the internet", "permission websocket: wss://*:443/feed is every server on the internet",
			},
		},
		"a capability without its exports": {
			guests.Handmade{Capabilities: []string{plugin.LifecycleManagement}}, nil, []string{plugin.LifecycleManagement, plugin.SchedulerCallback},
			[]string{"capability SchedulerCallback: it does not export scheduler_callback_api_version, scheduler_callback_on_scheduler_callback"}, nil,
		},
		"no memory": {
			guests.Handmade{Omit: "memory"}, nil, nil, []string{"memory is not exported"}, nil,
		},
		"a WASI function that nobody has": {guests.Handmade{WASI: "fd_wrate", WASIParams: 1}, nil, nil, []string{"fd_wrate"}, nil},
		"code that is not valid":          {guests.Handmade{Body: []byte{0x41, 0x00}}, nil, nil, []string{"not a valid WebAssembly module"}, nil},
		"a URL pattern that is none": {
			guests.Handmade{}, map[string]any{"http": map[string]any{"reason": "r", "allowedUrls": map[string]any{"https://[::1": []string{"*"}}}}, nil,
			[]string{"permission http: "}, []string{"permission http is asked for and never used"},
		},
		"no malloc": {guests.Handmade{Omit: "malloc"}, nil, nil, []string{"it does not export malloc"}, nil},
		"a program": {guests.Handmade{Start: true}, nil, nil, []string{"it is a program, not a library: with Go, build it with -buildmode=c-shared"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if c.capabilities == nil {
				c.capabilities = []string{plugin.MetadataAgent}
			}
			manifest, _, err := plugin.ParseManifest(testenv.Manifest(c.permissions, c.capabilities...))
			if err != nil {
				t.Fatal(err)
			}
			r := inspect.Plugin(t.Context(), manifest, c.guest.Bytes(), nil)
			if !slices.EqualFunc(r.Faults, c.faults, strings.Contains) {
				t.Errorf("faults %q, want %q", r.Faults, c.faults)
			}
			slices.Sort(r.Warnings)
			slices.Sort(c.warnings)
			if !slices.Equal(r.Warnings, c.warnings) {
				t.Errorf("warnings %q, want %q", r.Warnings, c.warnings)
			}
			if !slices.Equal(r.Imported, c.guest.Imports) {
				t.Errorf("imports %q, want %q", r.Imported, c.guest.Imports)
			}
		})
	}
}

func TestReportOfWhatIsNoModule(t *testing.T) {
	manifest, _, err := plugin.ParseManifest(testenv.Manifest(map[string]any{"cache": map[string]any{"reason": "r"}}, plugin.MetadataAgent))
	if err != nil {
		t.Fatal(err)
	}
	r := inspect.Plugin(t.Context(), manifest, []byte("#!/bin/sh"), nil)
	if len(r.Faults) != 1 || !strings.Contains(r.Faults[0], "not a WebAssembly module") || !slices.Contains(r.Granted, "set_string") {
		t.Errorf("got %+v", r)
	}
}

func TestIsolationIsToldWithItsReason(t *testing.T) {
	manifest, _, err := plugin.ParseManifest(testenv.Manifest(nil, plugin.MetadataAgent))
	if err != nil {
		t.Fatal(err)
	}
	if r := inspect.Plugin(t.Context(), manifest, guests.Handmade{}.Bytes(), nil); r.Isolation != "clean" || r.IsolationReason != "" {
		t.Errorf("got %+v", r)
	}
}
