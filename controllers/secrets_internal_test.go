// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

func newSecret(version string, data map[string]string) *corev1.Secret {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: secretAccount.Namespace, Name: secretAccount.Name, UID: "uid-secret", ResourceVersion: version},
		Data:       map[string][]byte{},
	}
	for key, value := range data {
		secret.Data[key] = []byte(value)
	}
	return secret
}

func keyPair(key string) map[string]string {
	return map[string]string{"accessKeyId": key, "accessKeySecret": "secret-of-" + key}
}

type secretTest struct {
	*testing.T
	cluster *fakeCluster
	clock   *clock
	source  *SecretCredentials
}

func newSecretTest(t *testing.T) *secretTest {
	cluster, now := &fakeCluster{secret: newSecret("1", keyPair("LTAIone"))}, newClock()
	return &secretTest{t, cluster, now, &SecretCredentials{Reader: cluster, Own: &ownKeys{}, Now: now.Now}}
}

func (t *secretTest) key() string {
	t.Helper()
	found, err := t.source.Credentials(t.Context(), secretAccount)
	if err != nil {
		t.Fatal(err)
	}
	return found.AccessKeyID
}

func (t *secretTest) failure() string {
	t.Helper()
	_, err := t.source.Credentials(t.Context(), secretAccount)
	var failure *alicloud.Error
	if !errors.As(err, &failure) || failure.Kind != alicloud.CredentialsNotFound {
		t.Fatalf("%v is not CredentialsNotFound", err)
	}
	return failure.Message
}

func TestSecretIsReadAgainWhenNotFresh(t *testing.T) {
	test := newSecretTest(t)
	equal(t, "the key", test.key(), "LTAIone")
	test.cluster.secret = newSecret("2", keyPair("LTAItwo"))
	test.clock.advance(secretFreshFor - time.Second)
	equal(t, "the key while it is fresh", test.key(), "LTAIone")
	equal(t, "the number of reads", test.cluster.gets, 1)
	test.clock.advance(time.Second)
	equal(t, "the key when it is not", test.key(), "LTAItwo")
	equal(t, "the number of reads", test.cluster.gets, 2)
}

func TestRefusedSecretIsReadAgainAtOnce(t *testing.T) {
	test := newSecretTest(t)
	old, err := test.source.Credentials(t.Context(), secretAccount)
	if err != nil {
		t.Fatal(err)
	}
	test.cluster.secret = newSecret("2", keyPair("LTAItwo"))
	test.source.Refused(secretAccount, old)
	equal(t, "the key after a refusal", test.key(), "LTAItwo")

	test.source.Refused(secretAccount, old)
	equal(t, "the key after the old one was refused once more", test.key(), "LTAItwo")
	equal(t, "the number of reads", test.cluster.gets, 2)
}

func TestDeletedSecretIsNotUsed(t *testing.T) {
	test := newSecretTest(t)
	test.key()
	test.cluster.secret = nil
	test.clock.advance(secretFreshFor)
	if message := test.failure(); !strings.Contains(message, "Secret prod/slb-reader does not exist: create it with the keys accessKeyId and accessKeySecret") {
		t.Error(message)
	}
	test.cluster.getErr = errors.New("connection refused")
	if _, err := test.source.Credentials(t.Context(), secretAccount); err == nil {
		t.Error("the deleted Secret is used")
	}
	test.cluster.getErr, test.cluster.secret = nil, newSecret("9", keyPair("LTAInew"))
	equal(t, "the key of a new Secret", test.key(), "LTAInew")
}

