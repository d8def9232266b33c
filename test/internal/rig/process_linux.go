// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"os/exec"
	"runtime"
	"syscall"
)

// The kernel ties a child to the thread that started it. Everything is started
// by main's goroutine, and this keeps that on the thread that lives longest.
func init() { runtime.LockOSThread() }

// dieWithParent has the kernel kill the program should this process die without stopping it.
func dieWithParent(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
