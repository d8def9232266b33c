// SPDX-License-Identifier: Apache-2.0

package gitops

import (
	"cmp"
	"maps"
	"net/http"
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/harness"
)

const (
	served   = "served"   // by the operator
	waiting  = "waiting"  // by one with a permit in a hundred seconds
	unserved = "unserved" // by no operator
)

// state is a state of an object that the operator writes. The object and its load
// balancer have the name id.
type state struct {
	// title is its name in docs/gitops/README.md.
	title, id string
	// backends are the states in the simulator; nil: there is no such load balancer.
	backends []string
	spec     map[string]any
	// code is the API's error to every call, from the start, or once the
	// object is healthy.
	code  string
	http  int
	later bool
	// before is Ready before change and a later code; default AllBackendsNormal.
	before string
	// change is done once the object is healthy.
	change func(*testing.T, *env, string)
	// ready and observed are the conditions of the state.
	ready, observed string
}

var (
	good = []string{"normal", "normal"}
	bad  = []string{"abnormal", "abnormal"}
)

// states are those that the operator writes while it runs. Those that end when an
// observation becomes stale precede the one that waits for that.
var states = []state{
	{title: "every backend is normal", id: "normal", backends: good, ready: "True AllBackendsNormal"},
	{title: "enough backends are normal", id: "enough", backends: []string{"normal", "abnormal"}, ready: "True MinHealthyMet"},
	{
		title: "an observation failed, the verdict stands", id: "failing", backends: good, code: "InternalError", http: http.StatusInternalServerError, later: true,
		ready: "True AllBackendsNormal", observed: "False ServiceError",
	},
	{
		title: "requested, attempted, not handled", id: "unanswered", backends: good, code: "Throttling.User", http: http.StatusBadRequest, later: true, change: stamp,
		ready: "True AllBackendsNormal", observed: "False Throttled",
	},
	{
		title: "requested, attempted, not handled, too few before", id: "below-unanswered", backends: bad, code: "Throttling.User", http: http.StatusBadRequest, later: true, change: stamp,
		before: "False BelowMinHealthy", ready: "False BelowMinHealthy", observed: "False Throttled",
	},
	{
		title: "requested, attempted, stalled", id: "requested-forbidden", backends: good, code: "Forbidden.RAM", http: http.StatusForbidden, later: true, change: stamp,
		ready: "False Forbidden", observed: "False Forbidden",
	},
	{title: "requested and handled", id: "handled", backends: good, change: stamp, ready: "True AllBackendsNormal"},
	{title: "too few backends are normal", id: "below", backends: bad, ready: "False BelowMinHealthy"},
	{title: "there are no backends", id: "none", backends: []string{}, ready: "False NoBackends"},
	{title: "health checks have no result", id: "unavailable", backends: []string{"unavailable", "unavailable"}, ready: "Unknown HealthCheckUnavailable"},
	{title: "a listener that had backends is missing", id: "missing", backends: good, change: loseListener, ready: "Unknown ListenerMissing"},
	{title: "the first observation failed", id: "pending", backends: good, code: "InternalError", http: http.StatusInternalServerError, ready: "Unknown Pending", observed: "False ServiceError"},
	{
		title: "the last observation is stale", id: "stale", backends: good, code: "InternalError", http: http.StatusInternalServerError, later: true,
		ready: "Unknown ObservationStale", observed: "False ServiceError",
	},
	{title: "suspended", id: "suspended", backends: good, spec: map[string]any{"suspend": true}, ready: "Unknown Suspended"},
	{title: "stalled: the permission is missing", id: "forbidden", backends: good, code: "Forbidden.RAM", http: http.StatusForbidden, ready: "False Forbidden"},
	{title: "stalled: the key is refused", id: "refused", backends: good, code: "InvalidAccessKeyId.NotFound", http: http.StatusNotFound, ready: "False InvalidCredentials"},
	{
		title: "stalled: the Secret is missing", id: "secretless", backends: good,
		spec: map[string]any{"credentials": map[string]any{"secretRef": map[string]any{"name": "nowhere"}}}, ready: "False CredentialsNotFound",
	},
	{title: "stalled: no such load balancer, three times", id: "nowhere", ready: "False LoadBalancerNotFound"},
	{title: "stalled: the request is refused", id: "invalid", backends: good, code: "InvalidParameter", http: http.StatusBadRequest, ready: "False InvalidRequest"},
	{title: "being deleted", id: "deleted", backends: good, change: beginDeletion, ready: "True AllBackendsNormal"},
}

// reached is an object in a state, and whether `kubectl wait` ends for it.
type reached struct {
	title  string
	object *unstructured.Unstructured
	wait   string
}

// reachAll creates an object in every state, and returns them as the API server has them.
func reachAll(t *testing.T, s *env) []reached {
	t.Helper()
	for _, namespace := range []string{served, waiting, unserved} {
		s.kubectl(t, "create", "namespace", namespace)
	}
	operator := s.startOperator(t, "operator", "--watch-namespace="+served)
	for _, state := range states {
		s.begin(t, state)
	}
	s.put(t, "edited", good...)
	s.create(t, served, "edited", nil)
	s.create(t, unserved, "new", nil)
	found := []reached{s.reached(t, "not observed yet", s.get(t, unserved, "new")), s.reached(t, "waiting for the first observation", s.wait(t))}
	for _, state := range states {
		s.change(t, state)
	}
	s.await(t, served, "edited", "True AllBackendsNormal")
	for _, state := range states {
		found = append(found, s.reached(t, state.title, s.awaitState(t, state)))
	}
	// Edits and requests that are not observed need a stopped operator.
	operator.Stop()
	s.patch(t, served, "edited", `{"spec": {"healthPolicy": {"minHealthy": "100%"}}}`)
	found = append(found, s.reached(t, "edited, and not observed since", s.get(t, served, "edited")))
	for _, later := range []struct{ title, id string }{
		{"requested, and not attempted yet", "normal"}, {"too few before, requested, not attempted yet", "below"}, {"stalled before, requested, not attempted yet", "forbidden"},
	} {
		stamp(t, s, later.id)
		found = append(found, s.reached(t, later.title, s.get(t, served, later.id)))
	}
	return found
}

