package icap_test

import (
	"os/exec"
	"syscall"
)

// ownGroup makes the child the first of a process group, and has it killed when the thread that
// starts it ends.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
