// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

const (
	// pictureVariable names the file that TestDashboardPicture writes.
	pictureVariable = "DASHBOARD_PICTURE"
	pictureRange    = "10s"
	shop, billing   = "shop", "billing"
	checkout        = "checkout"
	// whole is a fleet that is observed.
	whole = `count(slb_health_condition{condition="Observed", status="True"} == 1) == 9`
)

// TestDashboardPicture draws the dashboard of an incident of two minutes, for the
// documentation: make dashboard-picture.
func TestDashboardPicture(t *testing.T) {
	path := os.Getenv(pictureVariable)
	if path == "" {
		t.Skip(pictureVariable + " names no file to write; that drawing works is part of TestAlertsOfARunningOperator")
	}
	metrics := harness.FreeAddressFor(t)
	s := newEnv(t, readMonitor(t), replica{mainJob, "a", metrics})
	s.buildFleet(t)
	s.startOperator(t, "operator", metrics, gateArgs...)
	s.lasts(t, whole, 10)
	began := time.Now()
	s.lasts(t, whole, 25)

	const first, second, late = "10.9.0.1", "10.9.0.2", "10.9.0.3"
	s.putPods(t, "lb-checkout", "unavailable", first, second)
	s.expectPods(t, shop, checkout, first, second, late)
	for _, ip := range []string{first, second, late} {
		s.addWaitingPod(t, shop, checkout, ip)
	}
	s.setHealth(t, "lb-web", "abnormal", "i-1")
	s.lasts(t, `slb_health_backends{name="web", status="abnormal"} == 1`, 10)
	s.putPods(t, "lb-checkout", "normal", first, second)
	s.setHealth(t, "lb-web", "abnormal", "i-2", "i-3")
	s.lasts(t, `slb_health_condition{name="web", condition="Healthy", status="False"} == 1`, 15)

	s.Admin(t, http.MethodPost, "faults", map[string]any{"kind": "throttle", "times": 6})
	s.lasts(t, `sum(slb_api_requests_total{code="Throttling.User"}) == 6`, 1)
	s.setHealth(t, "lb-web", "normal", "i-2", "i-3")
	s.lasts(t, `slb_health_condition{name="web", condition="Healthy", status="True"} == 1`, 10)
	s.setHealth(t, "lb-web", "normal", "i-1")
	s.lasts(t, `slb_health_backends{name="web", status="normal"} == 4`, 10)

	s.failServerGroup(t, "sgp-login")
	s.setHealth(t, "lb-assets", "unavailable", "i-2", "i-3")
	s.observeAs(t, shop, "none", "lb-none", intstr.FromString("50%"))
	s.setHealth(t, "lb-invoices", "abnormal", "i-1", "i-2", "i-3")
	s.lasts(t, `slb_health_condition{name="none", condition="Stalled", status="True"} == 1`, 10)
	s.lasts(t, `slb_health_condition{name="invoices", condition="Healthy", status="False"} == 1`, 10)
	s.lasts(t, `slb_health_condition{name="assets", condition="Healthy", status="Unknown"} == 1`, 10)

	values := everything(pictureRange)
	values["name"] = "web"
	picture{s.server, values, began.Truncate(pictureStep), time.Now().Truncate(pictureStep)}.draw(t, readDashboard(t), path)
}

// buildFleet makes nine load balancers: one has a listener without backends, one a backend
// without a result, one is that of a Service, and one is an ALB.
func (s *env) buildFleet(t *testing.T) {
	t.Helper()
	const up, unknown = "normal", "unavailable"
	s.Put(t, "lb-web", slices.Concat(harness.Backends(443, "https", up, up, up, up), harness.Backends(80, "http", up, up, up, up))...)
	s.Put(t, "lb-api", harness.Backends(443, "https", up, up, up)...)
	s.Put(t, "lb-assets", harness.Backends(80, "http", up, up, up)...)
	s.Put(t, "lb-pay", harness.Backends(443, "https", up, up)...)
	s.Put(t, "lb-invoices", harness.Backends(443, "https", up, up, up, up)...)
	s.Put(t, "lb-ledger", harness.Backends(5432, "tcp", up, up, unknown)...)
	s.Put(t, "lb-batch", harness.Backends(443, "https", up)...)
	s.addListener(t, "lb-batch", 8080)
	for space, names := range map[string][]string{shop: {"web", "api", "assets"}, billing: {"pay", "invoices", "ledger"}} {
		s.CreateNamespace(t, space)
		for _, name := range names {
			s.observeAs(t, space, name, "lb-"+name, intstr.FromString("50%"))
		}
	}
	s.observeAs(t, billing, "batch", "lb-batch", intstr.FromInt32(0))
	s.putServerGroups(t, "alb-portal", "sgp-pages", "sgp-login")
	s.observeAs(t, shop, "portal", "alb-portal", intstr.FromInt32(1))
	s.putPods(t, "lb-checkout", up, "10.9.0.9")
	s.addGated(t, shop, checkout, "lb-checkout")
	s.addRefused(t, shop, "web")
}

// lasts waits until a query has returned something for some seconds.
func (s *env) lasts(t *testing.T, query string, seconds int) {
	t.Helper()
	began := time.Now()
	eventually(t, func(g Gomega) {
		g.Expect(s.server.results(g, fmt.Sprintf("count_over_time((%s)[%ds:1s]) >= %d", query, seconds, seconds))).NotTo(BeZero(), query)
	})
	t.Logf("%s for %d s after %s", query, seconds, time.Since(began).Round(time.Second))
}
