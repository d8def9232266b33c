// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

const (
	monitorFile = "../../config/prometheus/monitor.yaml"
	// operatorNamespace is where config/ installs the operator.
	operatorNamespace = "slb-health-operator-system"
)

// monitor is what a ServiceMonitor says of the labels of series.
type monitor struct {
	Spec struct {
		Endpoints []struct {
			HonorLabels bool `json:"honorLabels"`
		} `json:"endpoints"`
	} `json:"spec"`
	relabelConfigs []any
}

// readMonitor reads the ServiceMonitor that ships.
func readMonitor(t *testing.T) monitor {
	t.Helper()
	content := harness.ReadFile(t, monitorFile)
	var m monitor
	if err := yaml.Unmarshal(content, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *monitor) honorLabels(t *testing.T) bool {
	t.Helper()
	if len(m.Spec.Endpoints) != 1 {
		t.Fatalf("%s has %d endpoints", monitorFile, len(m.Spec.Endpoints))
	}
	return m.Spec.Endpoints[0].HonorLabels
}
