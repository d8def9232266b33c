// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// TestAlertingTellsOfEveryAlert holds the table in docs/alerting.md to the rules.
func TestAlertingTellsOfEveryAlert(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(root, "config", "prometheus", "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile(filepath.Join(root, "docs", "alerting.md"))
	if err != nil {
		t.Fatal(err)
	}
	var rules struct {
		Spec struct {
			Groups []struct {
				Rules []struct {
					Alert, For string
					Labels     map[string]string
				}
			}
		}
	}
	if err := yaml.Unmarshal(content, &rules); err != nil {
		t.Fatal(err)
	}
	rows := 0
	for _, group := range rules.Spec.Groups {
		for _, r := range group.Rules {
			if r.Alert == "" {
				continue // a recording rule
			}
			after, err := time.ParseDuration(r.For)
			if err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprintf("\n| [%s](runbooks/%s.md) | %s | %.0f min | ", r.Alert, r.Alert, r.Labels["severity"], after.Minutes())
			rows++
			if !strings.Contains(string(document), want) {
				t.Errorf("docs/alerting.md has no line that starts with %q", want)
			}
		}
	}
	if got := strings.Count(string(document), "](runbooks/SLB"); rows == 0 || got != rows {
		t.Errorf("docs/alerting.md has %d alerts, alerts.yaml %d", got, rows)
	}
}
