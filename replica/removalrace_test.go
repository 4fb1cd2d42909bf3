package replica

import (
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/pluginhost/pluginhost/plugin"
)

// The last plugin of a folder is removed by command, again and again, while the folder is
// looked at all the time: it is never taken for one that is away.
func TestAPluginThatIsRemovedByCommandWhileItIsLookedAtIsRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 300 {
		f := newPluginsFolder(dir, slog.New(slog.DiscardHandler))
		path := filepath.Join(dir, "p")
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(path, plugin.ManifestName), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		look := func() {
			if _, err := f.look(); err != nil {
				t.Error(err)
			}
		}
		look()
		removed := make(chan struct{})
		var looking sync.WaitGroup
		looking.Go(func() {
			for {
				select {
				case <-removed:
					return
				default:
					look()
					f.lookAt("p")
				}
			}
		})
		if _, err := plugin.Remove(t.Context(), dir, "p"); err != nil {
			t.Error(err)
		}
		close(removed)
		looking.Wait()
		look()
		if reason := f.kept("p"); reason != "" {
			t.Fatalf("it is kept: %s", reason)
		}
	}
}
