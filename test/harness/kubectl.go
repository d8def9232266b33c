// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"
)

// RunKubectl runs kubectl as an administrator, and returns what it printed.
func (c *ControlPlane) RunKubectl(t *testing.T, input []byte, args ...string) []byte {
	t.Helper()
	command := exec.CommandContext(t.Context(), c.Kubectl(), append([]string{"--kubeconfig", c.Kubeconfig()}, args...)...)
	command.Stdin = bytes.NewReader(input)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		t.Fatalf("kubectl %s: %v\n%s%s", strings.Join(args, " "), err, &stdout, &stderr)
	}
	return stdout.Bytes()
}
