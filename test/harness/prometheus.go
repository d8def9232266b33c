// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/yaml"
)

// Prometheus is a running Prometheus.
type Prometheus struct {
	*Process
	// Address is where it listens, as host:port.
	Address string
}

// StartPrometheus runs the Prometheus of PATH with a configuration, whose paths are
// relative to the folder, and returns when it is ready.
func StartPrometheus(t *testing.T, folder string, config map[string]any) *Prometheus {
	t.Helper()
	program, err := exec.LookPath("prometheus")
	if err != nil {
		t.Fatalf("%v: install Prometheus, say with apt-get install prometheus", err)
	}
	content, err := yaml.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "prometheus.yaml")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	p := &Prometheus{Address: FreeAddressFor(t)}
	if p.Process, err = Start(t.Context(), folder, "prometheus", []string{"HOME=" + folder}, program,
		"--config.file="+path, "--storage.tsdb.path="+filepath.Join(folder, "tsdb"), "--web.listen-address="+p.Address); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	if err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, startTimeout, true, p.ready); err != nil {
		t.Fatalf("Prometheus is not ready: %v\n%s", err, p.Tail())
	}
	return p
}

func (p *Prometheus) ready(ctx context.Context) (bool, error) {
	if err := p.Alive(); err != nil {
		return false, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.Address+"/-/ready", http.NoBody)
	if err != nil {
		return false, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false, nil //nolint:nilerr // it does not listen yet
	}
	return response.StatusCode == http.StatusOK, response.Body.Close()
}
