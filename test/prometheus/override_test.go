// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/yaml"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

const alertingPage = "../../docs/alerting.md"

// TestRelabelingsUndoOverriddenHonorLabels scrapes as a Prometheus does whose
// administrator sets overrideHonorLabels, with the relabelings of docs/alerting.md.
func TestRelabelingsUndoOverriddenHonorLabels(t *testing.T) {
	exporter := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `slb_health_info{namespace="prod",name="web",service="web"} 1
slb_health_info{namespace="pay",name="web",service=""} 1
slb_health_condition{namespace="prod",name="web",condition="Ready",status="True"} 1
slb_readiness_gates_waiting{namespace="prod",service="web",reason="NotRegistered"} 1
leader_election_master_status{name="slb-health-operator.lbhealth.dev"} 1
`)
	}))
	defer exporter.Close()
	overridden := monitor{relabelConfigs: documentedRelabelings(t)}
	overridden.Spec.Endpoints = readMonitor(t).Spec.Endpoints
	overridden.Spec.Endpoints[0].HonorLabels = false
	s := startServer(t, t.TempDir(), overridden, []replica{{mainJob, "a", strings.TrimPrefix(exporter.URL, "http://")}})
	eventually(t, func(g Gomega) {
		for _, series := range []string{
			`slb_health_info{namespace="prod",name="web",service="web"}`,
			`slb_health_info{namespace="pay",name="web",service=""}`,
			`slb_readiness_gates_waiting{namespace="prod",service="web"}`,
			`slb_health_condition{namespace="prod",name="web",service="` + mainJob + `"}`,
			`leader_election_master_status{namespace="` + operatorNamespace + `",service="` + mainJob + `"}`,
		} {
			g.Expect(s.results(g, series)).To(Equal(1), series)
		}
		g.Expect(s.results(g, `{exported_namespace!=""}`) + s.results(g, `{exported_service!=""}`)).To(BeZero())
	})
}

// documentedRelabelings are those of docs/alerting.md, spelled as Prometheus does.
func documentedRelabelings(t *testing.T) []any {
	t.Helper()
	page := harness.ReadFile(t, alertingPage)
	block := regexp.MustCompile("(?s)```yaml\n( *metricRelabelings:.*?)```").FindSubmatch(page)
	if block == nil {
		t.Fatalf("%s has no metricRelabelings", alertingPage)
	}
	var values struct {
		MetricRelabelings []any `json:"metricRelabelings"`
	}
	spelled := strings.NewReplacer("sourceLabels:", "source_labels:", "targetLabel:", "target_label:").Replace(string(block[1]))
	if err := yaml.Unmarshal([]byte(spelled), &values); err != nil || len(values.MetricRelabelings) == 0 {
		t.Fatalf("%d relabelings, %v", len(values.MetricRelabelings), err)
	}
	return values.MetricRelabelings
}
