// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"net/http"
	"slices"
	"testing"

	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/harness"
)

// TestRBAC installs config/ as it is shipped, and makes the operator do everything as its own ServiceAccount. The audit
// log of the API server must show no refused request, and a use of every permission.
func TestRBAC(t *testing.T) {
	log, flags := newAuditLog(t, serviceAccountPolicy)
	flags["feature-gates"] = []string{"WatchList=false"} // so that clients list, as before Kubernetes 1.34
	w := newBareEnv(t, envOptions{plane: harness.ControlPlaneOptions{CRDs: []string{}, APIServerArgs: flags}})
	w.slb = startSLBServer(t, w)
	clusterWide := installation{folder: "default", namespace: "slb-health-operator-system", served: "team-a", secure: true}
	namespaced := installation{folder: "namespaced", namespace: "slb-health", served: "slb-health"}
	w.createNamespace(t, clusterWide.served)
	w.createNamespace(t, namespaced.namespace)
	w.install(t, clusterWide)
	w.install(t, namespaced)

	t.Run("other accounts have no permissions", func(t *testing.T) { w.strangersMayNothing(t) })
	// One after the other: the first one serves the namespace of the second one, too.
	for _, i := range []installation{clusterWide, namespaced} {
		t.Run(i.folder, func(t *testing.T) {
			op := w.startInstalled(t, i)
			t.Run("does all its work", func(t *testing.T) {
				w.workThrough(t, i)
				w.scrape(t, i, op)
			})
			op.terminate(t, stopGrace)
			t.Run("writes statuses with a PUT", func(t *testing.T) { w.onlyUpdates(t, i, log) })
			t.Run("keeps the fields of a newer CRD", func(t *testing.T) { w.workWithNewerCRD(t, i) })

			requests := log.of(t, i.user(), anyRequest)
			t.Run("is refused nothing", func(t *testing.T) { refusedNothing(t, requests) })
			t.Run("has only permissions that it uses", func(t *testing.T) {
				onlyNeeded(t, w.permissionsOf(t, i.namespace, serviceAccountName), requests)
			})
			t.Run("has the documented permissions", func(t *testing.T) { w.documented(t, i) })
		})
	}
	t.Run("with the load balancers of Services", func(t *testing.T) { w.servicesAllowed(t, clusterWide, log) })
	t.Run("with readiness gates", func(t *testing.T) { w.gatesAllowed(t, clusterWide, log) })
	t.Run("with the names of backends", func(t *testing.T) { w.namesAllowed(t, clusterWide, log) })
	t.Run("with the load balancers of Services in one namespace", func(t *testing.T) { w.servicesInNamespace(t, namespaced, log) })
	noRaceOrPanic(t, w)
}

// strangersMayNothing proves that RBAC is enabled.
func (w *env) strangersMayNothing(t *testing.T) {
	w.create(t, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: strangerName}})
	listed := w.kubectl(t, "auth", "can-i", "--list", "--as="+strangerUser)
	NewWithT(t).Expect(listed).NotTo(Or(ContainSubstring("secrets"), ContainSubstring("*.*"), ContainSubstring("loadbalancerhealths")))
}

// workThrough makes the operator do everything once: observe with its own identity and with a Secret, write a status,
// repeat a write after a conflict, and record an event and update its series.
func (w *env) workThrough(t *testing.T, i installation) {
	t.Helper()
	changing := changingObject(i)
	keyed := named(i.served, "lb-keyed-"+i.folder, once, withSecret("slb-reader"))
	w.slb.on(keyed.Spec.LoadBalancerID, always(success(normalRow("i-1"))))
	w.slb.on(changing.Spec.LoadBalancerID, func(n int) fakeResponse {
		if n == 2 {
			w.label(t, changing) // after the operator has read the object
		}
		if n%2 == 0 {
			return success(row{"ServerId": "i-1", "ServerHealthStatus": "abnormal"})
		}
		return success(normalRow("i-1"))
	})
	w.create(t, w.slb.account.secret(i.served, "slb-reader"))
	w.create(t, keyed)
	w.create(t, changing)
	w.await(t, keyed, good("AllBackendsNormal"))
	w.await(t, changing, good("AllBackendsNormal"))
	for _, step := range []struct {
		request string
		want    states
	}{{"2", bad("BelowMinHealthy")}, {"3", good("AllBackendsNormal")}, {"4", bad("BelowMinHealthy")}} {
		w.requestObservation(t, changing, step.request)
		w.await(t, changing, step.want)
	}
	w.awaitEvents(t, changing, map[string]int{
		"Warning BackendAbnormal": 2, "Normal BackendNormal": 1, "Warning LoadBalancerUnhealthy": 2, "Normal LoadBalancerHealthy": 1,
	})
}

