// Package wire_test holds what is on the wire of a replica: all of one session, as the golden file
// in testdata has it. What differs from one session to the next, such as ids and times, has a name
// there.
package wire_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/pluginhost/pluginhost/testenv"
)

var (
	update = flag.Bool("update", false, "write the golden file anew")
	binary = flag.String("binary", "", "record this pluginhost instead of the one of the tree")
)

// golden has the session.
const golden = "testdata/session.txt"

func TestSession(t *testing.T) {
	file := *binary
	if file == "" {
		file = testenv.Binary(t)
	}
	file, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	got := record(t, file)
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the wire is another one (-update writes %s anew):\n%s", golden, difference(string(want), got))
	}
}
