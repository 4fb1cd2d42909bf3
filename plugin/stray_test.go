package plugin

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestFilesThatLookLikePluginsAreStrays(t *testing.T) {
	dir := t.TempDir()
	writePlugin(t, dir, "good", `{}`)
	mkdir(t, filepath.Join(dir, "folder.ndp"))
	for _, name := range []string{"covers.ndp", "Module.WASM", ".hidden.ndp", "notes.txt", "covers.ndp.bak"} {
		writeFile(t, filepath.Join(dir, name), "")
	}
	symlink(t, filepath.Join(dir, "covers.ndp"), filepath.Join(dir, "linked.ndp"))
	symlink(t, filepath.Join(dir, "nowhere"), filepath.Join(dir, "broken.ndp"))
	want := []string{"Module.WASM", "covers.ndp", "linked.ndp"}
	strays, err := Strays(dir)
	if err != nil || !slices.Equal(strays, want) {
		t.Errorf("got %q, %v", strays, err)
	}
	if survey, err := Look(dir); err != nil || !slices.Equal(survey.Strays, want) {
		t.Errorf("the survey has %q, %v", survey.Strays, err)
	}
	for name, test := range map[string]struct {
		strays []string
		says   []string
	}{
		"none":          {nil, nil},
		"a package":     {[]string{"covers.ndp"}, []string{"pluginhost plugin install " + filepath.Join(dir, "covers.ndp")}},
		"a module":      {[]string{"covers.wasm"}, []string{"a folder with plugin.wasm and manifest.json"}},
		"several files": {want, []string{`"Module.WASM"`, "2 more"}},
	} {
		text := StrayText(dir, test.strays)
		for _, says := range test.says {
			if !strings.Contains(text, says) {
				t.Errorf("%s: %q does not say %q", name, text, says)
			}
		}
		if (text == "") != (test.strays == nil) {
			t.Errorf("%s: %q", name, text)
		}
	}
}
