// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"crypto/rand"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// account is an access key as the simulator's configuration spells it.
type account struct {
	AccessKeyID     string  `json:"accessKeyId"`
	AccessKeySecret string  `json:"accessKeySecret"`
	SecurityToken   string  `json:"securityToken,omitempty"`
	QPS             float64 `json:"qps,omitempty"`
	Burst           int     `json:"burst,omitempty"`
}

// vault remembers every key that was ever made, for the search at the end.
type vault struct {
	mu    sync.Mutex
	words []string
}

func (v *vault) add(words ...string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, word := range words {
		if word != "" {
			v.words = append(v.words, word)
		}
	}
}

func (v *vault) all() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]string{}, v.words...)
}

// newAccount makes a key whose id looks like no real one, so that what hides
// it must know it and cannot go by its looks.
func (w *env) newAccount(name string) account {
	a := account{AccessKeyID: name + "key" + rand.Text(), AccessKeySecret: rand.Text()}
	w.vault.add(a.AccessKeyID, a.AccessKeySecret)
	return a
}

// newTemporaryAccount makes a key that needs a token, which escapes differently
// in URLs, JSON and form values.
func (w *env) newTemporaryAccount() account {
	a := account{AccessKeyID: "STS." + rand.Text(), AccessKeySecret: rand.Text(), SecurityToken: "CAIS" + rand.Text() + "+/" + rand.Text() + "=="}
	w.vault.add(a.AccessKeyID, a.AccessKeySecret, a.SecurityToken)
	return a
}

// environment is how an operator is given the account as its own identity.
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
