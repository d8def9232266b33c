// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// interval is the shortest that the API allows.
const interval = 5 * time.Second

// named returns an object for the load balancer of the same name.
func named(namespace, name string, edits ...func(*v1alpha1.LoadBalancerHealth)) *v1alpha1.LoadBalancerHealth {
	object := &v1alpha1.LoadBalancerHealth{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: strings.ToLower(strings.ReplaceAll(name, "_", "-"))},
		Spec: v1alpha1.LoadBalancerHealthSpec{
			LoadBalancerID: name, RegionID: region, Interval: metav1.Duration{Duration: interval},
		},
	}
	for _, edit := range edits {
		edit(object)
	}
	return object
}

// once sets an interval so long that only a request annotation causes a second observation.
func once(object *v1alpha1.LoadBalancerHealth) {
	object.Spec.Interval = metav1.Duration{Duration: time.Hour}
}

func withSecret(name string) func(*v1alpha1.LoadBalancerHealth) {
	return func(object *v1alpha1.LoadBalancerHealth) {
		object.Spec.Credentials = &v1alpha1.Credentials{SecretRef: v1alpha1.SecretReference{Name: name}}
	}
}

func (w *env) get(g Gomega, object *v1alpha1.LoadBalancerHealth) *v1alpha1.LoadBalancerHealth {
	found := &v1alpha1.LoadBalancerHealth{}
	g.Expect(w.admin.Get(w.ctx, client.ObjectKeyFromObject(object), found)).To(Succeed())
	return found
}

// states are the conditions of an object: type to status and reason.
type states map[string]string

func statesOf(object *v1alpha1.LoadBalancerHealth) states {
	found := states{}
	for _, c := range object.Status.Conditions {
		found[c.Type] = string(c.Status) + " " + c.Reason
	}
	return found
}

// good are the states of an object that was observed and is healthy.
func good(reason string) states {
	return states{"Ready": "True " + reason, "Healthy": "True " + reason, "Observed": "True ObservationSucceeded"}
}

func bad(reason string) states {
	return states{"Ready": "False " + reason, "Healthy": "False " + reason, "Observed": "True ObservationSucceeded"}
}

func unknown(reason string) states {
	return states{"Ready": "Unknown " + reason, "Healthy": "Unknown " + reason, "Observed": "True ObservationSucceeded"}
}

// failing are the states of an object whose observation never succeeded.
func failing(reason string) states {
	return states{"Ready": "Unknown Pending", "Healthy": "Unknown Pending", "Observed": "False " + reason}
}

func stalled(reason string) states {
	return states{"Ready": "False " + reason, "Healthy": "Unknown Pending", "Observed": "False " + reason, "Stalled": "True " + reason}
}

func with(base, others states) states {
	both := maps.Clone(base)
	maps.Copy(both, others)
	return both
}

func conditionOf(object *v1alpha1.LoadBalancerHealth, kind string) metav1.Condition {
	if found := meta.FindStatusCondition(object.Status.Conditions, kind); found != nil {
		return *found
	}
	return metav1.Condition{}
}

// rowsOf returns the backends of an object: server to health status.
func rowsOf(object *v1alpha1.LoadBalancerHealth) map[string]string {
	rows := map[string]string{}
	for _, b := range object.Status.Backends {
		rows[b.ServerID] = b.ServerHealthStatus
	}
	return rows
}

// await waits until the object has these states for its current generation. Registered
// may have any, unless it is one of them: few tests are about it.
func (w *env) await(t *testing.T, object *v1alpha1.LoadBalancerHealth, want states) *v1alpha1.LoadBalancerHealth {
	t.Helper()
	var found *v1alpha1.LoadBalancerHealth
	w.eventually(t, func(g Gomega) {
		found = w.get(g, object)
		states := statesOf(found)
		if _, wanted := want["Registered"]; !wanted {
			delete(states, "Registered")
		}
		g.Expect(states).To(Equal(want))
		g.Expect(found.Status.ObservedGeneration).To(Equal(found.Generation))
	})
	return found
}

func (*env) eventually(t *testing.T, check func(g Gomega)) {
	t.Helper()
	NewWithT(t).Eventually(t.Context(), check).WithTimeout(patience).WithPolling(pause).Should(Succeed())
}

// requestObservation requests one observation with the annotation.
func (w *env) requestObservation(t *testing.T, object *v1alpha1.LoadBalancerHealth, value string) {
	t.Helper()
	patch := client.RawPatch("application/merge-patch+json",
		[]byte(`{"metadata":{"annotations":{"`+v1alpha1.ObserveRequestedAtAnnotation+`":"`+value+`"}}}`))
	if err := w.admin.Patch(t.Context(), object.DeepCopy(), patch); err != nil {
		t.Fatal(err)
	}
}

// recorded counts the events of an object by type, reason and note.
type recorded map[string]int

func (w *env) events(g Gomega, object *v1alpha1.LoadBalancerHealth) recorded {
	var list eventsv1.EventList
	g.Expect(w.admin.List(w.ctx, &list, client.InNamespace(object.Namespace))).To(Succeed())
	found := recorded{}
	for i := range list.Items {
		e := &list.Items[i]
		if e.Regarding.Kind != v1alpha1.Kind || e.Regarding.Name != object.Name {
			continue
		}
		times := 1
		if e.Series != nil {
			times = int(e.Series.Count)
		}
		found[e.Type+" "+e.Reason+": "+e.Note] += times
	}
	return found
}

// reasons counts the events by type and reason.
func (t recorded) reasons() map[string]int {
	counts := map[string]int{}
	for what, times := range t {
		head, _, _ := strings.Cut(what, ":")
		counts[head] += times
	}
	return counts
}

// notes returns the notes of one reason, sorted.
func (t recorded) notes(reason string) []string {
	var notes []string
	for what := range t {
		if head, note, _ := strings.Cut(what, ": "); strings.HasSuffix(head, " "+reason) {
			notes = append(notes, note)
		}
	}
	return slices.Sorted(slices.Values(notes))
}

// versions returns the resourceVersions of objects by name: every write changes them.
func (w *env) versions(t *testing.T, objects ...*v1alpha1.LoadBalancerHealth) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, object := range objects {
		found[object.Name] = w.get(NewWithT(t), object).ResourceVersion
	}
	return found
}

// awaitMoreCalls waits for n more calls about the load balancer, and returns all calls.
func (w *env) awaitMoreCalls(t *testing.T, id string, n int) []call {
	t.Helper()
	return w.awaitCalls(t, id, len(w.simulator.calls(t, id)), n)
}

// awaitCaller waits until the last call about the load balancer was signed with this key.
func (w *env) awaitCaller(t *testing.T, id string, key account) {
	t.Helper()
	w.eventually(t, func(g Gomega) {
		calls := w.simulator.calls(t, id)
		g.Expect(calls[len(calls)-1].AccessKeyID).To(Equal(key.AccessKeyID))
	})
}

// awaitCalls waits for n calls about the load balancer besides the first ones.
func (w *env) awaitCalls(t *testing.T, id string, before, n int) []call {
	t.Helper()
	var calls []call
	w.eventually(t, func(g Gomega) {
		calls = w.simulator.calls(t, id)
		g.Expect(len(calls)).To(BeNumerically(">=", before+n), "calls about "+id)
	})
	return calls
}
