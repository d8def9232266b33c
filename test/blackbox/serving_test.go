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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

var servingSpecs = []spec{
	{"liveness and readiness probes succeed", servesProbes},
	{"secured metrics require a permission and TLS", securesMetrics},
	{"0 disables metrics and probes", disablesServers},
	{"namespaces and labels select the objects of an operator", selectsObjects},
}

func servesProbes(t *testing.T, w *env) {
	g := NewWithT(t)
	for _, path := range []string{"/healthz", "/readyz"} {
		status, body, err := get(http.DefaultClient, "http://"+w.main.probeAddress+path, "")
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(status).To(Equal(http.StatusOK), path+": "+body)
	}
}

func securesMetrics(t *testing.T, w *env) {
	const namespace = "scrape"
	w.createNamespace(t, namespace)
	guard := w.addUser(t, "guard")
	w.bind(t, guard, "", "role.yaml")
	w.bind(t, guard, "", "metrics_auth_role.yaml")
	w.bind(t, &user{name: "system:serviceaccount:" + namespace + ":reader"}, "", "metrics_reader_role.yaml")
	op := w.startOperator(t, operatorOptions{name: namespace, user: guard, account: w.mainAccount, args: []string{"--metrics-secure=true"}})
	w.onlyReaderScrapes(t, op, namespace, "slb_health_observation_lag_seconds")
}

// onlyReaderScrapes requires that the ServiceAccount reader of a namespace gets the metrics over TLS, and no other one.
func (w *env) onlyReaderScrapes(t *testing.T, op *operator, namespace, series string) {
	t.Helper()
	g := NewWithT(t)
	reader, stranger := w.serviceAccount(t, namespace, "reader"), w.serviceAccount(t, namespace, "stranger")
	// The operator creates a self-signed certificate.
	insecure := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	url := "https://" + op.metricsAddress + "/metrics"
	w.eventually(t, func(g Gomega) { // readiness does not wait for the metrics server
		_, _, err := get(insecure, url, "")
		g.Expect(err).NotTo(HaveOccurred())
	})
	for _, caller := range []struct {
		token string
		want  int
	}{{"", http.StatusUnauthorized}, {stranger, http.StatusForbidden}, {reader, http.StatusOK}} {
		status, body, err := get(insecure, url, caller.token)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(status).To(Equal(caller.want), body)
		g.Expect(strings.Contains(body, series)).To(Equal(caller.want == http.StatusOK), body)
		g.Expect(strings.Contains(body, "slb_")).To(Equal(caller.want == http.StatusOK), body)
	}
	status, body, err := get(http.DefaultClient, "http://"+op.metricsAddress+"/metrics", reader)
	g.Expect(err != nil || status != http.StatusOK).To(BeTrue(), body)
}

// serviceAccount creates a ServiceAccount and returns a token of it.
func (w *env) serviceAccount(t *testing.T, namespace, name string) string {
	t.Helper()
	w.create(t, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}})
	return w.token(t, namespace, name)
}

// token returns a token of a ServiceAccount.
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

func disablesServers(t *testing.T, w *env) {
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

// listenersOf returns the TCP addresses that a process listens on; known is false where /proc does not show them.
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
		for row := range strings.Lines(string(content)) {
			fields := strings.Fields(row)
			if len(fields) > inode && fields[state] == listen && sockets["socket:["+fields[inode]+"]"] {
				addresses = append(addresses, fields[localAddress])
			}
		}
	}
	return addresses, true
}

func selectsObjects(t *testing.T, w *env) {
	g := NewWithT(t)
	const id, first, second, elsewhere = "lb-shard", "shard-1", "shard-2", "shard-3"
	self := w.addAccount(t, "shard")
	served := []*v1alpha1.LoadBalancerHealth{named(first, id+"-1", inShard("a")), named(second, id+"-2", inShard("a"))}
	ignored := []*v1alpha1.LoadBalancerHealth{named(first, id+"-3", inShard("b")), named(second, id+"-4"), named(elsewhere, id+"-5", inShard("a"))}
	for _, namespace := range []string{first, second, elsewhere} {
		w.createNamespace(t, namespace)
	}
	for _, object := range append(ignored, served...) {
		w.simulator.put(t, object.Name, web("i-1", "10.6.1.1", "normal"))
		w.create(t, object)
	}
	w.startOperator(t, operatorOptions{
		name: "shard", namespaces: []string{first, second}, account: self,
		args: []string{"--watch-selector=shard=a"},
	})
	for _, object := range served {
		w.await(t, object, good("AllBackendsNormal"))
		w.awaitCalls(t, object.Name, 0, 2)
	}
	for _, object := range ignored {
		g.Expect(w.simulator.calls(t, object.Name)).To(BeEmpty(), object.Name)
		g.Expect(w.get(g, object).Status.ObservedGeneration).To(BeEquivalentTo(-1), object.Name)
	}
}
