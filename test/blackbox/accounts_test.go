// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"crypto/rand"
	"slices"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// account is an access key, in the format of the simulator's configuration.
type account struct {
	AccessKeyID     string  `json:"accessKeyId"`
	AccessKeySecret string  `json:"accessKeySecret"`
	SecurityToken   string  `json:"securityToken,omitempty"`
	QPS             float64 `json:"qps,omitempty"`
	Burst           int     `json:"burst,omitempty"`
}

// vault stores every secret of the tests: the last spec searches all output for them.
type vault struct {
	mu    sync.Mutex
	words []string
}

func (v *vault) add(words ...string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.words = append(v.words, words...)
}

func (v *vault) all() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.words)
}

// newAccount makes a key whose id has no usual prefix: the operator must redact the exact value, not a pattern.
func (w *env) newAccount(name string) account {
	a := account{AccessKeyID: name + "key" + rand.Text(), AccessKeySecret: rand.Text()}
	w.vault.add(a.AccessKeyID, a.AccessKeySecret)
	return a
}

// addAccount makes a key that the simulator accepts.
func (w *env) addAccount(t *testing.T, name string) account {
	t.Helper()
	a := w.newAccount(name)
	w.simulator.setAccount(t, a)
	return a
}

// newTemporaryAccount makes a key with a token, which escapes differently in URLs, JSON and form values.
func (w *env) newTemporaryAccount() account {
	a := account{AccessKeyID: "STS." + rand.Text(), AccessKeySecret: rand.Text(), SecurityToken: "CAIS" + rand.Text() + "+/" + rand.Text() + "=="}
	w.vault.add(a.AccessKeyID, a.AccessKeySecret, a.SecurityToken)
	return a
}

// environment returns the variables that make the account the own identity of an operator.
func (a account) environment() []string {
	variables := []string{
		"ALIBABA_CLOUD_ACCESS_KEY_ID=" + a.AccessKeyID,
		"ALIBABA_CLOUD_ACCESS_KEY_SECRET=" + a.AccessKeySecret,
	}
	if a.SecurityToken != "" {
		variables = append(variables, "ALIBABA_CLOUD_SECURITY_TOKEN="+a.SecurityToken)
	}
	return variables
}

func (a account) secret(namespace, name string) *corev1.Secret {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Data:       map[string][]byte{"accessKeyId": []byte(a.AccessKeyID), "accessKeySecret": []byte(a.AccessKeySecret)},
	}
	if a.SecurityToken != "" {
		secret.Data["securityToken"] = []byte(a.SecurityToken)
	}
	return secret
}
