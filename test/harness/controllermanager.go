// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const controllerManager = "kube-controller-manager"

// StartControllerManager runs these controllers of kube-controller-manager, and no
// others, until ctx or this process ends. Its log goes to a file in the folder.
func (c *ControlPlane) StartControllerManager(ctx context.Context, folder string, controllers ...string) (*Process, error) {
	path, err := findControllerManager()
	if err != nil {
		return nil, err
	}
	return Start(ctx, folder, controllerManager, []string{"HOME=" + folder}, path,
		"--kubeconfig="+c.Kubeconfig(), "--controllers="+strings.Join(controllers, ","), "--leader-elect=false",
		// No port: two on one machine must not conflict.
		"--secure-port=0",
		// The default of 20 a second would delay a rollout of hundreds of pods.
		"--kube-api-qps=500", "--kube-api-burst=1000", "--concurrent-replicaset-syncs=5")
}

// findControllerManager looks beside the programs of the control plane, and where
// `make controller-manager` puts it.
func findControllerManager() (string, error) {
	path := filepath.Join(os.Getenv(assetsVariable), controllerManager)
	if _, err := os.Stat(path); err == nil && os.Getenv(assetsVariable) != "" {
		return filepath.Abs(path)
	}
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	path = filepath.Join(root, "bin", "controller-manager", controllerManager)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("%s does not exist: run `make controller-manager`", path)
	} else if err != nil {
		return "", err
	}
	return path, nil
}
