// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// credentialFaultCases are faults of the Secret that an object names.
var credentialFaultCases = []faultCase{
	{
		"secret-is-missing", "CredentialsNotFound",
		"Secret SECRET does not exist: create it with the keys accessKeyId and accessKeySecret, or correct spec.credentials.secretRef.name",
		meetsMissingSecret,
	},
	{
		"secret-is-deleted", "CredentialsNotFound",
		"Secret SECRET does not exist: create it with the keys accessKeyId and accessKeySecret, or correct spec.credentials.secretRef.name",
		meetsDeletedSecret,
	},
	{"secret-is-half", "CredentialsNotFound", "Secret SECRET has no value for the key accessKeySecret: add it", meetsHalfSecret},
	{
		"key-is-revoked", "InvalidCredentials",
		"InvalidAccessKeyId.NotFound: Specified access key is not found; check accessKeyId, accessKeySecret and securityToken in Secret SECRET",
		meetsRevokedKey,
	},
	{"secret-is-rotated", "", "", meetsRotation},
}

// secretSlack is how long a Secret serves before it is read again, and one at
// fault before it is looked up again.
const secretSlack = 15 * time.Second

// keyed is a subject whose calls are signed with a Secret.
type keyed struct {
	*subject
	account account
	secret  *corev1.Secret
}

func (a *faultEnv) newKeyed(t *testing.T, name string) keyed {
	t.Helper()
	k := keyed{account: a.newAccount(name)}
	a.slb.setAccount(k.account)
	k.secret = k.account.secret(faultsNamespace, "lb-"+name)
	a.create(t, k.secret)
	k.subject = a.newSubject(t, faultsNamespace, name, withSecret(k.secret.Name))
	k.slack = secretSlack
	return k
}

// update changes the Secret.
func (k *keyed) update(t *testing.T, change func(*corev1.Secret)) {
	t.Helper()
	change(k.secret)
	if err := k.env.admin.Update(t.Context(), k.secret); err != nil {
		t.Fatal(err)
	}
}

// endureUnasked is for a fault that keeps the operator from asking at all.
func (k *keyed) endureUnasked(t *testing.T, o faultCase, begin, end func()) {
	t.Helper()
	begin()
	k.fails(t, o, 2*interval+slack+k.slack)
	end()
	k.recovers(t)
	k.turn(t, "normal")
	k.finish(t)
}

func meetsMissingSecret(t *testing.T, a *faultEnv, o faultCase) {
	self := a.newAccount(o.name)
	a.slb.setAccount(self)
	s := a.cast(t, faultsNamespace, o.name, withSecret("lb-"+o.name))
	s.create(t)
	s.slack = secretSlack
	s.follow(t, slack, "the fault is reported", func(*watchedObject) states { return stalled(o.reason) }, nil)
	s.expectEvents("Warning ObservationFailed")
	s.says(t, o)
	a.create(t, self.secret(faultsNamespace, "lb-"+o.name))
	s.recovers(t)
	s.turn(t, "normal")
	s.finish(t)
}

func meetsDeletedSecret(t *testing.T, a *faultEnv, o faultCase) {
	k := a.newKeyed(t, o.name)
	k.endureUnasked(t, o, func() {
		if err := a.admin.Delete(t.Context(), k.secret, client.GracePeriodSeconds(0)); err != nil {
			t.Fatal(err)
		}
	}, func() { a.create(t, k.account.secret(faultsNamespace, k.secret.Name)) })
}

func meetsHalfSecret(t *testing.T, a *faultEnv, o faultCase) {
	k := a.newKeyed(t, o.name)
	whole := k.secret.DeepCopy().Data
	k.endureUnasked(t, o,
		func() { k.update(t, func(s *corev1.Secret) { delete(s.Data, "accessKeySecret") }) },
		func() { k.update(t, func(s *corev1.Secret) { s.Data = whole }) })
}

func meetsRevokedKey(t *testing.T, a *faultEnv, o faultCase) {
	k := a.newKeyed(t, o.name)
	k.endureUnasked(t, o,
		func() { a.slb.revoke(k.account) },
		func() {
			next := a.newAccount(o.name)
			a.slb.setAccount(next)
			k.update(t, func(s *corev1.Secret) { s.Data = next.secret("", "").Data })
		})
}

// meetsRotation revokes the old key the moment that the Secret holds the new one.
func meetsRotation(t *testing.T, a *faultEnv, o faultCase) {
	k := a.newKeyed(t, o.name)
	next := a.newAccount(o.name)
	a.slb.setAccount(next)
	k.update(t, func(s *corev1.Secret) { s.Data = next.secret("", "").Data })
	a.slb.revoke(k.account)
	k.awaitCalls(t, 3, patience)
	k.slack = 0
	k.turn(t, "normal")
	k.finish(t)
}
