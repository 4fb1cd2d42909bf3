package plugintest_test

import (
	"encoding/json"
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/testenv/guests"
)

// The tests in the authors' guide, each laid over the folder of its example.
func TestTheTestsOfTheGuidePass(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile(filepath.Join(guests.Root(), "docs", "plugin-authors.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```go test=([a-z]+)\n(.*?)^```$").FindAllStringSubmatch(string(guide), -1)
	if len(blocks) == 0 {
		t.Fatal("the guide has no tests")
	}
	for _, block := range blocks {
		example, content := block[1], block[2]
		t.Run(example, func(t *testing.T) {
			if formatted, err := format.Source([]byte(content)); err != nil || string(formatted) != content {
				t.Errorf("it is not formatted: %v", err)
			}
			file, overlay := filepath.Join(t.TempDir(), "guide_test.go"), filepath.Join(t.TempDir(), "overlay.json")
			replace, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(guests.Root(), "examples", example, "guide_test.go"): file}})
			if err != nil {
				t.Fatal(err)
			}
			for path, body := range map[string][]byte{file: []byte(content), overlay: replace} {
				if err := os.WriteFile(path, body, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			name := regexp.MustCompile(`func (Test\w+)`).FindStringSubmatch(content)[1]
			command := exec.CommandContext(t.Context(), "go", "test", "-overlay", overlay, "-run", "^"+name+"$", "-v", "./examples/"+example)
			command.Dir = guests.Root()
			output, err := command.CombinedOutput()
			if err != nil || !strings.Contains(string(output), "--- PASS: "+name) {
				t.Errorf("%v\n%s", err, output)
			}
		})
	}
}
