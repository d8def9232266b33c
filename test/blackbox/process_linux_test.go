// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"os/exec"
	"syscall"
)

// dieWithParent leaves no program behind when this process dies without
// stopping it: in a panic, a timeout of go test, or killed.
func dieWithParent(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
