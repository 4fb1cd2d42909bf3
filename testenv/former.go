package testenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/gofrs/flock"

	"github.com/pluginhost/pluginhost/testenv/guests"
)

// FormerBinary builds the pluginhost command as it was at a commit of this repository, and
// returns the file. The test is skipped where the commit is not at hand, as in a copy
// without the history.
func FormerBinary(t testing.TB, commit string) string {
	t.Helper()
	if out, err := git("cat-file", "-e", commit+"^{commit}"); err != nil {
		t.Skipf("the former version is not at hand, fetch the whole history to test with it: %v\n%s", err, out)
	}
	file := filepath.Join(guests.CacheDir(t, "bin"), "pluginhost-"+commit)
	lock := flock.New(file + ".lock")
	if err := lock.Lock(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Unlock() }()
	if _, err := os.Stat(file); err == nil {
		return file
	}
	source := t.TempDir()
	archive := filepath.Join(source, "source.tar")
	if out, err := git("archive", "--format=tar", "-o", archive, commit); err != nil {
		t.Fatalf("git archive: %v\n%s", err, out)
	}
	if out, err := exec.Command("tar", "-xf", archive, "-C", source).CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", file, "./cmd/pluginhost")
	cmd.Dir = source
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return file
}

func git(args ...string) ([]byte, error) {
	return exec.Command("git", append([]string{"-C", guests.Root()}, args...)...).CombinedOutput()
}
