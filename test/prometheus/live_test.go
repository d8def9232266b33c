// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

const (
	// mainJob is what the ServiceMonitor of config/prometheus makes of the operator.
	mainJob       = "slb-health-operator-controller-manager-metrics-service"
	namespace     = "prod"
	lateNamespace = "late"
)

// TestAlertsOfARunningOperator plays a story in the simulator: each alert
// fires at its part, no other does, and each resolves after it.
func TestAlertsOfARunningOperator(t *testing.T) {
	began, metrics, lateMetrics := time.Now(), freeAddress(t), freeAddress(t)
	s := newStage(t, map[string]string{mainJob: metrics, "late": lateMetrics})
	for _, name := range []string{namespace, lateNamespace} {
		s.createNamespace(t, name)
	}
	for _, id := range []string{"web", "api", "pay"} {
		s.put(t, id, "normal")
		s.observe(t, namespace, id)
	}
	args := []string{"--watch-namespace=" + namespace, "--leader-elect", "--leader-election-namespace=" + namespace}
	operator := s.startOperator(t, "operator", metrics, args...)
	s.expect(t, "all is well")

	s.put(t, "web", "abnormal")
	s.expect(t, "a load balancer is down", "SLBBackendAbnormal web", "SLBBelowMinHealthy web")
	s.put(t, "web", "normal")
	s.expect(t, "it is mended")

	t.Run("no panel of the dashboard is empty", func(t *testing.T) { s.expectPanels(t) })
	t.Run("what the dashboard shows can be drawn", func(t *testing.T) {
		s.draw(t, filepath.Join(t.TempDir(), "dashboard.svg"), everything(quickRange), began)
	})

	gone := s.observe(t, namespace, "gone")
	s.expect(t, "a load balancer does not exist", "SLBHealthStalled gone", "SLBObservationFailing gone", "SLBObservationStale gone")
	s.remove(t, gone)
	s.expect(t, "nobody asks about it any more")

	s.fail(t, "pay", "InternalError", http.StatusInternalServerError)
	s.expect(t, "the API fails", "SLBObservationFailing pay")
	s.expect(t, "what is known gets old", "SLBObservationFailing pay", "SLBObservationStale pay")
	s.mend(t)
	s.expect(t, "the API answers again")

	s.fail(t, "api", "Throttling.User", http.StatusBadRequest)
	s.expect(t, "the API throttles", "SLBAPIThrottled", "SLBObservationFailing api")
	s.mend(t)
	s.expect(t, "the throttling ends")

	s.overload(t, lateMetrics)

	operator.Stop()
	s.expect(t, "the operator is down", "SLBHealthOperatorDown")
	held := s.holdLease(t)
	s.startOperator(t, "operator-again", metrics, args...)
	s.expect(t, "another holds the Lease", "SLBHealthOperatorWithoutLeader "+held.GetName())
	s.remove(t, held)
	s.expect(t, "the operator leads")
}

// expect waits until exactly these alerts fire.
func (s *stage) expect(t *testing.T, when string, alerts ...string) {
	t.Helper()
	began := time.Now()
	eventually(t, func(g Gomega) {
		if len(alerts) == 0 {
			g.Expect(s.server.firing(g)).To(BeEmpty(), when)
			// What is not there cannot fire either.
			g.Expect(s.server.results(g, `slb_health_condition{condition="Observed", status="True"} == 1`)).To(BeNumerically(">=", 3), when)
			return
		}
		g.Expect(s.server.firing(g)).To(Equal(alerts), when)
	})
	t.Logf("%s: %s after %s", when, strings.Join(alerts, ", "), time.Since(began).Round(time.Second))
}

func (s *stage) remove(t *testing.T, object client.Object) {
	t.Helper()
	if err := s.client.Delete(s.ctx, object); err != nil {
		t.Fatal(err)
	}
}

// overload starts an operator that may ask half as often as it has to.
func (s *stage) overload(t *testing.T, metrics string) {
	t.Helper()
	for n := range 80 {
		id := fmt.Sprintf("late-%d", n)
		s.put(t, id, "normal")
		s.observe(t, lateNamespace, id)
	}
	late := s.startOperator(t, "late", metrics, "--watch-namespace="+lateNamespace, "--slb-qps=1", "--slb-burst=1")
	s.expect(t, "there are more load balancers than the budget allows", "SLBObservationLate")
	if err := s.client.DeleteAllOf(s.ctx, &v1alpha1.LoadBalancerHealth{}, client.InNamespace(lateNamespace)); err != nil {
		t.Fatal(err)
	}
	late.Stop()
	s.expect(t, "they are gone")
}

// holdLease makes a Lease that somebody else seems to hold.
func (s *stage) holdLease(t *testing.T) *coordinationv1.Lease {
	t.Helper()
	var leases coordinationv1.LeaseList
	if err := s.client.List(s.ctx, &leases, client.InNamespace(namespace)); err != nil || len(leases.Items) != 1 {
		t.Fatalf("%d leases, %v", len(leases.Items), err)
	}
	lease := &leases.Items[0]
	now, holder, duration := metav1.NowMicro(), "somebody-else", int32(3600)
	lease.Spec.HolderIdentity, lease.Spec.LeaseDurationSeconds, lease.Spec.RenewTime, lease.Spec.AcquireTime = &holder, &duration, &now, &now
	if err := s.client.Update(s.ctx, lease); err != nil {
		t.Fatal(err)
	}
	return lease
}
