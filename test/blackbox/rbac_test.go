// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"crypto/tls"
	"net/http"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// TestRBAC installs config/ as it is shipped, has the operator do all that it
// ever does as its own ServiceAccount, and reads off the API server's audit log
// that it was refused nothing and was granted nothing besides.
func TestRBAC(t *testing.T) {
	log, options := audited(t)
	w := newBareEnv(t, envOptions{plane: options})
	w.slb = startSLBServer(t, w)
	clusterWide := installation{folder: "default", namespace: "slb-health-operator-system", served: "team-a", secure: true}
	namespaced := installation{folder: "namespaced", namespace: "slb-health", served: "slb-health"}
	w.createNamespace(t, clusterWide.served)
	w.createNamespace(t, namespaced.namespace)
	w.install(t, clusterWide)
	w.install(t, namespaced)

	t.Run("RBAC decides", func(t *testing.T) { w.strangersMayNothing(t) })
	// One after the other: the first serves the second's namespace, too.
	for _, i := range []installation{clusterWide, namespaced} {
		t.Run(i.folder, func(t *testing.T) {
			op := w.startInstalled(t, i)
			t.Run("does all its work", func(t *testing.T) { // what it cannot do, the log explains
				w.workThrough(t, i)
				w.scrape(t, i, op)
			})
			op.terminate(t, stopGrace)

			requests := log.by(t, i.user())
			t.Run("is refused nothing", func(t *testing.T) { refusedNothing(t, requests) })
			t.Run("is granted what it uses and no more", func(t *testing.T) {
				grantedWhatIsUsed(t, w.rightsOf(t, i.namespace, serviceAccountName), requests)
			})
			t.Run("may what the documentation says", func(t *testing.T) { w.documented(t, i) })
		})
	}
	t.Run("with the load balancers of Services", func(t *testing.T) { w.servicesAllowed(t, clusterWide, log) })
	t.Run("with the names of backends", func(t *testing.T) { w.namesAllowed(t, clusterWide, log) })
	behaves(t, w)
}

// strangersMayNothing proves that rights are looked at.
func (w *env) strangersMayNothing(t *testing.T) {
	w.create(t, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: strangerName}})
	answer := w.kubectl(t, "auth", "can-i", "--list", "--as="+strangerUser)
	NewWithT(t).Expect(answer).NotTo(Or(ContainSubstring("secrets"), ContainSubstring("*.*"), ContainSubstring("loadbalancerhealths")))
}

// workThrough has the operator do everything once: observe with its own
// identity and with a Secret, write a status and one that another client wrote
// to meanwhile, tell an event and let its series grow.
func (w *env) workThrough(t *testing.T, i installation) {
	t.Helper()
	turns := named(i.served, "lb-turns-"+i.folder, once)
	keyed := named(i.served, "lb-keyed-"+i.folder, once, withSecret("slb-reader"))
	w.slb.on(keyed.Spec.LoadBalancerID, always(success(normalRow("i-1"))))
	w.slb.on(turns.Spec.LoadBalancerID, func(n int) answer {
		if n == 2 {
			w.label(t, turns) // between the operator's look at the object and its write
		}
		if n%2 == 0 {
			return success(row{"ServerId": "i-1", "ServerHealthStatus": "abnormal"})
		}
		return success(normalRow("i-1"))
	})
	w.create(t, w.slb.account.secret(i.served, "slb-reader"))
	w.create(t, keyed)
	w.create(t, turns)
	w.await(t, keyed, good("AllBackendsNormal"))
	w.await(t, turns, good("AllBackendsNormal"))
	for _, step := range []struct {
		request string
		want    states
	}{{"2", bad("BelowMinHealthy")}, {"3", good("AllBackendsNormal")}, {"4", bad("BelowMinHealthy")}} {
		w.requestObservation(t, turns, step.request)
		w.await(t, turns, step.want)
	}
	w.awaitEvents(t, turns, map[string]int{
		"Warning BackendAbnormal": 2, "Normal BackendNormal": 1, "Warning LoadBalancerUnhealthy": 2, "Normal LoadBalancerHealthy": 1,
	})
}

func (w *env) label(t *testing.T, object *v1alpha1.LoadBalancerHealth) {
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"somebody":"else"}}}`))
	if err := w.admin.Patch(w.ctx, object.DeepCopy(), patch); err != nil {
		t.Error(err)
	}
}

// scrape reads the metrics as who may and as who may not.
func (w *env) scrape(t *testing.T, i installation, op *operator) {
	t.Helper()
	g := NewWithT(t)
	const series = "slb_health_condition"
	if !i.secure {
		w.eventually(t, func(g Gomega) { // readiness does not wait for it
			status, body, err := get(http.DefaultClient, "http://"+op.metricsAddress+"/metrics", "")
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(status).To(Equal(http.StatusOK))
			g.Expect(body).To(ContainSubstring(series))
		})
		return
	}
	reader, stranger := w.serviceAccount(t, i.served, "reader"), w.serviceAccount(t, i.served, "stranger")
	w.create(t, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "reads-metrics"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "slb-health-operator-metrics-reader"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: i.served, Name: "reader"}},
	})
	// The certificate is the operator's own, made at its start.
	anybody := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	url := "https://" + op.metricsAddress + "/metrics"
	w.eventually(t, func(g Gomega) { // readiness does not wait for it
		_, _, err := get(anybody, url, "")
		g.Expect(err).NotTo(HaveOccurred())
	})
	for _, who := range []struct {
		token string
		want  int
	}{{"", http.StatusUnauthorized}, {stranger, http.StatusForbidden}, {reader, http.StatusOK}} {
		status, body, err := get(anybody, url, who.token)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(status).To(Equal(who.want), body)
		g.Expect(strings.Contains(body, series)).To(Equal(who.want == http.StatusOK))
	}
}

func refusedNothing(t *testing.T, requests []asked) {
	if len(requests) == 0 {
		t.Error("it asked nothing")
	}
	for _, a := range requests {
		if a.refused() {
			t.Errorf("%d: %s %s", a.Response.Code, a.Verb, a.URI)
		}
	}
}

// grantedWhatIsUsed demands of each right that something was asked that no other allows.
func grantedWhatIsUsed(t *testing.T, granted []right, requests []asked) {
	t.Helper()
	if len(granted) == 0 {
		t.Error("it is granted nothing")
	}
	for _, u := range usedBy(requests) {
		if !slices.ContainsFunc(granted, func(r right) bool { return r.covers(u) }) {
			t.Errorf("it may %s, which none of its roles says", u)
		}
	}
	needed(t, granted, requests)
}

// needed demands it of these rights alone.
func needed(t *testing.T, rights []right, requests []asked) {
	t.Helper()
	used := usedBy(requests)
	for n, r := range rights {
		others := slices.Delete(slices.Clone(rights), n, n+1)
		if !slices.ContainsFunc(used, func(u right) bool {
			return r.covers(u) && !slices.ContainsFunc(others, func(o right) bool { return o.covers(u) })
		}) {
			t.Errorf("it may %s, which it never needed", r)
		}
	}
}

func usedBy(requests []asked) []right {
	var used []right
	for _, a := range requests {
		if r, ok := a.right(); ok && !a.refused() && !slices.Contains(used, r) {
			used = append(used, r)
		}
	}
	return used
}
