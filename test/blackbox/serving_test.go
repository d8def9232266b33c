// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"crypto/tls"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

var servingSpecs = []spec{
	{"liveness and readiness answer", answersProbes},
	{"secured metrics are for those who may read them, and over TLS alone", securesMetrics},
	{"0 turns metrics and probes off", turnsServersOff},
	{"namespaces and labels choose what an operator serves", choosesObjects},
}

func answersProbes(t *testing.T, w *env) {
	g := NewWithT(t)
	for _, path := range []string{"/healthz", "/readyz"} {
		status, body, err := get(http.DefaultClient, "http://"+w.main.probeAddress+path, "")
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(status).To(Equal(http.StatusOK), path+": "+body)
	}
}

func securesMetrics(t *testing.T, w *env) {
	g := NewWithT(t)
	const namespace = "scrape"
	w.createNamespace(t, namespace)
	guard := w.addUser(t, "guard")
	w.bind(t, guard, "role.yaml")
	w.bind(t, guard, "metrics_auth_role.yaml")
	reader, stranger := w.serviceAccount(t, namespace, "reader"), w.serviceAccount(t, namespace, "stranger")
	w.bindTo(t, rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: "reader"}, "", "metrics_reader_role.yaml")
	op := w.startOperator(t, operatorOptions{
		name: "secure", user: guard, namespaces: []string{namespace}, endpoint: w.simulator.URL, account: w.mainAccount,
		args: []string{"--metrics-secure=true"},
	})

	// The certificate is the operator's own, made at its start.
	anybody := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	url := "https://" + op.metricsAddress + "/metrics"
	var status int
	var body string
	var err error
	w.eventually(t, func(g Gomega) { // readiness does not wait for it
		status, body, err = get(anybody, url, "")
		g.Expect(err).NotTo(HaveOccurred())
	})
	g.Expect(status).To(BeElementOf(http.StatusUnauthorized, http.StatusForbidden))
	g.Expect(body).NotTo(ContainSubstring("slb_"))
	status, body, err = get(anybody, url, stranger)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(status).To(Equal(http.StatusForbidden))
	g.Expect(body).NotTo(ContainSubstring("slb_"))
	status, body, err = get(anybody, url, reader)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(status).To(Equal(http.StatusOK), body)
	g.Expect(body).To(ContainSubstring("slb_health_observation_lag_seconds"))

	status, body, err = get(http.DefaultClient, "http://"+op.metricsAddress+"/metrics", reader)
	g.Expect(err != nil || status != http.StatusOK).To(BeTrue(), body)
}

// serviceAccount makes one and returns a token of it.
func (w *env) serviceAccount(t *testing.T, namespace, name string) string {
	t.Helper()
	w.create(t, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}})
	return w.token(t, namespace, name)
}

// token is one that the API server made for a ServiceAccount.
func (w *env) token(t *testing.T, namespace, name string) string {
	t.Helper()
	serviceAccount := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	request := &authenticationv1.TokenRequest{}
	if err := w.admin.SubResource("token").Create(t.Context(), serviceAccount, request); err != nil {
		t.Fatal(err)
	}
	w.vault.add(request.Status.Token)
	return request.Status.Token
}

func turnsServersOff(t *testing.T, w *env) {
	g := NewWithT(t)
	const namespace, id = "silent", "lb-silent"
	w.createNamespace(t, namespace)
	w.simulator.put(t, id, web("i-1", "10.6.0.1", "normal"))
	object := named(namespace, id)
	w.create(t, object)
	args := []string{
		"--kubeconfig=" + w.operator.kubeconfig, "--slb-endpoint=" + w.simulator.URL, "--watch-namespace=" + namespace,
		"--metrics-bind-address=0", "--health-probe-bind-address=0",
	}
	p := start(t, w.outputs, "silent", w.programs.operator, append(w.operatorEnvironment(), w.mainAccount.environment()...), args...)
	w.await(t, object, good("AllBackendsNormal"))
	if listeners, known := listenersOf(t, p.PID()); known {
		g.Expect(listeners).To(BeEmpty())
		serving, _ := listenersOf(t, w.main.PID())
		g.Expect(serving).To(HaveLen(2))
	}
	p.terminate(t, stopGrace)
}

// listenersOf are the TCP sockets that a process listens on, where /proc shows them.
func listenersOf(t *testing.T, pid int) (addresses []string, known bool) {
	t.Helper()
	folder := "/proc/" + strconv.Itoa(pid)
	descriptors, err := os.ReadDir(filepath.Join(folder, "fd"))
	if err != nil {
		return nil, false
	}
	sockets := map[string]bool{}
	for _, descriptor := range descriptors {
		if target, err := os.Readlink(filepath.Join(folder, "fd", descriptor.Name())); err == nil {
			sockets[target] = true
		}
	}
	const localAddress, state, inode, listen = 1, 3, 9, "0A"
	for _, table := range []string{"tcp", "tcp6"} {
		content, err := os.ReadFile(filepath.Join(folder, "net", table))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(content)) {
			fields := strings.Fields(line)
			if len(fields) > inode && fields[state] == listen && sockets["socket:["+fields[inode]+"]"] {
				addresses = append(addresses, fields[localAddress])
			}
		}
	}
	return addresses, true
}

func choosesObjects(t *testing.T, w *env) {
	g := NewWithT(t)
	const id, first, second, elsewhere = "lb-shard", "shard-1", "shard-2", "shard-3"
	self := w.newAccount("shard")
	w.simulator.setAccount(t, self)
	shard := func(value string) func(*v1alpha1.LoadBalancerHealth) {
		return func(o *v1alpha1.LoadBalancerHealth) { o.Labels = map[string]string{"shard": value} }
	}
	served := []*v1alpha1.LoadBalancerHealth{named(first, id+"-1", shard("a")), named(second, id+"-2", shard("a"))}
	passed := []*v1alpha1.LoadBalancerHealth{named(first, id+"-3", shard("b")), named(second, id+"-4"), named(elsewhere, id+"-5", shard("a"))}
	for _, namespace := range []string{first, second, elsewhere} {
		w.createNamespace(t, namespace)
	}
	for _, object := range append(passed, served...) {
		w.simulator.put(t, object.Name, web("i-1", "10.6.1.1", "normal"))
		w.create(t, object)
	}
	w.startOperator(t, operatorOptions{
		name: "shard", namespaces: []string{first, second}, endpoint: w.simulator.URL, account: self,
		args: []string{"--watch-selector=shard=a"},
	})
	for _, object := range served {
		w.await(t, object, good("AllBackendsNormal"))
		w.awaitCalls(t, object.Name, 0, 2)
	}
	for _, object := range passed {
		g.Expect(w.simulator.calls(t, object.Name)).To(BeEmpty(), object.Name)
		g.Expect(w.get(g, object).Status.ObservedGeneration).To(BeEquivalentTo(-1), object.Name)
	}
}
