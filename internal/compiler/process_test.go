package compiler_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pluginhost/pluginhost/internal/compiler"
	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/wasmrt"
)

func TestMain(m *testing.M) {
	compiler.Main()
	beParent()
	goleak.VerifyTestMain(m)
}

// parentOf has beParent compile a bomb in this folder.
const parentOf = "PLUGINHOST_TEST_PARENT_OF"

// beParent is what TestProcessEndsWithTheOneThatStartedIt kills.
func beParent() {
	dir := os.Getenv(parentOf)
	if dir == "" {
		return
	}
	process := compiler.Process{Started: func(pid int) { fmt.Println(pid) }}
	err := process.Compile(context.Background(), wasmrt.Job{Module: guests.Bomb(0), Dir: dir, Memory: 4 << 30, MaxMemory: 1 << 20})
	fmt.Println(err)
	os.Exit(3)
}

const (
	memory  = 256 << 20 // of one process
	longest = time.Minute
)

// job is a job for a module that was not rewritten, which compiles as well.
func job(t *testing.T, module []byte) wasmrt.Job {
	t.Helper()
	return wasmrt.Job{Module: module, Dir: t.TempDir(), Memory: memory, MaxMemory: 256 << 20}
}

// isAlive says whether a process is there, also as one that nobody has waited for.
func isAlive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func TestModuleIsCompiledInAProcessOfItsOwn(t *testing.T) {
	var pid atomic.Int64
	process := compiler.Process{Started: func(id int) { pid.Store(int64(id)) }}
	j := job(t, guests.Handmade{}.Bytes())
	if err := process.Compile(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	if files, err := filepath.Glob(filepath.Join(j.Dir, "*", "*")); err != nil || len(files) != 1 {
		t.Errorf("the folder has the files %v (%v), want one", files, err)
	}
	if pid.Load() == 0 || pid.Load() == int64(os.Getpid()) || isAlive(int(pid.Load())) {
		t.Errorf("process %d: it is to be another one, and to have ended", pid.Load())
	}
}

func TestModuleThatIsNotValidIsToldFromOneThatTakesTooMuch(t *testing.T) {
	var process compiler.Process
	invalid := guests.Handmade{Body: []byte{0x6a}}.Bytes() // i32.add of nothing
	err := process.Compile(t.Context(), job(t, invalid))
	var fault *wasmrt.ModuleError
	if !errors.As(err, &fault) || !strings.Contains(err.Error(), "i32.add") {
		t.Errorf("the error is %v, want one of the module that names the instruction", err)
	}
}

func TestFolderThatCannotBeWrittenIsNoFaultOfTheModule(t *testing.T) {
	var process compiler.Process
	j := job(t, guests.Handmade{}.Bytes())
	j.Dir = filepath.Join(j.Dir, "file")
	if err := os.WriteFile(j.Dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := process.Compile(t.Context(), j)
	var (
		fault  *wasmrt.ModuleError
		failed *wasmrt.CompileError
	)
	if err == nil || errors.As(err, &fault) || errors.As(err, &failed) {
		t.Errorf("the error is %v, want one of the folder", err)
	}
}

// Each seed is a bomb: none is compiled within a bound that ten plugins of 5 MB keep to.
func TestBombsEndAtABound(t *testing.T) {
	for seed := range uint64(2 * guests.Shapes) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			var pid atomic.Int64
			process := compiler.Process{Started: func(id int) { pid.Store(int64(id)) }}
			late := errors.New("too late")
			ctx, cancel := context.WithTimeoutCause(t.Context(), bombTimeout, late)
			defer cancel()
			err := process.Compile(ctx, job(t, guests.Bomb(seed)))
			var failed *wasmrt.CompileError
			switch {
			case errors.Is(err, late):
			case errors.As(err, &failed) && failed.Reason == wasmrt.CompileMemory && err.Error() != "":
			default:
				t.Errorf("it ends with %v, want one of the bounds", err)
			}
			if isAlive(int(pid.Load())) {
				t.Error("its process is still there")
			}
			t.Log(err)
		})
	}
}

// bombTimeout is short, and what a bomb takes is many times as much.
const bombTimeout = 3 * time.Second

func TestProcessThatIsKilledByTheSystemWasShortOfMemory(t *testing.T) {
	process := compiler.Process{Started: func(pid int) { _ = syscall.Kill(pid, syscall.SIGKILL) }}
	err := process.Compile(t.Context(), job(t, guests.Bomb(0)))
	var failed *wasmrt.CompileError
	if !errors.As(err, &failed) || failed.Reason != wasmrt.CompileMemory {
		t.Errorf("the error is %v, want one of memory", err)
	}
}

func TestProcessThatCrashesCostsItsModuleOnly(t *testing.T) {
	process := compiler.Process{Started: func(pid int) { _ = syscall.Kill(pid, syscall.SIGABRT) }}
	err := process.Compile(t.Context(), job(t, guests.Bomb(0)))
	var failed *wasmrt.CompileError
	if !errors.As(err, &failed) || failed.Reason != wasmrt.CompileCrash || !strings.Contains(err.Error(), "the compiler failed: ") {
		t.Errorf("the error is %v, want a crash", err)
	}
}

func TestCallerWhoLeavesEndsTheProcess(t *testing.T) {
	leaving := errors.New("leaving")
	ctx, cancel := context.WithCancelCause(t.Context())
	var pid atomic.Int64
	process := compiler.Process{Started: func(id int) {
		pid.Store(int64(id))
		cancel(leaving)
	}}
	if err := process.Compile(ctx, job(t, guests.Bomb(0))); !errors.Is(err, leaving) {
		t.Errorf("the error is %v, want the cause", err)
	}
	if isAlive(int(pid.Load())) {
		t.Error("its process is still there")
	}
}
