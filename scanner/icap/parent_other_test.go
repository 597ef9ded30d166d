//go:build unix && !linux

package icap_test

import (
	"os/exec"
	"syscall"
)

// ownGroup makes the child the first of a process group. A killed test leaves it.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}
