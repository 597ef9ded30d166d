//go:build !linux

package e2e_test

import "os/exec"

// dieWithParent has no counterpart here: a killed test leaves its server.
func dieWithParent(*exec.Cmd) {}
