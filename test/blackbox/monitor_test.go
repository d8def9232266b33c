// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// manyServices is how many Services TestMonitorAll has besides the ones that it names.
const manyServices = 60

// TestMonitorAll runs the operator with --monitor=all, restarts it, and runs it
// with --monitor=annotated. The audit log shows what each start costs.
func TestMonitorAll(t *testing.T) {
	w := newEnv(t, envOptions{audited: true})
	w.addSimulator(t)
	w.bind(t, w.operator, "", "../service-discovery/role.yaml")
	w.createNamespace(t, mainNamespace)
	run := func(name, monitor string) *operator {
		return w.startOperator(t, operatorOptions{
			name: name, namespaces: []string{mainNamespace}, endpoint: w.simulator.URL, account: w.mainAccount,
			args: []string{"--service-discovery", "--region-id=" + region, "--monitor=" + monitor, "--slb-qps=100", "--slb-burst=100"},
		})
	}
	w.simulator.put(t, "lb-shared", web("i-1", "10.0.0.1", "normal"))
	for i := range manyServices {
		w.create(t, balanced(fmt.Sprint("many-", i), "lb-shared"))
	}
	w.create(t, balanced("opted-out", "lb-shared", func(s *corev1.Service) { s.Annotations = map[string]string{v1alpha1.MonitorAnnotation: "false"} }))
	w.create(t, balanced("requested", "lb-shared", func(s *corev1.Service) { s.Annotations = map[string]string{v1alpha1.MonitorAnnotation: "true"} }))
	w.create(t, balanced("gateway", "gwlb-1"))
	w.create(t, balanced("internal", "", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP }))
	own := named(mainNamespace, "lb-shared", func(o *v1alpha1.LoadBalancerHealth) { o.Name = "own" })
	w.create(t, own)
	w.create(t, balanced("own", "lb-shared"))
	all := map[string]float64{"monitored": manyServices + 2, "opted_out": 1, "unsupported": 1}

	op := run("monitor-all", "all")
	w.awaitServiceStates(t, op, all)
	w.await(t, objectOf("many-7"), good("AllBackendsNormal"))
	w.awaitServiceEvents(t, map[string]int{"Normal MonitorCreated": manyServices + 1})
	w.costs(t, manyServices+1, 1)
	w.observesOnly(t, manyServices+2)
	op.stop(t)

	t.Run("a restart creates nothing", func(t *testing.T) {
		op := run("monitor-all-again", "all")
		w.awaitServiceStates(t, op, all)
		w.awaitServiceEvents(t, map[string]int{"Normal MonitorCreated": manyServices + 1})
		w.costs(t, manyServices+1, 2)

		w.kubectl(t, "annotate", "-n", mainNamespace, "service/many-7", v1alpha1.MonitorAnnotation+"=false")
		w.awaitDeletion(t, objectOf("many-7"))
		w.kubectl(t, "delete", "-n", mainNamespace, "service/gateway")
		w.awaitServiceStates(t, op, map[string]float64{"monitored": manyServices + 1, "opted_out": 2})
		w.kubectl(t, "patch", "-n", mainNamespace, "lbh/many-8", "--type=merge", `-p={"spec":{"interval":"1h"}}`)
		op.stop(t)
	})

	t.Run("--monitor=annotated deletes what the operator created", func(t *testing.T) {
		op := run("monitor-annotated", "annotated")
		w.awaitServiceStates(t, op, map[string]float64{"monitored": 1, "opted_out": 2})
		w.eventually(t, func(g Gomega) {
			g.Expect(w.objectNames(g)).To(ConsistOf("many-8", "own", "requested"))
		})
		w.awaitServiceEvents(t, map[string]int{"Normal MonitorCreated": manyServices + 1, "Normal MonitorDeleted": manyServices - 1})
		g := NewWithT(t)
		g.Expect(w.get(g, own).OwnerReferences).To(BeEmpty())
		g.Expect(w.kubectl(t, "events", "-n", mainNamespace, "--for", "service/many-9")).To(And(
			ContainSubstring("MonitorCreated"), ContainSubstring("LoadBalancerHealth many-9 was deleted: the Service has no annotation slb.lbhealth.dev/monitor")))
		op.stop(t)
	})
	noRaceOrPanic(t, w)
}

