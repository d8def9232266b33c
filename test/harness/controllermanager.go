// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const controllerManager = "kube-controller-manager"

// StartControllerManager runs these controllers of kube-controller-manager, and no
// others, until ctx or this process ends. Its log goes to a file in the folder.
func (c *ControlPlane) StartControllerManager(ctx context.Context, folder string, controllers ...string) (*Process, error) {
	program, err := FindControllerManager()
	if err != nil {
		return nil, err
	}
	path, err := c.lifeline.Tie(program)
	if err != nil {
		return nil, err
	}
	return Start(ctx, folder, controllerManager, []string{"HOME=" + folder}, path,
		"--kubeconfig="+c.Kubeconfig(), "--controllers="+strings.Join(controllers, ","), "--leader-elect=false",
		// No port: two on one machine must not conflict.
		"--secure-port=0",
		// The default of 20 a second would delay a rollout of hundreds of pods.
		"--kube-api-qps=500", "--kube-api-burst=1000")
}

// FindControllerManager looks beside the programs of the control plane, and where
// `make controller-manager` puts it.
func FindControllerManager() (string, error) {
	if folder := os.Getenv(assetsVariable); folder != "" {
		if path, err := filepath.Abs(filepath.Join(folder, controllerManager)); err == nil && exists(path) {
			return path, nil
		}
	}
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	path := filepath.Join(root, "bin", "controller-manager", controllerManager)
	if !exists(path) {
		return "", fmt.Errorf("%s does not exist: run `make controller-manager`", path)
	}
	return path, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
