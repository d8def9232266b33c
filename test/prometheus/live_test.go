// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/harness"
)

const (
	// mainJob is what the ServiceMonitor of config/prometheus makes of the operator.
	mainJob       = "slb-health-operator-controller-manager-metrics-service"
	namespace     = "prod"
	otherTeam     = "pay"
	lateNamespace = "late"
)

// TestAlertsOfARunningOperator causes one incident after the other: each alert fires
// for its cause alone, and resolves after it. Another team has an object of the same
// name, which never has an alert.
func TestAlertsOfARunningOperator(t *testing.T) {
	t.Parallel() // it waits, and the tests of the rules compute
	began := time.Now()
	first, second, late := replica{mainJob, "a", harness.FreeAddressFor(t)}, replica{mainJob, "b", harness.FreeAddressFor(t)}, replica{"late", "c", harness.FreeAddressFor(t)}
	s := newEnv(t, readMonitor(t), first, second, late)
	for _, name := range []string{namespace, otherTeam, lateNamespace} {
		s.CreateNamespace(t, name)
	}
	for _, id := range []string{"web", "api", "pay"} {
		s.put(t, id, "normal")
		s.observe(t, namespace, id)
	}
	s.put(t, "web-of-pay", "normal")
	s.observeAs(t, otherTeam, "web", "web-of-pay", intstr.FromInt32(1))
	s.put(t, "idle", "normal")
	s.addListener(t, "idle", 8080)
	s.observeAs(t, otherTeam, "idle", "idle", intstr.FromInt32(0))
	args := append([]string{"--watch-namespace=" + namespace, "--watch-namespace=" + otherTeam, "--leader-elect", "--leader-election-namespace=" + namespace}, gateArgs...)
	operator := s.startOperator(t, "operator", first.address, args...)
	s.expect(t, "all is well")
	t.Run("series name the Service of their object, not that of the metrics", func(t *testing.T) { s.expectNoService(t) })

	s.put(t, "web", "abnormal")
	s.expect(t, "a load balancer is down", "SLBBackendAbnormal prod/web", "SLBBelowMinHealthy prod/web")
	standby := s.startOperator(t, "standby", second.address, args...)
	s.failOver(t, operator, "SLBBackendAbnormal prod/web", "SLBBelowMinHealthy prod/web")
	operator = standby
	s.verifyDashboard(t, began)
	s.put(t, "web", "normal")
	s.expect(t, "its backends are normal again")

	s.put(t, "web", "unavailable")
	s.expect(t, "health checks have no result", "SLBHealthUnknown prod/web")
	s.put(t, "web", "normal")
	s.expect(t, "they have results again")
	s.breakServerGroups(t)

	nowhere := s.observe(t, namespace, "nowhere")
	s.expect(t, "a load balancer does not exist", "SLBHealthStalled prod/nowhere")
	s.remove(t, nowhere)
	s.expect(t, "its object is deleted")

	s.Fail(t, "pay", "InternalError", http.StatusInternalServerError, 0)
	s.expect(t, "the API fails", "SLBObservationFailing prod/pay")
	s.expect(t, "the last observation becomes stale", "SLBObservationStale prod/pay")
	s.clearFaults(t)
	s.expect(t, "the API responds again")

	s.Fail(t, "api", "Throttling.User", http.StatusBadRequest, 0)
	s.expect(t, "the API throttles", "SLBAPIThrottled", "SLBObservationFailing prod/api")
	s.clearFaults(t)
	s.expect(t, "the throttling ends")

	s.overload(t, late.address)

	operator.Stop()
	s.expect(t, "the operator is down", "SLBHealthOperatorDown")
	lease := s.occupyLease(t)
	s.startOperator(t, "operator-again", first.address, args...)
	s.expect(t, "another process has the Lease", "SLBHealthOperatorWithoutLeader "+operatorNamespace+"/"+lease.GetName())
	s.remove(t, lease)
	s.expect(t, "the operator leads")
}

// verifyDashboard adds, for the panels that show them, a rollout of which one pod waits, a pod that is not registered,
// and a load balancer that must lose no backend.
func (s *env) verifyDashboard(t *testing.T, began time.Time) {
	t.Helper()
	s.putPods(t, "checkout", "normal", "10.9.0.1")
	rollout := append(s.addGated(t, otherTeam, "checkout", "checkout", "10.9.0.1", "10.9.0.2"), s.addRefused(t, namespace, "web"),
		s.expectPods(t, otherTeam, "checkout", "10.9.0.1", "10.9.0.3"), s.observeAs(t, otherTeam, "tight", "api", intstr.FromInt32(2)))
	eventually(t, func(g Gomega) { g.Expect(s.server.firing(g)).To(HaveKey("SLBBackendsMissing pay/checkout")) })
	t.Run("no panel of the dashboard is empty", func(t *testing.T) { s.expectPanels(t) })
	t.Run("what the dashboard shows can be drawn", func(t *testing.T) {
		now := time.Now().Add(pictureStep) // truncated, it is still after what the panels have
		p := picture{s.server, everything(quickRange), began.Truncate(pictureStep), now.Truncate(pictureStep)}
		p.draw(t, readDashboard(t), filepath.Join(t.TempDir(), "dashboard.svg"))
	})
	for _, object := range rollout {
		s.remove(t, object)
	}
}

