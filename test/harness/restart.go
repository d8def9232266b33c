// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// Program is one of the programs of a control plane. It keeps its address, data and
// certificates when it is killed and started again.
type Program struct {
	pidFile string // the file with its process id
	logs    *tail
	run     interface {
		Start() error
		Stop() error
	}
}

// Etcd is the etcd of a control plane that was started.
func (c *ControlPlane) Etcd() Program {
	return Program{pidFile: c.lifeline.pidFile("etcd"), logs: c.logs, run: c.env.ControlPlane.Etcd}
}

// APIServer is the kube-apiserver of a control plane that was started.
func (c *ControlPlane) APIServer() Program {
	return Program{pidFile: c.lifeline.pidFile("kube-apiserver"), logs: c.logs, run: c.env.ControlPlane.APIServer}
}

// EtcdURL is the address of etcd, for gRPC and JSON.
func (c *ControlPlane) EtcdURL() string { return c.env.ControlPlane.Etcd.URL.String() }

// noticed is the time within which envtest must notice that a program ended.
const noticed = 10 * time.Second

// Kill kills the program, as when its machine dies, and returns when it has ended.
func (p Program) Kill() error {
	content, err := os.ReadFile(p.pidFile)
	if err != nil {
		return fmt.Errorf("find the process: %w", err)
	}
	id, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return fmt.Errorf("find the process: %w", err)
	}
	if err := syscall.Kill(id, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill %s: %w", filepath.Base(p.pidFile), err)
	}
	// Stop fails until envtest has noticed that the program ended.
	_ = wait.PollUntilContextTimeout(context.Background(), 10*time.Millisecond, noticed, true, func(context.Context) (bool, error) {
		err = p.run.Stop()
		return err == nil, nil
	})
	return err
}

// Start returns when the program is healthy.
func (p Program) Start() error {
	if err := p.run.Start(); err != nil {
		return fmt.Errorf("start it again: %w\nthe last lines of the control plane:\n%s", err, p.logs)
	}
	return nil
}
