package deploy_test

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// withoutNewCode as its first argument has the test binary run the rest as a
// command that may not make memory executable, as MemoryDenyWriteExecute=yes does.
const withoutNewCode = "without-new-code"

// The exit code where the system cannot do that.
const exitCannot = 77

// init takes such a command line before the tests do.
func init() {
	if len(os.Args) > 2 && os.Args[1] == withoutNewCode {
		execWithoutNewCode(os.Args[2:])
	}
}

func execWithoutNewCode(command []string) {
	const setMDWE, refuseExecGain = 65, 1 // PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN of prctl
	if _, _, failure := syscall.RawSyscall6(syscall.SYS_PRCTL, setMDWE, refuseExecGain, 0, 0, 0, 0); failure != 0 {
		fmt.Fprintln(os.Stderr, failure)
		os.Exit(exitCannot)
	}
	fmt.Fprintln(os.Stderr, syscall.Exec(command[0], command, os.Environ()))
	os.Exit(exitCannot)
}

// Where memory may not become executable plugins are interpreted, and nothing
// says so: this is why the unit allows it.
func TestPluginsAreCompiledWhereMemoryMayBecomeExecutable(t *testing.T) {
	if !strings.Contains(read(t, "systemd", "pluginhost.service"), "\nMemoryDenyWriteExecute=no\n") {
		t.Error("the unit does not allow it")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := exec.CommandContext(t.Context(), self, withoutNewCode, "/bin/true").Run(); err != nil {
		t.Skipf("this system does not keep memory from becoming executable: %v", err)
	}
	serve := filepath.Join(programs(t), "pluginhost")
	for _, c := range []struct {
		command  []string
		compiled bool
	}{
		{[]string{serve}, true},
		{[]string{self, withoutNewCode, serve}, false},
	} {
		root := t.TempDir()
		container{environment: map[string]string{"PLUGINHOST_PLUGINS": "/plugins", "PLUGINHOST_DATA": "/data"}}.furnish(t, root)
		args := append(c.command[1:], "serve", "--json", "--plugins", root+"/plugins", "--data", root+"/data", "--listen", "127.0.0.1:0", "--http", "")
		cmd := exec.CommandContext(t.Context(), c.command[0], args...)
		cmd.Dir = root
		untilReady(t, cmd, func(r ready) {
			if r.Plugins != 1 {
				t.Errorf("got %+v", r)
			}
		})
		files := 0
		err := filepath.WalkDir(root+"/data/compiled", func(_ string, entry fs.DirEntry, err error) error {
			switch {
			case err == nil && entry.Name() == "verdicts":
				return fs.SkipDir // what is known of modules, which is no code
			case err == nil && entry.Type().IsRegular():
				files++
			}
			return err
		})
		if err != nil || (files > 0) != c.compiled {
			t.Errorf("%v: %d files of compiled code, %v", c.command, files, err)
		}
	}
}