func TestCachedSecretIsUsedWhileKubernetesIsDown(t *testing.T) {
	test := newSecretTest(t)
	test.cluster.getErr = errors.New("connection refused")
	_, err := test.source.Credentials(t.Context(), secretAccount)
	var failure *alicloud.Error
	if err == nil || errors.As(err, &failure) || !strings.Contains(err.Error(), "Secret prod/slb-reader") {
		t.Errorf("the first read failed with %v", err)
	}
	test.cluster.getErr = nil
	test.key()
	for name, err := range map[string]error{
		"connection":  errors.New("connection refused"),
		"timeout":     apierrors.NewTimeoutError("slow", 1),
		"unavailable": apierrors.NewServiceUnavailable("starting"),
		"throttled":   apierrors.NewTooManyRequests("busy", 1),
	} {
		test.cluster.getErr = err
		test.clock.advance(time.Hour)
		equal(t, "the key after "+name, test.key(), "LTAIone")
	}
}

// A read may hang for kubernetesTimeout, and block a worker with its permit.
func TestSecretReadIsNotRepeatedWhileKubernetesIsDown(t *testing.T) {
	test := newSecretTest(t)
	test.key()
	test.cluster.getErr = errors.New("connection refused")
	test.clock.advance(secretFreshFor)
	for range 10 {
		test.key()
	}
	equal(t, "the number of reads", test.cluster.gets, 2)

	test.cluster.getErr, test.cluster.secret = nil, newSecret("2", keyPair("LTAItwo"))
	test.clock.advance(secretFreshFor)
	equal(t, "the key when Kubernetes is up again", test.key(), "LTAItwo")
}

func TestForbiddenSecretIsNotUsed(t *testing.T) {
	test := newSecretTest(t)
	test.key()
	test.cluster.getErr = apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, secretAccount.Name, errors.New("no role"))
	test.clock.advance(secretFreshFor)
	if message := test.failure(); !strings.Contains(message, "may not read Secret prod/slb-reader: allow its ServiceAccount to get secrets in namespace prod") {
		t.Error(message)
	}
}

func TestSecretData(t *testing.T) {
	longKey := strings.Repeat("s", alicloud.MaxKey)
	for name, c := range map[string]struct {
		data    map[string]string
		want    alicloud.Credentials
		message string
	}{
		"keys":           {keyPair("LTAIa"), alicloud.Credentials{AccessKeyID: "LTAIa", AccessKeySecret: "secret-of-LTAIa"}, ""},
		"white space":    {map[string]string{"accessKeyId": " LTAIa\n", "accessKeySecret": "\ts\r\n", "securityToken": " t \n"}, alicloud.Credentials{AccessKeyID: "LTAIa", AccessKeySecret: "s", SecurityToken: "t"}, ""},
		"a blank token":  {map[string]string{"accessKeyId": "LTAIa", "accessKeySecret": "s", "securityToken": "\n"}, alicloud.Credentials{AccessKeyID: "LTAIa", AccessKeySecret: "s"}, ""},
		"other keys too": {map[string]string{"accessKeyId": "LTAIa", "accessKeySecret": "s", "note": "n"}, alicloud.Credentials{AccessKeyID: "LTAIa", AccessKeySecret: "s"}, ""},
		"nothing":        {nil, alicloud.Credentials{}, "Secret prod/slb-reader has no value for the key accessKeyId: add it"},
		"no secret":      {map[string]string{"accessKeyId": "LTAIa"}, alicloud.Credentials{}, "Secret prod/slb-reader has no value for the key accessKeySecret: add it"},
		"a blank key":    {map[string]string{"accessKeyId": " ", "accessKeySecret": "s"}, alicloud.Credentials{}, "Secret prod/slb-reader has no value for the key accessKeyId: add it"},
		"a wrong case":   {map[string]string{"AccessKeyId": "LTAIa", "accessKeySecret": "s"}, alicloud.Credentials{}, "Secret prod/slb-reader has no value for the key accessKeyId: add it"},
		"a long key":     {map[string]string{"accessKeyId": "LTAIa", "accessKeySecret": longKey + "s"}, alicloud.Credentials{}, "Secret prod/slb-reader has more than 16 KiB for the key accessKeySecret: correct it"},
		"a long token":   {map[string]string{"accessKeyId": "LTAIa", "accessKeySecret": "s", "securityToken": longKey + "t"}, alicloud.Credentials{}, "Secret prod/slb-reader has more than 16 KiB for the key securityToken: correct it"},
		"the longest":    {map[string]string{"accessKeyId": "LTAIa", "accessKeySecret": longKey}, alicloud.Credentials{AccessKeyID: "LTAIa", AccessKeySecret: longKey}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			test := newSecretTest(t)
			test.cluster.secret = newSecret("5", c.data)
			if c.message != "" {
				equal(t, "the message", test.failure(), c.message)
				return
			}
			got, err := test.source.Credentials(t.Context(), secretAccount)
			if err != nil {
				t.Fatal(err)
			}
			c.want.Version = "uid-secret/5"
			if got != c.want {
				t.Error("the credentials differ")
			}
		})
	}
}

