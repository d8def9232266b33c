// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// Keys of the Secret in spec.credentials.secretRef.
const (
	keyAccessKeyID     = "accessKeyId"
	keyAccessKeySecret = "accessKeySecret"
	keySecurityToken   = "securityToken"
)

const (
	// secretFreshFor is how long a Secret is used before it is read again: the
	// operator must use a rotated one within a minute, and must read one at fault
	// at each recheck.
	secretFreshFor = credentialsRecheck - time.Second
	// secretIdleTimeout is after what time an unused Secret is dropped: its objects
	// may be deleted, suspended, or use another one.
	secretIdleTimeout = 10 * time.Minute
)

// SecretCredentials is a CredentialSource that reads Secrets, and Own for the
// operator's own identity.
type SecretCredentials struct {
	// Reader reads Secrets one by one, past any cache: a cache would list and
	// watch them all.
	Reader client.Reader
	// Own is the operator's own identity; nil when every object must have a Secret.
	Own CredentialSource
	// Now is the clock.
	Now func() time.Time

	mu     sync.Mutex
	cached map[alicloud.Account]cachedCredentials
}

var _ CredentialSource = (*SecretCredentials)(nil)

type cachedCredentials struct {
	credentials alicloud.Credentials
	readAt      time.Time
	// expire drops the entry after secretIdleTimeout.
	expire *time.Timer
}

// Credentials implements CredentialSource.
func (s *SecretCredentials) Credentials(ctx context.Context, account alicloud.Account) (alicloud.Credentials, error) {
	switch {
	case account.IsDefault() && s.Own == nil:
		return alicloud.Credentials{}, &alicloud.Error{
			Kind: alicloud.CredentialsNotFound, Local: true,
			Message: "this operator requires credentials of each object (--require-credentials): name a Secret in spec.credentials.secretRef",
		}
	case account.IsDefault():
		return s.Own.Credentials(ctx, account)
	}
	now := s.Now()
	last, known := s.get(account)
	if known && now.Sub(last.readAt) < secretFreshFor {
		return last.credentials, nil
	}
	found, err := s.fetch(ctx, account)
	_, unusable := errors.AsType[*alicloud.Error](err)
	switch {
	case err == nil:
		s.put(account, found, now)
	case unusable:
		s.forget(account)
	case known:
		// Kubernetes is down: the credentials that worked a minute ago still do,
		// and not every call may wait for the timeout.
		s.put(account, last.credentials, now)
		return last.credentials, nil
	}
	return found, err
}

// Refused implements CredentialSource.
func (s *SecretCredentials) Refused(account alicloud.Account, credentials alicloud.Credentials) {
	if account.IsDefault() {
		if s.Own != nil {
			s.Own.Refused(account, credentials)
		}
		return
	}
	if last, known := s.get(account); known && last.credentials.Version == credentials.Version {
		s.forget(account)
	}
}

func (s *SecretCredentials) fetch(ctx context.Context, account alicloud.Account) (alicloud.Credentials, error) {
	var secret corev1.Secret
	// client-go logs whole responses at high verbosity, to the context's logger.
	ctx, cancel := context.WithTimeout(klog.NewContext(ctx, logr.Discard()), kubernetesTimeout)
	defer cancel()
	err := s.Reader.Get(ctx, client.ObjectKey{Namespace: account.Namespace, Name: account.Name}, &secret)
	switch {
	case apierrors.IsNotFound(err):
		return alicloud.Credentials{}, notFound("Secret %s does not exist: create it with the keys %s and %s, or correct spec.credentials.secretRef.name",
			account, keyAccessKeyID, keyAccessKeySecret)
	case apierrors.IsForbidden(err):
		return alicloud.Credentials{}, notFound("the operator may not read Secret %s: allow its ServiceAccount to get secrets in namespace %s",
			account, account.Namespace)
	case err != nil:
		return alicloud.Credentials{}, fmt.Errorf("reading Secret %s: %w", account, err)
	}
	value := func(key string) string { return strings.TrimSpace(string(secret.Data[key])) }
	for _, key := range []string{keyAccessKeyID, keyAccessKeySecret, keySecurityToken} {
		switch data := value(key); {
		case data == "" && key != keySecurityToken:
			return alicloud.Credentials{Version: secret.ResourceVersion}, notFound("Secret %s has no value for the key %s: add it", account, key)
		case len(data) > alicloud.MaxKey:
			return alicloud.Credentials{Version: secret.ResourceVersion}, notFound("Secret %s has more than %d KiB for the key %s: correct it", account, alicloud.MaxKey>>10, key)
		}
	}
	return alicloud.Credentials{
		AccessKeyID:     value(keyAccessKeyID),
		AccessKeySecret: value(keyAccessKeySecret),
		SecurityToken:   value(keySecurityToken),
		Version:         string(secret.UID) + "/" + secret.ResourceVersion,
	}, nil
}

func notFound(format string, args ...any) *alicloud.Error {
	return &alicloud.Error{Kind: alicloud.CredentialsNotFound, Message: fmt.Sprintf(format, args...)}
}

func (s *SecretCredentials) get(account alicloud.Account) (cachedCredentials, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, known := s.cached[account]
	return last, known
}

func (s *SecretCredentials) put(account alicloud.Account, credentials alicloud.Credentials, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cached == nil {
		s.cached = map[alicloud.Account]cachedCredentials{}
	}
	expire := s.cached[account].expire
	if expire == nil {
		expire = time.AfterFunc(secretIdleTimeout, func() { s.forget(account) })
	}
	expire.Reset(secretIdleTimeout)
	s.cached[account] = cachedCredentials{credentials, now, expire}
}

func (s *SecretCredentials) forget(account alicloud.Account) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, known := s.cached[account]; known {
		last.expire.Stop()
		delete(s.cached, account)
	}
}
