// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"crypto/rand"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

var identitySpecs = []spec{
	{"with a role of the ServiceAccount calls continue while credentials are renewed and while STS hangs", assumesARole},
	{"an STS that fails at the start is named, and the operator recovers by itself", awaitsSTS},
	{"a role that STS refuses requires manual action, and the message has the reason and nothing of the token", namesRefusedRoles},
	{"with the role of a node calls continue while it is rotated and while the metadata server is down", usesTheNodesRole},
	{"a token that expires while STS is down requires no manual action, and no verdict changes", outlivesItsToken},
	{"an access key in a folder follows its rotation without a restart, and half a key is named", readsAFolder},
	{"where credentials are required, an object without them is refused and one with them is not", requiresCredentials},
}

// session is the lifetime of credentials. The operator renews them three minutes before they expire, so after 2 s.
const session = 3*time.Minute + 2*time.Second

// roleEnvironment returns the variables that RRSA sets in a pod, and a token of the vault.
func (w *env) roleEnvironment(t *testing.T, from *sts) (environment []string, tokenFile, token string) {
	t.Helper()
	token = "eyJhbGciOiJSUzI1NiJ9." + rand.Text() + "." + rand.Text()
	w.vault.add(token)
	tokenFile = filepath.Join(t.TempDir(), "token")
	return append(from.environment(),
		"ALIBABA_CLOUD_ROLE_ARN=acs:ram::1234567890123456:role/slb-reader",
		"ALIBABA_CLOUD_OIDC_PROVIDER_ARN=acs:ram::1234567890123456:oidc-provider/ack",
		"ALIBABA_CLOUD_OIDC_TOKEN_FILE="+tokenFile,
	), tokenFile, token
}

func writeToken(t *testing.T, path, token string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
}

// observeAs creates an object in a new namespace, and starts an operator with the identity in this environment.
func (w *env) observeAs(t *testing.T, namespace, id string, environment []string, args ...string) *v1alpha1.LoadBalancerHealth {
	t.Helper()
	w.createNamespace(t, namespace)
	object := named(namespace, id)
	w.create(t, object)
	w.startOperator(t, operatorOptions{name: namespace, environment: environment, args: args})
	return object
}

func assumesARole(t *testing.T, w *env) {
	g := NewWithT(t)
	const namespace, id = "rrsa", "lb-rrsa"
	first, second := w.newTemporaryAccount(), w.newTemporaryAccount()
	w.simulator.setAccount(t, first, second)
	w.simulator.put(t, id, web("i-1", "10.6.0.1", "normal"))
	server := startSTS(t, w, first, session)
	environment, tokenFile, token := w.roleEnvironment(t, server)
	object := w.observeAs(t, namespace, id, environment)
	found := w.await(t, object, stalled("CredentialsNotFound"))
	g.Expect(conditionOf(found, "Stalled").Message).To(And(ContainSubstring(tokenFile), ContainSubstring("RRSA")))

	writeToken(t, tokenFile, token)
	w.await(t, object, good("AllBackendsNormal"))
	g.Expect(server.tokens).To(HaveEach(token))

	// STS hangs when the credentials are due: calls continue at their rate.
	server.set(hangs, first)
	before := len(w.simulator.calls(t, id))
	server.awaitRequest(t, w)
	calls := w.awaitCalls(t, id, before, 5)
	for n := before + 1; n < len(calls); n++ {
		g.Expect(calls[n].Time.Sub(calls[n-1].Time)).To(BeNumerically("<", interval+2*time.Second))
	}

	server.set(nil, second)
	w.awaitCaller(t, id, second)
	for _, c := range w.simulator.calls(t, id) {
		g.Expect(c.Outcome).To(Equal("OK"))
	}
	w.awaitEvents(t, object, map[string]int{"Warning ObservationFailed": 1, "Normal ObservationRecovered": 1})
}

func awaitsSTS(t *testing.T, w *env) {
	g := NewWithT(t)
	const namespace, id = "rrsa-late", "lb-rrsa-late"
	self := w.newTemporaryAccount()
	w.simulator.setAccount(t, self)
	w.simulator.put(t, id, web("i-1", "10.6.1.1", "normal"))
	server := startSTS(t, w, self, time.Hour)
	server.set(refuses(http.StatusServiceUnavailable, "ServiceUnavailable"), self)
	environment, tokenFile, token := w.roleEnvironment(t, server)
	writeToken(t, tokenFile, token)
	object := w.observeAs(t, namespace, id, environment)
	found := w.await(t, object, failing("ServiceError"))
	g.Expect(conditionOf(found, "Observed").Message).To(And(ContainSubstring("RRSA"), ContainSubstring("ServiceUnavailable")))

	server.set(hangs, self)
	found = w.await(t, object, failing("EndpointUnreachable"))
	g.Expect(conditionOf(found, "Observed").Message).To(And(ContainSubstring("RRSA"), ContainSubstring(stsHost)))

	server.set(nil, self)
	w.await(t, object, good("AllBackendsNormal"))
	g.Expect(server.requestCount()).To(BeNumerically("<", 20))
}

