// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const secretDoesNotExist = "Secret SECRET does not exist: create it with the keys accessKeyId and accessKeySecret, or correct spec.credentials.secretRef.name"

// credentialFaultCases are faults of the Secret of an object.
var credentialFaultCases = []faultCase{
	{"secret-is-missing", "CredentialsNotFound", secretDoesNotExist, meetsMissingSecret},
	{"secret-is-deleted", "CredentialsNotFound", secretDoesNotExist, meetsDeletedSecret},
	{"secret-is-half", "CredentialsNotFound", "Secret SECRET has no value for the key accessKeySecret: add it", meetsHalfSecret},
	{
		"key-is-revoked", "InvalidCredentials",
		"InvalidAccessKeyId.NotFound: Specified access key is not found; check accessKeyId, accessKeySecret and securityToken in Secret SECRET",
		meetsRevokedKey,
	},
	{"secret-is-rotated", "", "", meetsRotation},
}

// secretSlack is how long the operator uses a Secret, or its error, before it reads the Secret again.
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
	k.slack, k.noCalls = secretSlack, true
	return k
}

// update changes the Secret.
func (k *keyed) update(t *testing.T, data map[string][]byte) {
	t.Helper()
	k.secret.Data = data
	if err := k.env.admin.Update(t.Context(), k.secret); err != nil {
		t.Fatal(err)
	}
}

// newKey returns the Secret's data with a new key that the API accepts.
func (k *keyed) newKey() map[string][]byte {
	next := k.env.newAccount(k.id)
	k.env.slb.setAccount(next)
	return next.secret("", "").Data
}

func meetsMissingSecret(t *testing.T, a *faultEnv, o faultCase) {
	self := a.newAccount(o.name)
	a.slb.setAccount(self)
	s := a.prepareSubject(t, faultsNamespace, o.name, withSecret("lb-"+o.name))
	s.create(t)
	s.slack = secretSlack
	s.follow(t, patience, "the fault is reported", func(*watchedObject) states { return stalled(o.reason) }, nil)
	s.expectEvents("Warning ObservationFailed")
	s.hasMessage(t, o)
	a.create(t, self.secret(faultsNamespace, "lb-"+o.name))
	s.recovers(t)
	s.finish(t, "normal")
}

func meetsDeletedSecret(t *testing.T, a *faultEnv, o faultCase) {
	k := a.newKeyed(t, o.name)
	k.runFault(t, o, func() {
		if err := a.admin.Delete(t.Context(), k.secret, client.GracePeriodSeconds(0)); err != nil {
			t.Fatal(err)
		}
	}, func() { a.create(t, k.account.secret(faultsNamespace, k.secret.Name)) })
}

func meetsHalfSecret(t *testing.T, a *faultEnv, o faultCase) {
	k := a.newKeyed(t, o.name)
	whole := k.secret.Data
	k.runFault(t, o,
		func() { k.update(t, map[string][]byte{"accessKeyId": whole["accessKeyId"]}) },
		func() { k.update(t, whole) })
}

func meetsRevokedKey(t *testing.T, a *faultEnv, o faultCase) {
	k := a.newKeyed(t, o.name)
	k.runFault(t, o, func() { a.slb.revoke(k.account) }, func() { k.update(t, k.newKey()) })
}

// meetsRotation revokes the old key right after the Secret has the new one.
func meetsRotation(t *testing.T, a *faultEnv, o faultCase) {
	k := a.newKeyed(t, o.name)
	k.update(t, k.newKey())
	a.slb.revoke(k.account)
	k.awaitCalls(t, 3, patience)
	k.slack = 0
	k.finish(t, "normal")
}