// balanced makes a Service of type LoadBalancer; loadBalancer "": it has none yet.
func balanced(name, loadBalancer string, edits ...func(*corev1.Service)) *corev1.Service {
	service := aService(name, nil, nil)
	service.Spec.Type, service.Spec.AllocateLoadBalancerNodePorts = corev1.ServiceTypeLoadBalancer, new(false)
	if loadBalancer != "" {
		service.Labels = map[string]string{v1alpha1.ServiceLoadBalancerLabel: loadBalancer}
	}
	for _, edit := range edits {
		edit(service)
	}
	if service.Spec.Type != corev1.ServiceTypeLoadBalancer {
		service.Spec.AllocateLoadBalancerNodePorts = nil
	}
	return service
}

// objectOf is the object of a Service.
func objectOf(service string) *v1alpha1.LoadBalancerHealth {
	return named(mainNamespace, service)
}

func (w *env) awaitServiceStates(t *testing.T, op *operator, want map[string]float64) {
	t.Helper()
	series := map[string]float64{}
	for state, count := range want {
		series[`slb_health_services{namespace="`+mainNamespace+`",state="`+state+`"}`] = count
	}
	w.eventually(t, func(g Gomega) {
		found := maps.Clone(op.metrics(g))
		maps.DeleteFunc(found, func(name string, _ float64) bool { return !strings.HasPrefix(name, "slb_health_services") })
		g.Expect(map[string]float64(found)).To(Equal(series))
	})
}

// awaitServiceEvents waits until the operator's events of all Services have these counts.
func (w *env) awaitServiceEvents(t *testing.T, want map[string]int) {
	t.Helper()
	w.eventually(t, func(g Gomega) {
		var list eventsv1.EventList
		g.Expect(w.admin.List(w.ctx, &list, client.InNamespace(mainNamespace))).To(Succeed())
		counts := map[string]int{}
		for i := range list.Items {
			if e := &list.Items[i]; e.Regarding.Kind == "Service" && e.ReportingController == "slb-health-operator" {
				counts[e.Type+" "+e.Reason]++
				g.Expect(e.Series).To(BeNil(), "%s: %s", e.Regarding.Name, e.Note)
			}
		}
		g.Expect(counts).To(Equal(want))
	})
}

// costs expects how many objects the operator tried to create, and that each
// start fetched all objects once.
func (w *env) costs(t *testing.T, creations, starts int) {
	t.Helper()
	g := NewWithT(t)
	g.Expect(w.audit.of(t, w.operator.name, func(a *auditedRequest) bool {
		return a.ObjectRef != nil && a.ObjectRef.Resource == "loadbalancerhealths" && a.Verb == "create"
	})).To(HaveLen(creations))
	g.Expect(w.audit.of(t, w.operator.name, (*auditedRequest).listsAll)).To(HaveLen(starts))
}

// observesOnly expects the number of objects, none of which is Stalled.
func (w *env) observesOnly(t *testing.T, want int) {
	t.Helper()
	w.eventually(t, func(g Gomega) {
		var list v1alpha1.LoadBalancerHealthList
		g.Expect(w.admin.List(w.ctx, &list, client.InNamespace(mainNamespace))).To(Succeed())
		g.Expect(list.Items).To(HaveLen(want))
		for i := range list.Items {
			g.Expect(statesOf(&list.Items[i])).To(HaveKeyWithValue("Ready", "True AllBackendsNormal"), list.Items[i].Name)
		}
	})
}

func (w *env) objectNames(g Gomega) []string {
	var list v1alpha1.LoadBalancerHealthList
	g.Expect(w.admin.List(w.ctx, &list, client.InNamespace(mainNamespace))).To(Succeed())
	var names []string
	for i := range list.Items {
		names = append(names, list.Items[i].Name)
	}
	return names
}

func (w *env) awaitDeletion(t *testing.T, object *v1alpha1.LoadBalancerHealth) {
	t.Helper()
	w.eventually(t, func(g Gomega) {
		err := w.admin.Get(w.ctx, client.ObjectKeyFromObject(object), &v1alpha1.LoadBalancerHealth{})
		g.Expect(apierrors.IsNotFound(err)).To(BeTrue(), "%v", err)
	})
}