// begin creates the load balancer and the object of a state.
func (s *env) begin(t *testing.T, state state) {
	t.Helper()
	if state.backends != nil {
		s.put(t, state.id, state.backends...)
	}
	if state.code != "" && !state.later {
		s.Fail(t, state.id, state.code, state.http, 0)
	}
	s.create(t, served, state.id, state.spec)
}

// change breaks the API for a healthy object, or changes the object.
func (s *env) change(t *testing.T, state state) {
	t.Helper()
	if !state.later && state.change == nil {
		return
	}
	s.await(t, served, state.id, cmp.Or(state.before, "True AllBackendsNormal"))
	if state.later {
		s.Fail(t, state.id, state.code, state.http, 0)
	}
	if state.change != nil {
		state.change(t, s, state.id)
	}
}

func (s *env) awaitState(t *testing.T, state state) *unstructured.Unstructured {
	t.Helper()
	var object *unstructured.Unstructured
	eventually(t, func(g Gomega) {
		object = s.get(t, served, state.id)
		g.Expect(condition(object, "Ready")).To(Equal(state.ready), state.title)
		if state.observed != "" {
			g.Expect(condition(object, "Observed")).To(Equal(state.observed), state.title)
		}
		if value := object.GetAnnotations()[request]; value != "" {
			g.Expect(value).To(BeElementOf(handledOf(object), attemptedOf(object)), state.title)
		}
	})
	return object
}

// wait returns an object that is queued for its first observation, after another one.
func (s *env) wait(t *testing.T) *unstructured.Unstructured {
	t.Helper()
	for _, id := range []string{"one", "another"} {
		s.put(t, id, good...)
		s.create(t, waiting, id, nil)
	}
	s.startOperator(t, "slow-operator", "--watch-namespace="+waiting, "--slb-qps=0.01", "--slb-burst=1")
	var found *unstructured.Unstructured
	eventually(t, func(g Gomega) {
		list, err := s.lbh(waiting).List(s.Ctx, metav1.ListOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		for i := range list.Items {
			if condition(&list.Items[i], "Reconciling") != "" {
				found = &list.Items[i]
			}
		}
		g.Expect(found).NotTo(BeNil())
	})
	return found
}

func (s *env) reached(t *testing.T, title string, object *unstructured.Unstructured) reached {
	t.Helper()
	_, code := s.try(t, "wait", "-n", object.GetNamespace(), "--for=condition=Ready", "--timeout=0", "lbh/"+object.GetName())
	wait := "goes on"
	if code == 0 {
		wait = "ends"
	}
	return reached{title, object, wait}
}

func (s *env) create(t *testing.T, namespace, id string, more map[string]any) {
	t.Helper()
	spec := map[string]any{"loadBalancerId": id, "regionId": harness.Region, "interval": "5s"}
	maps.Copy(spec, more)
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": "LoadBalancerHealth",
		"metadata": map[string]any{"namespace": namespace, "name": id}, "spec": spec,
	}}
	if _, err := s.lbh(namespace).Create(s.Ctx, object, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (s *env) patch(t *testing.T, namespace, name, patch string) {
	t.Helper()
	if _, err := s.lbh(namespace).Patch(s.Ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

// stamp requests an observation of an object by annotation.
func stamp(t *testing.T, s *env, id string) {
	t.Helper()
	s.patch(t, served, id, `{"metadata": {"annotations": {"`+request+`": "now"}}}`)
}

// loseListener removes all backends of one of two listeners, and the permission to list
// listeners, which would show that it is empty.
func loseListener(t *testing.T, s *env, id string) {
	t.Helper()
	s.Admin(t, http.MethodPut, "permissions", map[string]any{"allowListeners": false})
	backends := "loadbalancers/" + id + "/backends"
	s.Admin(t, http.MethodPost, backends, map[string]any{"serverId": "i-3", "listenerPort": 80, "listenerProtocol": "http"})
	s.Admin(t, http.MethodDelete, backends+"?listenerPort=443", nil)
}

// handledOf and attemptedOf are the requests that a status repeats.
func handledOf(object *unstructured.Unstructured) string {
	return repeated(object, "lastHandledObserveRequest")
}
func attemptedOf(object *unstructured.Unstructured) string {
	return repeated(object, "lastAttemptedObserveRequest")
}

func repeated(object *unstructured.Unstructured, field string) string {
	value, _, _ := unstructured.NestedString(object.Object, "status", field)
	return value
}

// beginDeletion deletes an object that has a finalizer, as a foreground deletion does.
func beginDeletion(t *testing.T, s *env, id string) {
	t.Helper()
	s.patch(t, served, id, `{"metadata": {"finalizers": ["example.com/keep"]}}`)
	if err := s.lbh(served).Delete(s.Ctx, id, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}