func TestEachStateOfASecretHasItsVersion(t *testing.T) {
	versions := map[string]bool{}
	for _, secret := range []*corev1.Secret{
		newSecret("1", keyPair("LTAIa")), newSecret("2", keyPair("LTAIa")), newSecret("3", nil),
		func() *corev1.Secret {
			again := newSecret("1", keyPair("LTAIa"))
			again.UID = types.UID("uid-another")
			return again
		}(),
		nil,
	} {
		test := newSecretTest(t)
		test.cluster.secret = secret
		found, _ := test.source.Credentials(t.Context(), secretAccount)
		versions[found.Version] = true
	}
	equal(t, "the number of versions", len(versions), 5)
}

// The last object of an account may be deleted, so no read triggers this.
func TestUnusedSecretsAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		test := newSecretTest(t)
		test.source.Now = time.Now
		expectCached := func(when string, want int) {
			t.Helper()
			synctest.Wait()
			test.source.mu.Lock()
			defer test.source.mu.Unlock()
			equal(t, "the number of cached Secrets "+when, len(test.source.cached), want)
		}
		test.key()
		time.Sleep(secretIdleTimeout - time.Second)
		expectCached("just before", 1)
		test.key() // read again
		time.Sleep(secretIdleTimeout - time.Second)
		expectCached("after another read", 1)
		time.Sleep(time.Second)
		expectCached("after the timeout", 0)
		equal(t, "the key", test.key(), "LTAIone")
	})
}

func TestOwnIdentityReadsNoSecret(t *testing.T) {
	test := newSecretTest(t)
	own := &ownKeys{}
	test.source.Own = own
	found, err := test.source.Credentials(t.Context(), alicloud.Account{})
	if err != nil || found.AccessKeyID != "own" {
		t.Error(err)
	}
	test.source.Refused(alicloud.Account{}, found)
	equal(t, "the number of refusals", own.refused, 1)
	equal(t, "the number of reads", test.cluster.gets, 0)
}

func TestObjectWithoutRequiredSecretFails(t *testing.T) {
	test := newSecretTest(t)
	test.source.Own = nil
	_, err := test.source.Credentials(t.Context(), alicloud.Account{})
	var failure *alicloud.Error
	if !errors.As(err, &failure) || failure.Kind != alicloud.CredentialsNotFound || !strings.Contains(failure.Message, "spec.credentials.secretRef") {
		t.Errorf("got %v", err)
	}
	test.source.Refused(alicloud.Account{}, alicloud.Credentials{})
	equal(t, "the key of a Secret", test.key(), "LTAIone")
}

func TestSecretDataIsNeverPrinted(t *testing.T) {
	test := newSecretTest(t)
	test.cluster.secret = newSecret("1", map[string]string{"accessKeyId": "LTAIhidden", "securityToken": "hidden-token"})
	found, err := test.source.Credentials(t.Context(), secretAccount)
	printed := fmt.Sprintf("%v %+v %#v %s", err, err, err, found)
	test.cluster.secret = newSecret("2", keyPair("LTAIhidden"))
	found, _ = test.source.Credentials(t.Context(), secretAccount)
	printed += fmt.Sprintf("%v %+v %#v %s", found, found, &found, found)
	if strings.Contains(printed, "hidden") {
		t.Error(printed)
	}
}
