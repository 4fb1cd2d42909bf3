package config

import (
	"fmt"
	"strings"
	"testing"
)

func TestPluginConfigArrivesAsPluginsExpectIt(t *testing.T) {
	l := parseFile([]byte(`
[PluginConfig.my-plugin]
ApiKey = "Secret Value"
on = true
OFF = false
number = 0x10
negative = -5
float = 1.5
large = 1e21
small = 1e-7
empty = ""
"with.dot" = "kept"
`))
	if len(l.faults) > 0 {
		t.Fatal(l.faults)
	}
	equal(t, l.config.PluginConfig, map[string]map[string]string{"my-plugin": {
		"apikey": "Secret Value", "on": "1", "off": "0", "number": "16", "negative": "-5", "float": "1.5",
		"large": "1000000000000000000000", "small": "0.0000001", "empty": "", "with.dot": "kept",
	}})
}

func TestPluginIdsMayHaveDots(t *testing.T) {
	for name, file := range map[string]string{
		"in quotes":        "[PluginConfig.\"my.plugin\"]\nk = 1\n[Runtime.Plugin.\"my.plugin\"]\nQueue = 1\n[Scrobbles.Plugin.\"my.plugin\"]\nRetry = [\"x\"]",
		"as sections":      "[PluginConfig.my.plugin]\nk = 1\n[Runtime.Plugin.my.plugin]\nQueue = 1\n[Scrobbles.Plugin.my.plugin]\nRetry = [\"x\"]",
		"as dotted keys":   "[PluginConfig]\nmy.plugin.k = 1\n[Runtime]\nPlugin.my.plugin.Queue = 1\n[Scrobbles]\nPlugin.my.plugin.Retry = [\"x\"]",
		"as inline tables": "PluginConfig = {my = {plugin = {k = 1}}}\nRuntime = {Plugin = {\"my.plugin\" = {Queue = 1}}}\nScrobbles = {Plugin = {my = {\"plugin\" = {Retry = [\"x\"]}}}}",
	} {
		t.Run(name, func(t *testing.T) {
			l := parseFile([]byte(file))
			if len(l.faults) > 0 {
				t.Fatal(l.faults)
			}
			equal(t, l.config.PluginConfig, map[string]map[string]string{"my.plugin": {"k": "1"}})
			equal(t, l.config.Runtime.Plugin, map[string]RuntimeOverride{"my.plugin": {Queue: new(1)}})
			equal(t, l.config.Scrobbles.Plugin, map[string]ScrobbleWords{"my.plugin": {Retry: []string{"x"}}})
		})
	}
}

func TestAPluginAndOneWithALongerIdAreTwo(t *testing.T) {
	l := parseFile([]byte("[PluginConfig.my]\na = 1\n[PluginConfig.my.plugin]\nb = 2\n[PluginConfig.My.other]\nc = 3"))
	if len(l.faults) > 0 {
		t.Fatal(l.faults)
	}
	equal(t, l.config.PluginConfig, map[string]map[string]string{"my": {"a": "1"}, "my.plugin": {"b": "2"}, "My.other": {"c": "3"}})
}

func TestAnEntryNamedLikeTheEndOfAnotherIdKeepsToItsPlugin(t *testing.T) {
	var file strings.Builder
	want := map[string]map[string]string{}
	for i := range 20 { // many, as mixing them up would depend on the order of a map
		id := fmt.Sprintf("p%d", i)
		fmt.Fprintf(&file, "[PluginConfig.%s]\nplugin = 1\n[PluginConfig.\"%s.plugin\"]\nk = 2\n", id, id)
		want[id], want[id+".plugin"] = map[string]string{"plugin": "1"}, map[string]string{"k": "2"}
	}
	l := parseFile([]byte(file.String()))
	if len(l.faults) > 0 {
		t.Fatal(l.faults)
	}
	equal(t, l.config.PluginConfig, want)
}

