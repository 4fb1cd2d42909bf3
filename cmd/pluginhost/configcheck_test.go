package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestConfigCheckTellsAllFaultsAndWarnings(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	addEcho(t, folder)
	for name, test := range map[string]struct {
		content  string
		code     int
		faults   []string // what each names
		warnings []string
	}{
		"nothing is wrong":               {content: "[PluginConfig.ECHO]\nkey = 1\n"},
		"several faults":                 {content: "Named = 1\n[Runtime]\nPoolSize = 0\nTimeout = \"x\"\n", code: exitFailure, faults: []string{"Named", "[Runtime] Timeout", "[Runtime] PoolSize"}},
		"no TOML":                        {content: "[Runtime\n", code: exitFailure, faults: []string{"line 1"}},
		"an empty file":                  {content: " \n", warnings: []string{"it is empty"}},
		"a mistyped plugin":              {content: "[PluginConfig.ecco]\nkey = 1\n", warnings: []string{`[PluginConfig.ecco]: there is no such plugin in ` + folder + `, unless it is installed for the cluster; did you mean "echo"?`}},
		"a plugin that is nowhere":       {content: "[PluginConfig.wikipedia]\nkey = 1\n", warnings: []string{"[PluginConfig.wikipedia]: there is no such plugin"}},
		"limits for a mistyped plugin":   {content: "[Runtime.Plugin.eco]\nPoolSize = 1\n", warnings: []string{`[Runtime.Plugin.eco]: there is no such plugin`}},
		"words for a mistyped plugin":    {content: "[Scrobbles.Plugin.eco]\nRetry = [\"busy\"]\n", warnings: []string{`[Scrobbles.Plugin.eco]: there is no such plugin`}},
		"users and proxies":              {content: "[HTTP]\nTrustedProxies = [\"::1\"]\n[[Users]]\nName = \"joe\"\nID = \"1\"\n"},
		"faults of users and proxies":    {content: "[HTTP]\nTrustedProxies = [\"x\"]\n[[Users]]\nName = \"joe\"\nIDs = \"1\"\n", code: exitFailure, faults: []string{"[[Users]] 1: IDs: unknown key; did you mean ID?", `[HTTP] TrustedProxies: "x"`, "[[Users]] 1: ID: it is missing"}},
		"a fault and a plugin not there": {content: "[Runtime]\nPoolSize = 0\n[PluginConfig.ecco]\nkey = 1\n", code: exitFailure, faults: []string{"[Runtime] PoolSize"}},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "host.toml")
			if err := os.WriteFile(file, []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			text := pluginhost(t.Context(), "", "config", "check", file, "--plugins", folder)
			machine := pluginhost(t.Context(), "", "config", "check", file, "--plugins", folder, "--json")
			var checked checkedConfig
			if err := json.Unmarshal([]byte(machine.out), &checked); err != nil {
				t.Fatalf("%v\n%+v", err, machine)
			}
			if text.code != test.code || machine.code != test.code || checked.V != 1 || checked.File != file {
				t.Errorf("the exit codes are %d and %d, want %d: %+v", text.code, machine.code, test.code, checked)
			}
			for what, pair := range map[string]struct {
				items []checkedItem
				want  []string
			}{"faults": {checked.Faults, test.faults}, "warnings": {checked.Warnings, test.warnings}} {
				if len(pair.items) != len(pair.want) {
					t.Errorf("%d %s, want %d: %+v", len(pair.items), what, len(pair.want), pair.items)
				}
				for _, want := range pair.want {
					named := func(item checkedItem) bool { return strings.Contains(item.At+": "+item.Text, want) }
					if !slices.ContainsFunc(pair.items, named) || !strings.Contains(text.out, want) {
						t.Errorf("the %s lack %q: %+v\n%s", what, want, pair.items, text.out)
					}
				}
			}
		})
	}
}

func TestConfigCheckOfAFileThatIsNotThere(t *testing.T) {
	t.Parallel()
	got := pluginhost(t.Context(), "", "config", "check", filepath.Join(t.TempDir(), "host.toml"))
	if got.code != exitFailure || !strings.Contains(got.out, "no such file") {
		t.Errorf("%+v", got)
	}
	if got := pluginhost(t.Context(), "", "config", "check", "a", "--config", "b"); got.code != exitUsage {
		t.Errorf("two files: %+v", got)
	}
}
