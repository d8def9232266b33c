// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"testing"

	. "github.com/onsi/gomega"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

var credentialSpecs = []spec{
	{"a missing Secret stalls its object until it is created", awaitsSecrets},
	{"a Secret with a wrong key, or without one, stalls its object until it is fixed", awaitsFixedSecrets},
	{"a rotated Secret is used as soon as the old key is refused, without a failure", rotatesSecrets},
	{"a temporary key is sent with its token", sendsTokens},
	{"an operator without its own identity reports what to configure", reportsNoIdentity},
	{"the operator reads Secrets by name, and may not list them", readsSecretsByName},
}

func awaitsSecrets(t *testing.T, w *env) {
	g := NewWithT(t)
	const id, name = "lb-secret-missing", "comes-later"
	self := w.addAccount(t, "later")
	w.simulator.put(t, id, web("i-1", "10.5.0.1", "normal"))
	object := named(mainNamespace, id, withSecret(name))
	w.create(t, object)
	found := w.await(t, object, stalled("CredentialsNotFound"))
	g.Expect(conditionOf(found, "Stalled").Message).To(ContainSubstring(mainNamespace + "/" + name))
	g.Expect(w.simulator.calls(t, id)).To(BeEmpty())

	w.create(t, self.secret(mainNamespace, name))
	w.await(t, object, good("AllBackendsNormal"))
	for _, c := range w.simulator.calls(t, id) {
		g.Expect(c.AccessKeyID).To(Equal(self.AccessKeyID))
	}
	w.awaitEvents(t, object, map[string]int{"Warning ObservationFailed": 1, "Normal ObservationRecovered": 1})
}

func awaitsFixedSecrets(t *testing.T, w *env) {
	g := NewWithT(t)
	const id, name = "lb-secret-wrong", "is-wrong"
	self := w.addAccount(t, "fixed")
	w.simulator.put(t, id, web("i-1", "10.5.1.1", "normal"))
	wrong := self
	wrong.AccessKeySecret = w.newAccount("wrong").AccessKeySecret
	secret := wrong.secret(mainNamespace, name)
	w.create(t, secret)
	object := named(mainNamespace, id, withSecret(name))
	w.create(t, object)
	found := w.await(t, object, stalled("InvalidCredentials"))
	g.Expect(conditionOf(found, "Stalled").Message).To(ContainSubstring(mainNamespace + "/" + name))

	delete(secret.Data, "accessKeySecret")
	g.Expect(w.admin.Update(t.Context(), secret)).To(Succeed())
	found = w.await(t, object, stalled("CredentialsNotFound"))
	g.Expect(conditionOf(found, "Stalled").Message).To(ContainSubstring("accessKeySecret"))

	secret.Data["accessKeySecret"] = []byte(self.AccessKeySecret + "\n")
	g.Expect(w.admin.Update(t.Context(), secret)).To(Succeed())
	w.await(t, object, good("AllBackendsNormal"))
	w.awaitEvents(t, object, map[string]int{"Warning ObservationFailed": 2, "Normal ObservationRecovered": 1})
}

func rotatesSecrets(t *testing.T, w *env) {
	g := NewWithT(t)
	const id, name = "lb-secret-rotated", "rotates"
	old, fresh := w.addAccount(t, "old"), w.addAccount(t, "fresh")
	w.simulator.put(t, id, web("i-1", "10.5.2.1", "normal"))
	secret := old.secret(mainNamespace, name)
	w.create(t, secret)
	object := named(mainNamespace, id, withSecret(name))
	w.create(t, object)
	w.await(t, object, good("AllBackendsNormal"))

	secret.Data = fresh.secret(mainNamespace, name).Data
	g.Expect(w.admin.Update(t.Context(), secret)).To(Succeed())
	w.simulator.removeAccount(t, old)
	before := len(w.simulator.calls(t, id))
	for _, c := range w.awaitCalls(t, id, before, 3)[before+1:] {
		g.Expect(c.AccessKeyID).To(Equal(fresh.AccessKeyID))
		g.Expect(c.Outcome).To(Equal("OK"))
	}
	g.Expect(statesOf(w.get(g, object))).To(Equal(good("AllBackendsNormal")))
	g.Expect(w.events(g, object)).To(BeEmpty())
}

func sendsTokens(t *testing.T, w *env) {
	const id, name = "lb-secret-token", "is-temporary"
	self := w.newTemporaryAccount()
	w.simulator.setAccount(t, self)
	w.simulator.put(t, id, web("i-1", "10.5.3.1", "normal"))
	w.create(t, self.secret(mainNamespace, name))
	object := named(mainNamespace, id, withSecret(name))
	w.create(t, object)
	w.await(t, object, good("AllBackendsNormal"))
}

func reportsNoIdentity(t *testing.T, w *env) {
	g := NewWithT(t)
	const namespace, id = "no-identity", "lb-no-identity"
	w.createNamespace(t, namespace)
	object := named(namespace, id)
	w.create(t, object)
	w.startOperator(t, operatorOptions{name: namespace})
	found := w.await(t, object, stalled("CredentialsNotFound"))
	g.Expect(conditionOf(found, "Stalled").Message).To(ContainSubstring("ALIBABA_CLOUD_ACCESS_KEY_ID"))
	g.Expect(w.simulator.calls(t, id)).To(BeEmpty())
}

func readsSecretsByName(t *testing.T, w *env) {
	g := NewWithT(t)
	asOperator := newClient(t, w.operator.config)
	for _, verb := range []string{"list", "watch", "create", "update", "patch", "delete"} {
		for _, namespace := range []string{"", mainNamespace} {
			review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
				User:               w.operator.name,
				ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: namespace, Verb: verb, Resource: "secrets"},
			}}
			w.create(t, review)
			g.Expect(review.Status.Allowed).To(BeFalse(), verb+" secrets in "+namespace)
		}
	}
	err := asOperator.List(t.Context(), &corev1.SecretList{})
	g.Expect(apierrors.IsForbidden(err)).To(BeTrue(), "%v", err)
}
