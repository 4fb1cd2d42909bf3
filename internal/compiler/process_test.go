package compiler_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
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

// started returns a Process that is closed with the test, and tells the ids of its processes.
func started(t *testing.T, also ...func(pid int)) (*compiler.Process, func() []int) {
	t.Helper()
	var (
		mu  sync.Mutex
		ids []int
	)
	process := &compiler.Process{Started: func(id int) {
		mu.Lock()
		ids = append(ids, id)
		mu.Unlock()
		for _, do := range also {
			do(id)
		}
	}}
	t.Cleanup(process.Close)
	return process, func() []int {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(ids)
	}
}

// job is a job for a module that was not rewritten, which compiles as well.
func job(t *testing.T, module []byte) wasmrt.Job {
	t.Helper()
	return wasmrt.Job{Module: module, Dir: t.TempDir(), Memory: memory, MaxMemory: 256 << 20}
}

// isAlive says whether a process is there, also as one that nobody has waited for.
func isAlive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func TestModuleIsCompiledInAProcessOfItsOwn(t *testing.T) {
	t.Parallel()
	process, ids := started(t)
	j := job(t, guests.Handmade{}.Bytes())
	if err := process.Compile(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	if files, err := filepath.Glob(filepath.Join(j.Dir, "*", "*")); err != nil || len(files) != 1 {
		t.Errorf("the folder has the files %v (%v), want one", files, err)
	}
	if got := ids(); len(got) != 1 || got[0] == os.Getpid() {
		t.Errorf("the processes are %v, want another one than this", got)
	}
}

// compiles has a process compile some module.
func compiles(t *testing.T, process *compiler.Process, j wasmrt.Job) {
	t.Helper()
	if err := process.Compile(t.Context(), j); err != nil {
		t.Fatal(err)
	}
}

func TestAProcessCompilesOneModuleAfterTheOther(t *testing.T) {
	t.Parallel()
	process, ids := started(t)
	for range 3 {
		compiles(t, process, job(t, guests.Handmade{}.Bytes()))
	}
	if err := process.Compile(t.Context(), job(t, []byte("no module"))); err == nil {
		t.Error("what is no module is compiled")
	}
	compiles(t, process, job(t, guests.Handmade{Body: guests.Trap}.Bytes()))
	if got := ids(); len(got) != 1 {
		t.Errorf("it took the processes %v, want one", got)
	}
	larger := job(t, guests.Handmade{}.Bytes())
	larger.Memory *= 2
	compiles(t, process, larger)
	if got := ids(); len(got) != 2 {
		t.Errorf("another bound of memory took the processes %v, want one more", got)
	}
}

func TestAProcessEndsWhenThereIsNothingToCompile(t *testing.T) {
	t.Parallel()
	process, ids := started(t)
	compiles(t, process, job(t, guests.Handmade{}.Bytes()))
	eventually(t, "it has ended", func() bool { return !isAlive(ids()[0]) })
	compiles(t, process, job(t, guests.Handmade{}.Bytes()))
	process.Close()
	for _, pid := range ids() {
		if isAlive(pid) {
			t.Errorf("process %d is there after Close", pid)
		}
	}
}

// What another module has left in a process, such as its memory, is not held against a module.
func TestAModuleThatFailsInAUsedProcessIsTriedInAFreshOne(t *testing.T) {
	t.Parallel()
	for name, die := range map[string]func(wasmrt.Job, int) wasmrt.Job{
		"it is killed before": func(j wasmrt.Job, pid int) wasmrt.Job {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			return j
		},
		"it is killed while it compiles": func(j wasmrt.Job, pid int) wasmrt.Job {
			_ = syscall.Kill(pid, syscall.SIGSTOP) // so that it is not faster
			j.Worked = func(time.Duration) { _ = syscall.Kill(pid, syscall.SIGKILL) }
			return j
		},
	} {
		t.Run(name, func(t *testing.T) {
			process, ids := started(t)
			compiles(t, process, job(t, guests.Handmade{}.Bytes()))
			compiles(t, process, die(job(t, guests.Handmade{}.Bytes()), ids()[0]))
			if got := ids(); len(got) != 2 {
				t.Errorf("it took the processes %v, want two", got)
			}
		})
	}
}

func TestModuleThatIsNotValidIsToldFromOneThatTakesTooMuch(t *testing.T) {
	t.Parallel()
	process, _ := started(t)
	invalid := guests.Handmade{Body: []byte{0x6a}}.Bytes() // i32.add of nothing
	err := process.Compile(t.Context(), job(t, invalid))
	var fault *wasmrt.ModuleError
	if !errors.As(err, &fault) || !strings.Contains(err.Error(), "i32.add") {
		t.Errorf("the error is %v, want one of the module that names the instruction", err)
	}
}

func TestFolderThatCannotBeWrittenIsNoFaultOfTheModule(t *testing.T) {
	t.Parallel()
	process, _ := started(t)
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
	t.Parallel()
	for seed := range uint64(2 * guests.Shapes) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			process, ids := started(t)
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
			if isAlive(ids()[0]) {
				t.Error("its process is still there")
			}
			t.Log(err)
		})
	}
}

// bombTimeout is short, and what a bomb takes is many times as much.
const bombTimeout = 3 * time.Second

func TestProcessThatIsKilledByTheSystemWasShortOfMemory(t *testing.T) {
	t.Parallel()
	process, _ := started(t, func(pid int) { _ = syscall.Kill(pid, syscall.SIGKILL) })
	err := process.Compile(t.Context(), job(t, guests.Bomb(0)))
	var failed *wasmrt.CompileError
	if !errors.As(err, &failed) || failed.Reason != wasmrt.CompileMemory {
		t.Errorf("the error is %v, want one of memory", err)
	}
}

func TestProcessThatCrashesCostsItsModuleOnly(t *testing.T) {
	t.Parallel()
	process, _ := started(t, func(pid int) { _ = syscall.Kill(pid, syscall.SIGABRT) })
	err := process.Compile(t.Context(), job(t, guests.Bomb(0)))
	var failed *wasmrt.CompileError
	if !errors.As(err, &failed) || failed.Reason != wasmrt.CompileCrash || !strings.Contains(err.Error(), "the compiler failed: ") {
		t.Errorf("the error is %v, want a crash", err)
	}
}

func TestCallerWhoLeavesEndsTheProcess(t *testing.T) {
	t.Parallel()
	leaving := errors.New("leaving")
	ctx, cancel := context.WithCancelCause(t.Context())
	process, ids := started(t, func(int) { cancel(leaving) })
	if err := process.Compile(ctx, job(t, guests.Bomb(0))); !errors.Is(err, leaving) {
		t.Errorf("the error is %v, want the cause", err)
	}
	if isAlive(ids()[0]) {
		t.Error("its process is still there")
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	timeout := time.After(longest)
	for !holds() {
		select {
		case <-ticker.C:
		case <-timeout:
			t.Fatalf("never: %s", what)
		}
	}
}
