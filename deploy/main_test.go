package deploy_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pluginhost/pluginhost/testenv/guests"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wait bounds what has to happen at all.
const wait = 20 * time.Second

// read returns a file of this folder.
func read(t *testing.T, name ...string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(append([]string{guests.Root(), "deploy"}, name...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
