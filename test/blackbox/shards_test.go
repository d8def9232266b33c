// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

const shardNamespace = "shards"

// shard is an operator for some of the objects, with its own user and key.
type shard struct {
	*operator
	user *user
	key  account
}

func (w *env) startShard(t *testing.T, name string, namespaces []string, args ...string) *shard {
	t.Helper()
	s := &shard{user: w.addCandidate(t, name, shardNamespace), key: w.addAccount(t, name)}
	s.operator = w.startOperator(t, operatorOptions{
		name: name, user: s.user, namespaces: namespaces, account: s.key,
		args: append([]string{"--leader-elect", "--leader-election-namespace=" + shardNamespace}, args...),
	})
	return s
}

// series counts the series of the object.
func (o *operator) series(g Gomega, object *v1alpha1.LoadBalancerHealth) int {
	count := 0
	for series := range o.metrics(g) {
		if strings.Contains(series, `name="`+object.Name+`"`) {
			count++
		}
	}
	return count
}

func inShard(name string) func(*v1alpha1.LoadBalancerHealth) {
	return func(o *v1alpha1.LoadBalancerHealth) { o.Labels = map[string]string{"shard": name} }
}

// callers returns the keys of the calls about a load balancer since a time.
func (w *env) callers(t *testing.T, object *v1alpha1.LoadBalancerHealth, since time.Time) []string {
	t.Helper()
	var keys []string
	for _, c := range w.simulator.calls(t, object.Spec.LoadBalancerID) {
		if c.Time.After(since) {
			keys = append(keys, c.AccessKeyID)
		}
	}
	return keys
}

func TestShards(t *testing.T) {
	g := NewWithT(t)
	const elsewhere = "shards-elsewhere"
	w := newEnv(t, envOptions{audited: true})
	w.addSimulator(t)
	w.createNamespace(t, shardNamespace)
	w.createNamespace(t, elsewhere)
	objects := map[string]*v1alpha1.LoadBalancerHealth{
		"a": named(shardNamespace, "lb-in-a", inShard("a")),
		"b": named(shardNamespace, "lb-in-b", inShard("b")),
		"c": named(shardNamespace, "lb-in-none"),
		"d": named(elsewhere, "lb-elsewhere", inShard("a")),
	}
	for _, object := range objects {
		w.simulator.put(t, object.Spec.LoadBalancerID, web("i-1", "10.9.0.1", "normal"), web("i-2", "10.9.0.2", "normal"))
		w.create(t, object)
	}
	here := []string{shardNamespace}
	shards := map[string]*shard{
		"a": w.startShard(t, "shard-a", here, "--watch-selector=shard=a"),
		"b": w.startShard(t, "shard-b", here, "--watch-selector=shard in (b)"),
		"c": w.startShard(t, "shard-c", here, "--watch-selector=shard notin (a,b)"),
		"d": w.startShard(t, "shard-d", []string{elsewhere}, "--leader-election-id=elsewhere"),
	}
	for name, object := range objects {
		w.await(t, object, good("AllBackendsNormal"))
		for _, key := range w.awaitCalls(t, object.Spec.LoadBalancerID, 0, 3) {
			g.Expect(key.AccessKeyID).To(Equal(shards[name].key.AccessKeyID), "caller about "+object.Name)
		}
	}
	var leases coordinationv1.LeaseList
	g.Expect(w.admin.List(t.Context(), &leases, client.InNamespace(shardNamespace))).To(Succeed())
	g.Expect(leases.Items).To(HaveLen(len(shards)))

	w.moves(t, objects["a"], shards["a"], shards["b"])
	for _, s := range shards {
		s.stop(t)
	}
	noRaceOrPanic(t, w)
}

// moves relabels an object during a call of its shard: the old shard must not write the response, and the new one
// continues from the stored status.
func (w *env) moves(t *testing.T, object *v1alpha1.LoadBalancerHealth, from, to *shard) {
	t.Helper()
	g := NewWithT(t)
	id := object.Spec.LoadBalancerID
	w.simulator.set(t, id, "i-1", "abnormal")
	before := w.await(t, object, good("MinHealthyMet"))
	w.awaitEvents(t, object, map[string]int{"Warning BackendAbnormal": 1})
	w.eventually(t, func(g Gomega) { g.Expect(from.series(g, object)).To(BeNumerically(">", 0)) })
	written := len(w.audit.of(t, from.user.name, (*auditedRequest).writes))

	// The call that is in flight has a transition, and its response arrives after the move.
	const delay = 4 * time.Second
	w.simulator.addFault(t, fault{Kind: "delay", LoadBalancerID: id, AccessKeyID: from.key.AccessKeyID, Delay: delay.String()})
	w.simulator.set(t, id, "i-2", "abnormal")
	w.awaitMoreCalls(t, id, 1)
	w.simulator.set(t, id, "i-2", "normal") // the new shard observes no transition
	w.kubectl(t, "label", "-n", object.Namespace, "lbh", object.Name, "--overwrite", "shard=b")
	moved := time.Now()
	w.awaitMoreCalls(t, id, 3)

	for _, key := range w.callers(t, object, moved.Add(time.Second)) {
		g.Expect(key).To(Equal(to.key.AccessKeyID), "caller after the move")
	}
	w.eventually(t, func(g Gomega) {
		g.Expect(from.series(g, object)).To(BeZero(), "series of the old shard")
		g.Expect(to.series(g, object)).To(BeNumerically(">", 0))
	})
	g.Expect(time.Since(moved)).To(BeNumerically(">", delay))
	g.Expect(w.audit.of(t, from.user.name, (*auditedRequest).writes)).To(HaveLen(written), "writes of the old shard")
	after := w.get(g, object)
	g.Expect(after.Status.Backends).To(Equal(before.Status.Backends), "rows and their lastTransitionTime")
	w.awaitEvents(t, object, map[string]int{"Warning BackendAbnormal": 1})

	w.simulator.set(t, id, "i-1", "normal")
	w.await(t, object, good("AllBackendsNormal"))
	w.awaitEvents(t, object, map[string]int{"Warning BackendAbnormal": 1, "Normal BackendNormal": 1})
	g.Expect(w.audit.of(t, from.user.name, (*auditedRequest).writes)).To(HaveLen(written))
}