func outlivesItsToken(t *testing.T, w *env) {
	g := NewWithT(t)
	const namespace, id = "rrsa-expired", "lb-rrsa-expired"
	first, second := w.newTemporaryAccount(), w.newTemporaryAccount()
	w.simulator.setAccount(t, first)
	w.simulator.put(t, id, web("i-1", "10.6.4.1", "normal"))
	server := startSTS(t, w, first, time.Hour)
	environment, tokenFile, token := w.roleEnvironment(t, server)
	writeToken(t, tokenFile, token)
	object := w.observeAs(t, namespace, id, environment)
	w.await(t, object, good("AllBackendsNormal"))
	w.awaitCalls(t, id, 0, 4) // the operator does not request new credentials at once

	server.set(refuses(http.StatusServiceUnavailable, "ServiceUnavailable"), first)
	w.simulator.removeAccount(t, first)
	found := w.await(t, object, with(good("AllBackendsNormal"), states{"Observed": "False ServiceError"}))
	g.Expect(conditionOf(found, "Observed").Message).To(And(ContainSubstring("RRSA"), ContainSubstring("ServiceUnavailable")))

	w.simulator.setAccount(t, second)
	server.set(nil, second)
	w.await(t, object, good("AllBackendsNormal"))
	w.awaitEvents(t, object, map[string]int{"Warning ObservationFailed": 1, "Normal ObservationRecovered": 1})
}

func readsAFolder(t *testing.T, w *env) {
	g := NewWithT(t)
	const namespace, id = "key-in-folder", "lb-key-in-folder"
	first, second := w.newTemporaryAccount(), w.newAccount("second")
	w.simulator.setAccount(t, first, second)
	w.simulator.put(t, id, web("i-1", "10.6.5.1", "normal"))
	folder := t.TempDir()
	write := func(file, value string) {
		t.Helper()
		writeToken(t, filepath.Join(folder, file), value+"\n")
	}
	write("accessKeyId", first.AccessKeyID)
	write("securityToken", first.SecurityToken)
	object := w.observeAs(t, namespace, id, nil, "--credentials-path="+folder)
	found := w.await(t, object, stalled("CredentialsNotFound"))
	g.Expect(conditionOf(found, "Stalled").Message).To(ContainSubstring(filepath.Join(folder, "accessKeySecret")))

	write("accessKeySecret", first.AccessKeySecret)
	w.await(t, object, good("AllBackendsNormal"))
	for file, value := range map[string]string{"accessKeyId": second.AccessKeyID, "accessKeySecret": second.AccessKeySecret, "securityToken": ""} {
		write(file, value)
	}
	w.awaitCaller(t, id, second)
	w.simulator.removeAccount(t, first)
	w.await(t, object, good("AllBackendsNormal"))
	w.awaitEvents(t, object, map[string]int{"Warning ObservationFailed": 1, "Normal ObservationRecovered": 1})
}

func namesRefusedRoles(t *testing.T, w *env) {
	g := NewWithT(t)
	const namespace, id = "rrsa-refused", "lb-rrsa-refused"
	server := startSTS(t, w, account{}, time.Hour)
	server.set(refuses(http.StatusNotFound, "EntityNotExist.Role"), account{})
	environment, tokenFile, token := w.roleEnvironment(t, server)
	writeToken(t, tokenFile, token)
	object := w.observeAs(t, namespace, id, environment)
	found := w.await(t, object, stalled("CredentialsNotFound"))
	g.Expect(conditionOf(found, "Stalled").Message).To(And(ContainSubstring("EntityNotExist.Role"), ContainSubstring("ALIBABA_CLOUD_ROLE_ARN")))
	g.Expect(w.simulator.calls(t, id)).To(BeEmpty())
}

func usesTheNodesRole(t *testing.T, w *env) {
	g := NewWithT(t)
	const namespace, id = "node-role", "lb-node-role"
	first, second := w.newTemporaryAccount(), w.newTemporaryAccount()
	w.simulator.setAccount(t, first, second)
	w.simulator.put(t, id, web("i-1", "10.6.2.1", "normal"))
	server := startSTS(t, w, first, session)
	object := w.observeAs(t, namespace, id, append(server.environment(), "ALIBABA_CLOUD_ECS_METADATA_DISABLED=false"))
	w.await(t, object, good("AllBackendsNormal"))

	server.set(refuses(http.StatusInternalServerError, "down"), first)
	server.awaitRequest(t, w)
	w.awaitMoreCalls(t, id, 2)
	server.set(nil, second)
	w.awaitCaller(t, id, second)
	for _, c := range w.simulator.calls(t, id) {
		g.Expect(c.Outcome).To(Equal("OK"))
	}
	g.Expect(w.events(g, object)).To(BeEmpty())
}

func requiresCredentials(t *testing.T, w *env) {
	g := NewWithT(t)
	const namespace, without, id, name = "required", "lb-without", "lb-with", "of-tenant"
	own, tenant := w.addAccount(t, "operators-own"), w.addAccount(t, "tenants")
	for _, balancer := range []string{without, id} {
		w.simulator.put(t, balancer, web("i-1", "10.6.3.1", "normal"))
	}
	w.createNamespace(t, namespace)
	w.create(t, tenant.secret(namespace, name))
	refused, served := named(namespace, without), named(namespace, id, withSecret(name))
	w.create(t, refused)
	w.create(t, served)
	w.startOperator(t, operatorOptions{name: namespace, account: own, args: []string{"--require-credentials"}})
	w.await(t, served, good("AllBackendsNormal"))
	found := w.await(t, refused, stalled("CredentialsNotFound"))
	g.Expect(conditionOf(found, "Stalled").Message).To(And(ContainSubstring("spec.credentials.secretRef"), ContainSubstring("--require-credentials")))
	g.Expect(w.simulator.calls(t, without)).To(BeEmpty())

	found.Spec.Credentials = served.Spec.Credentials
	g.Expect(w.admin.Update(t.Context(), found)).To(Succeed())
	w.await(t, refused, good("AllBackendsNormal"))
}
