//go:build unix

package regular

import "syscall"

// nonblock has a named pipe opened without a wait for who writes to it.
const nonblock = syscall.O_NONBLOCK
