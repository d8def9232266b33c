// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package harness

import (
	"os/exec"
	"syscall"
)

// dieWithParent needs Linux: elsewhere a program may outlive a killed test.
func dieWithParent(command *exec.Cmd) { command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
