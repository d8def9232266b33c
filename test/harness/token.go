// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/keyutil"
)

// SecretToken returns the token that kube-controller-manager, which the control
// plane lacks, writes into a Secret of the type kubernetes.io/service-account-token.
// It does not expire, and is valid while the Secret exists and contains it.
func (c *ControlPlane) SecretToken(account *corev1.ServiceAccount, secret string) (string, error) {
	content, err := os.ReadFile(filepath.Join(c.directory, "certificates", "sa-signer.key"))
	if err != nil {
		return "", err
	}
	parsed, err := keyutil.ParsePrivateKeyPEM(content)
	if err != nil {
		return "", err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return "", fmt.Errorf("the key of ServiceAccounts is a %T", parsed)
	}
	const claim = "kubernetes.io/serviceaccount/"
	return signES256(key, map[string]string{
		"iss":                          "kubernetes/serviceaccount",
		"sub":                          "system:serviceaccount:" + account.Namespace + ":" + account.Name,
		claim + "namespace":            account.Namespace,
		claim + "secret.name":          secret,
		claim + "service-account.name": account.Name,
		claim + "service-account.uid":  string(account.UID),
	})
}

// signES256 returns a JSON Web Token.
func signES256(key *ecdsa.PrivateKey, claims map[string]string) (string, error) {
	body, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(`{"alg":"ES256","typ":"JWT"}`)) + "." + encode(body)
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		return "", err
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signed + "." + encode(signature), nil
}
