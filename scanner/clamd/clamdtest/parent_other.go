//go:build unix && !linux

package clamdtest

import "os/exec"

// dieWithParent has no counterpart here: a killed test leaves its server.
func dieWithParent(*exec.Cmd) {}