func changingObject(i installation) *v1alpha1.LoadBalancerHealth {
	return named(i.served, "lb-changing-"+i.folder, once)
}

// onlyUpdates requires that no status was patched: that costs the API server more than a PUT.
func (w *env) onlyUpdates(t *testing.T, i installation, log *auditLog) {
	verbs := map[string]int{}
	for _, r := range log.of(t, i.user(), func(r *auditedRequest) bool { return r.writes() && r.ObjectRef.Subresource == "status" }) {
		verbs[r.Verb]++
	}
	NewWithT(t).Expect(verbs).To(And(HaveLen(1), HaveKeyWithValue("update", BeNumerically(">=", 5))))
}

// workWithNewerCRD runs an operator that does not know a field of the status, as after a downgrade.
func (w *env) workWithNewerCRD(t *testing.T, i installation) {
	const field = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/future"
	changing := changingObject(i)
	patchCRD := func(operation string, served types.GomegaMatcher) {
		w.kubectl(t, "patch", "crd", crdName, "--type=json", "-p=["+operation+"]")
		w.eventually(t, func(g Gomega) {
			g.Expect(w.kubectl(t, "get", "--raw", "/openapi/v3/apis/slb.lbhealth.dev/v1alpha1")).To(served)
		})
	}
	patchCRD(`{"op":"add","path":"`+field+`","value":{"type":"string"}}`, ContainSubstring(`"future"`))
	w.kubectl(t, "patch", "-n", i.served, "lbh", changing.Name, "--subresource=status", "--type=merge", `-p={"status":{"future":"kept"}}`)
	i.run = "-newer-crd"
	op := w.startInstalled(t, i)
	w.requestObservation(t, changing, "5")
	w.await(t, changing, good("AllBackendsNormal"))
	op.terminate(t, stopGrace)
	NewWithT(t).Expect(w.kubectl(t, "get", "-n", i.served, "lbh", changing.Name, "-o=jsonpath={.status.future}")).To(Equal("kept"))
	patchCRD(`{"op":"remove","path":"`+field+`"}`, Not(ContainSubstring(`"future"`)))
}

func (w *env) label(t *testing.T, object *v1alpha1.LoadBalancerHealth) {
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"edited":"true"}}}`))
	if err := w.admin.Patch(w.ctx, object.DeepCopy(), patch); err != nil {
		t.Error(err)
	}
}

// scrape reads the metrics: with and without permission where they are secured.
func (w *env) scrape(t *testing.T, i installation, op *operator) {
	t.Helper()
	const series = "slb_health_condition"
	if !i.secure {
		w.eventually(t, func(g Gomega) { // readiness does not wait for the metrics server
			status, body, err := get(http.DefaultClient, "http://"+op.metricsAddress+"/metrics", "")
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(status).To(Equal(http.StatusOK))
			g.Expect(body).To(ContainSubstring(series))
		})
		return
	}
	w.create(t, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "reads-metrics"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "slb-health-operator-metrics-reader"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: i.served, Name: "reader"}},
	})
	w.onlyReaderScrapes(t, op, i.served, series)
}

func refusedNothing(t *testing.T, requests []auditedRequest) {
	if len(requests) == 0 {
		t.Error("it sent no request")
	}
	for _, r := range requests {
		if r.refused() {
			t.Errorf("%d: %s %s", r.ResponseStatus.Code, r.Verb, r.RequestURI)
		}
	}
}

// onlyNeeded requires that the requests needed each permission, and no other one.
func onlyNeeded(t *testing.T, granted []permission, requests []auditedRequest) {
	t.Helper()
	if len(granted) == 0 {
		t.Error("it has no permission")
	}
	for _, u := range usedBy(requests) {
		if !slices.ContainsFunc(granted, func(p permission) bool { return p.covers(u) }) {
			t.Errorf("it may %s, although none of its roles grants that", u)
		}
	}
	needed(t, granted, requests)
}

// needed requires of each permission that a request needed it, and no other one of them allowed the request.
func needed(t *testing.T, permissions []permission, requests []auditedRequest) {
	t.Helper()
	used := usedBy(requests)
	for n, p := range permissions {
		others := slices.Delete(slices.Clone(permissions), n, n+1)
		if !slices.ContainsFunc(used, func(u permission) bool {
			return p.covers(u) && !slices.ContainsFunc(others, func(o permission) bool { return o.covers(u) })
		}) {
			t.Errorf("it may %s, which no request needed", p)
		}
	}
}

func usedBy(requests []auditedRequest) []permission {
	var used []permission
	for _, r := range requests {
		if p, ok := r.permission(); ok && !r.refused() && !slices.Contains(used, p) {
			used = append(used, p)
		}
	}
	return used
}
