package compiler

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// executable is this program, also where its file was replaced meanwhile; without /proc it is
// what the program was started by.
func executable() string {
	const self = "/proc/self/exe"
	if _, err := os.Lstat(self); err == nil {
		return self
	}
	return startedBy()
}

// prepare has a process end with this one, and away from a terminal: Ctrl-C is for this one.
func prepare(cmd *exec.Cmd) {
	cmd.Args[0] = os.Args[0]
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// resident is how many bytes of memory a process has in use; 0 is one that has ended.
func resident(pid int) int64 {
	content, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(content)
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// tick is the unit of times in /proc/<pid>/stat.
const tick = time.Second / 100

// worked is how much time of a processor a process has taken; 0 is one that has ended.
func worked(pid int, _ time.Time) time.Duration {
	content, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	// Behind the name, which may have spaces, in parentheses: state is the third field, and
	// user and system time are the 14th and the 15th.
	fields := bytes.Fields(content[bytes.LastIndexByte(content, ')')+1:])
	const user, system = 11, 12
	if len(fields) <= system {
		return 0
	}
	userTicks, _ := strconv.ParseInt(string(fields[user]), 10, 64)
	systemTicks, _ := strconv.ParseInt(string(fields[system]), 10, 64)
	return time.Duration(userTicks+systemTicks) * tick
}

// wasKilled says whether the system has killed a process that nobody else has.
func wasKilled(state *os.ProcessState) bool {
	status, ok := state.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

const (
	// spareData is what Go reserves and does not use.
	spareData = 64 << 20
	// oomScore has the kernel choose this process first when the machine is out of memory.
	oomScore = 1000
	// niceness lets calls of plugins go first.
	niceness = 5
)

// confine bounds the memory of this process, and has it stand behind others. What the
// system does not permit is left out: whoever has started the process watches it.
func confine(memory int64) {
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte(strconv.Itoa(oomScore)), 0)
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, niceness)
	limit := uint64(memory) + dataSize() + spareData
	_ = syscall.Setrlimit(syscall.RLIMIT_DATA, &syscall.Rlimit{Cur: limit, Max: limit})
}

// usualData is what Go reserves at the start of a process.
const usualData = 128 << 20

// dataSize is how many bytes of RLIMIT_DATA this process takes by now.
func dataSize() uint64 {
	content, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return usualData
	}
	for line := range bytes.Lines(content) {
		if rest, found := bytes.CutPrefix(line, []byte("VmData:")); found {
			var kilobytes uint64
			if _, err := fmt.Sscan(string(rest), &kilobytes); err != nil {
				break
			}
			return kilobytes << 10
		}
	}
	return usualData
}
