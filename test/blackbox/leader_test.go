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
	{"of two operators one observes, and when it ends the other takes over at once", handsOver},
}

func handsOver(t *testing.T, w *env) {
	g := NewWithT(t)
	const namespace, id = "elect", "lb-elect"
	w.createNamespace(t, namespace)
	elector := w.addUser(t, "elector")
	w.bind(t, elector, "role.yaml")
	w.bindIn(t, elector, namespace, "leader_election_role.yaml")
	w.simulator.put(t, id, web("i-1", "10.3.0.1", "normal"))
	object := named(namespace, id)
	w.create(t, object)

	// Each process signs with a key of its own, so the simulator can tell them apart.
	leaderKey, standbyKey := w.newAccount("leader"), w.newAccount("standby")
	w.simulator.setAccount(t, leaderKey)
	w.simulator.setAccount(t, standbyKey)
	candidate := func(name string, self account) *operator {
		return w.startOperator(t, operatorOptions{
			name: name, user: elector, namespaces: []string{namespace}, endpoint: w.simulator.URL, account: self,
			args: []string{"--leader-elect", "--leader-election-namespace=" + namespace},
		})
	}
	leader := candidate("elect-leader", leaderKey)
	w.await(t, object, good("AllBackendsNormal"))
	standby := candidate("elect-standby", standbyKey)
	asked := len(w.simulator.calls(t, id))
	for _, c := range w.awaitCalls(t, id, asked, 3) {
		g.Expect(c.AccessKeyID).To(Equal(leaderKey.AccessKeyID))
	}
	for series := range standby.metrics(g) {
		g.Expect(strings.HasPrefix(series, "slb_health_condition")).To(BeFalse(), series)
	}
	version := w.versions(t, object)
	held := w.lease(g, namespace)
	g.Expect(held.Spec.HolderIdentity).To(HaveValue(Not(BeEmpty())))

	leader.keepMetrics(t)
	leader.terminate(t, 10*time.Second)
	ended := time.Now()
	// A Lease that was not released would still name the holder until it runs out.
	g.Expect(w.lease(g, namespace).Spec.HolderIdentity).NotTo(Equal(held.Spec.HolderIdentity))
	w.eventually(t, func(g Gomega) {
		calls := w.simulator.calls(t, id)
		g.Expect(calls[len(calls)-1].AccessKeyID).To(Equal(standbyKey.AccessKeyID))
	})
	g.Expect(w.lease(g, namespace).Spec.AcquireTime.Sub(ended)).To(BeNumerically("<", 10*time.Second))
	asked = len(w.simulator.calls(t, id))
	w.awaitCalls(t, id, asked, 1)
	g.Expect(w.versions(t, object)).To(Equal(version))
	g.Expect(w.events(g, object)).To(BeEmpty())
}

func (w *env) lease(g Gomega, namespace string) *coordinationv1.Lease {
	var leases coordinationv1.LeaseList
	g.Expect(w.admin.List(w.ctx, &leases, client.InNamespace(namespace))).To(Succeed())
	g.Expect(leases.Items).To(HaveLen(1))
	return &leases.Items[0]
}