// expectNoService verifies that an empty label of a series does not get the value of
// its target.
func (s *env) expectNoService(t *testing.T) {
	t.Helper()
	eventually(t, func(g Gomega) {
		g.Expect(s.server.results(g, `slb_health_info`)).To(Equal(5))
		g.Expect(s.server.results(g, `slb_health_info{service!=""}`)).To(BeZero())
		g.Expect(s.server.results(g, `slb_health_info{namespace=~"prod|pay"}`)).To(Equal(5))
	})
}

// failOver stops the leader while alerts fire: they name the load balancer, and
// continue without a resolution.
func (s *env) failOver(t *testing.T, leader *harness.Process, alerts ...string) {
	t.Helper()
	var before map[string]alert
	eventually(t, func(g Gomega) {
		g.Expect(s.server.results(g, `up{job="`+mainJob+`"} == 1`)).To(Equal(2))
		before = s.server.firing(g)
		for _, alert := range alerts {
			g.Expect(before[alert].Annotations).To(HaveKeyWithValue("description", HaveSuffix("Reason: BelowMinHealthy; CLB web in cn-hangzhou.")))
		}
	})
	leader.Stop()
	s.lasts(t, `slb_health_condition{pod="b", namespace="prod", name="web", condition="Healthy", status="False"} == 1`, 5)
	eventually(t, func(g Gomega) {
		after := s.server.firing(g)
		for _, alert := range alerts {
			g.Expect(after[alert].ActiveAt).To(Equal(before[alert].ActiveAt), alert)
		}
	})
}

// expect waits until exactly these alerts fire.
func (s *env) expect(t *testing.T, when string, alerts ...string) {
	t.Helper()
	began := time.Now()
	eventually(t, func(g Gomega) {
		if len(alerts) == 0 {
			g.Expect(s.server.firing(g)).To(BeEmpty(), when)
			// Missing series fire no alert either.
			g.Expect(s.server.results(g, `slb_health_condition{condition="Observed", status="True"} == 1`)).To(BeNumerically(">=", 4), when)
			return
		}
		g.Expect(slices.Sorted(maps.Keys(s.server.firing(g)))).To(Equal(alerts), when)
	})
	t.Logf("%s: %s after %s", when, strings.Join(alerts, ", "), time.Since(began).Round(time.Second))
}

func (s *env) remove(t *testing.T, object client.Object) {
	t.Helper()
	if err := s.Client.Delete(s.Ctx, object); err != nil {
		t.Fatal(err)
	}
}

// overload starts an operator with a fraction of the permits that its objects need.
func (s *env) overload(t *testing.T, metrics string) {
	t.Helper()
	const objects = 80
	for n := range objects {
		id := fmt.Sprintf("late-%d", n)
		s.put(t, id, "normal")
		s.observe(t, lateNamespace, id)
	}
	early := s.startOperator(t, "early", metrics, "--watch-namespace="+lateNamespace)
	eventually(t, func(g Gomega) {
		g.Expect(s.server.results(g, `slb_health_condition{namespace="late", condition="Observed", status="True"} == 1`)).To(Equal(objects))
	})
	early.Stop()
	late := s.startOperator(t, "late", metrics, "--watch-namespace="+lateNamespace, "--slb-qps=1", "--slb-burst=1")
	s.expect(t, "there are more load balancers than the budget allows", "SLBObservationLate")
	if err := s.Client.DeleteAllOf(s.Ctx, &v1alpha1.LoadBalancerHealth{}, client.InNamespace(lateNamespace)); err != nil {
		t.Fatal(err)
	}
	late.Stop()
	s.expect(t, "they are deleted")
}

// occupyLease makes another process the holder of the Lease.
func (s *env) occupyLease(t *testing.T) *coordinationv1.Lease {
	t.Helper()
	var leases coordinationv1.LeaseList
	if err := s.Client.List(s.Ctx, &leases, client.InNamespace(namespace)); err != nil || len(leases.Items) != 1 {
		t.Fatalf("%d leases, %v", len(leases.Items), err)
	}
	lease := &leases.Items[0]
	now, holder, duration := metav1.NowMicro(), "another-process", int32(3600)
	lease.Spec.HolderIdentity, lease.Spec.LeaseDurationSeconds, lease.Spec.RenewTime, lease.Spec.AcquireTime = &holder, &duration, &now, &now
	if err := s.Client.Update(s.Ctx, lease); err != nil {
		t.Fatal(err)
	}
	return lease
}
