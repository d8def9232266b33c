// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var leaderSpecs = []spec{
	{"one of two operators observes, and the other one starts at once when it exits", handsOver},
}

func handsOver(t *testing.T, w *env) {
	g := NewWithT(t)
	const namespace, id = "elect", "lb-elect"
	w.createNamespace(t, namespace)
	elector := w.addCandidate(t, "elector", namespace)
	w.simulator.put(t, id, web("i-1", "10.3.0.1", "normal"))
	object := named(namespace, id)
	w.create(t, object)

	// Each process signs with its own key, so the simulator shows which one called.
	leaderKey, standbyKey := w.addAccount(t, "leader"), w.addAccount(t, "standby")
	candidate := func(name string, self account) *operator {
		return w.startOperator(t, operatorOptions{
			name: name, user: elector, account: self,
			args: []string{"--leader-elect", "--leader-election-namespace=" + namespace},
		})
	}
	leader := candidate(namespace+".leader", leaderKey)
	w.await(t, object, good("AllBackendsNormal"))
	standby := candidate(namespace+".standby", standbyKey)
	for _, c := range w.awaitMoreCalls(t, id, 3) {
		g.Expect(c.AccessKeyID).To(Equal(leaderKey.AccessKeyID))
	}
	for series := range standby.metrics(g) {
		g.Expect(strings.HasPrefix(series, "slb_health_condition")).To(BeFalse(), series)
	}
	version := w.versions(t, object)
	before := w.lease(g, namespace)
	g.Expect(before.Spec.HolderIdentity).To(HaveValue(Not(BeEmpty())))

	leader.keepMetrics(t)
	leader.terminate(t, 10*time.Second)
	ended := time.Now()
	// A Lease that is not released names its holder until it expires.
	g.Expect(w.lease(g, namespace).Spec.HolderIdentity).NotTo(Equal(before.Spec.HolderIdentity))
	w.awaitCaller(t, id, standbyKey)
	g.Expect(w.lease(g, namespace).Spec.AcquireTime.Sub(ended)).To(BeNumerically("<", 10*time.Second))
	w.awaitMoreCalls(t, id, 1)
	g.Expect(w.versions(t, object)).To(Equal(version))
	g.Expect(w.events(g, object)).To(BeEmpty())
}

func (w *env) lease(g Gomega, namespace string) *coordinationv1.Lease {
	var leases coordinationv1.LeaseList
	g.Expect(w.admin.List(w.ctx, &leases, client.InNamespace(namespace))).To(Succeed())
	g.Expect(leases.Items).To(HaveLen(1))
	return &leases.Items[0]
}