func TestAnEmptySectionIsNone(t *testing.T) {
	l := parseFile([]byte("[PluginConfig.p]\n[Runtime.Plugin.p]\n[Scrobbles.Plugin.p]\n"))
	if len(l.faults) > 0 || len(l.config.PluginConfig) > 0 || len(l.config.Scrobbles.Plugin) > 0 || len(l.config.Runtime.Plugin) > 0 {
		t.Errorf("faults %v, plugins %v and %v, want none", l.faults, l.config.PluginConfig, l.config.Runtime.Plugin)
	}
}

func TestPluginSectionsAreFoundWhateverTheCaseOfTheId(t *testing.T) {
	got, err := configCase{file: "[plugincoNFIG.MyPlugin]\nKey = \"v\"\n[runtime.PLUGIN.MyPlugin]\nqueue = 3\n[scrobbles.plugin.MyPlugin]\nFINAL = [\"gone\"]"}.serve(t)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, got.PluginConfigFor("myplugin"), map[string]string{"key": "v"})
	if queue := got.Runtime.For("MYPLUGIN").Queue; queue != 3 {
		t.Errorf("the queue is %d, want 3", queue)
	}
	equal(t, got.Scrobbles.WordsFor("myPLUGIN"), ScrobbleWords{Final: []string{"gone"}})
}

func TestFaultsOfPluginSections(t *testing.T) {
	for name, tc := range map[string]struct{ file, want string }{
		"twin sections":           {"[PluginConfig.A]\nk = 1\n[PluginConfig.a]\nk = 1", `[PluginConfig.a]: the same plugin as "A"`},
		"twins, one of them bare": {"[PluginConfig.\"my.p\"]\nk = 1\n[PluginConfig.my.p]\nk = 1", `[PluginConfig."my.p"]: there is another section`},
		"twins, one empty":        {"[PluginConfig.A]\n[PluginConfig.a]\nk = 1", `[PluginConfig.a]: the same plugin as "A"`},
		"twin entries":            {"[PluginConfig.a]\nKey = 1\nkey = 2", `[PluginConfig.a] key: the same entry as "Key"`},
		"a list":                  {"[PluginConfig.a]\nKey = [\"secret\"]", "[PluginConfig.a] Key: a list is not allowed"},
		"twins with words":        {"[Scrobbles.Plugin.A]\nRetry = [\"x\"]\n[Scrobbles.Plugin.a]\nRetry = [\"x\"]", `[Scrobbles.Plugin.a]: the same plugin as "A"`},
		"words without id":        {"[Scrobbles.Plugin]\nRetry = [\"x\"]", "[Scrobbles.Plugin] Retry: a list is not allowed; only sections with a plugin id"},
		"words for an empty id":   {"[Scrobbles.Plugin.\"\"]\nRetry = []", `[Scrobbles.Plugin.""]: the plugin id is empty`},
		"one word":                {"[Scrobbles.Plugin.a]\nRetry = \"x\"", "[Scrobbles.Plugin.a] Retry: a string is not allowed; it takes a list of strings"},
		"a list of sections":      {"[[PluginConfig.a]]\nk = 1", "[PluginConfig] a: a list is not allowed; only sections with a plugin id stand here, such as [PluginConfig.my-plugin]"},
		"a date":                  {"[PluginConfig.a]\nk = 2020-01-01", "[PluginConfig.a] k: a date or time is not allowed"},
		"a value without id":      {"[PluginConfig]\nk = 1", "[PluginConfig] k: a whole number is not allowed; only sections with a plugin id"},
		"an override without id":  {"[Runtime.Plugin]\nQueue = 1", "[Runtime.Plugin] Queue: a whole number is not allowed; only sections with a plugin id"},
		"an empty id":             {"[PluginConfig.\"\"]\nk = 1", `[PluginConfig.""]: the plugin id is empty`},
		"too deep":                {"[PluginConfig.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a]\nk = 1", "[PluginConfig.a]: more than 16 sections"},
	} {
		t.Run(name, func(t *testing.T) {
			wantLines(t, &LoadError{Faults: parseFile([]byte(tc.file)).faults}, "test.toml: "+tc.want)
		})
	}
}
