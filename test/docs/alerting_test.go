// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// TestAlertingPageHasEveryAlert compares the table in docs/alerting.md to the rules.
func TestAlertingPageHasEveryAlert(t *testing.T) {
	content := read(t, "config/prometheus/alerts.yaml")
	document := read(t, "docs/alerting.md")
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
	if err := yaml.Unmarshal([]byte(content), &rules); err != nil {
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
			if !strings.Contains(document, want) {
				t.Errorf("docs/alerting.md has no row that starts with %q", want)
			}
		}
	}
	if got := strings.Count(document, "](runbooks/SLB"); rows == 0 || got != rows {
		t.Errorf("docs/alerting.md has %d alerts, alerts.yaml %d", got, rows)
	}
}
