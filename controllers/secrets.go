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

// Keys of a Secret that spec.credentials.secretRef names.
const (
	keyAccessKeyID     = "accessKeyId"
	keyAccessKeySecret = "accessKeySecret"
	keySecurityToken   = "securityToken"
)

const (
	// secretFreshFor is how long a Secret serves before it is read again: a
	// rotated one must be in use within a minute, and one at fault must be read
	// at each recheck.
	secretFreshFor = credentialsRecheck - time.Second
	// secretForgottenAfter is how long a Secret that is not read again stays in
	// memory: its objects may be deleted, suspended, or name another one.
	secretForgottenAfter = 10 * time.Minute
)

// SecretCredentials is alicloud.CredentialSource over Secrets, and over Own for
// the operator's own identity.
type SecretCredentials struct {
	// Reader reads Secrets one by one, past any cache: a cache would list and
	// watch them all.
	Reader client.Reader
	// Own is the operator's own identity; nil where every object must name a Secret.
	Own alicloud.CredentialSource
	// Now is the clock.
	Now func() time.Time

	mu   sync.Mutex
	read map[alicloud.Account]readCredentials
}

var _ alicloud.CredentialSource = (*SecretCredentials)(nil)

type readCredentials struct {
	credentials alicloud.Credentials
	at          time.Time
	forget      *time.Timer
}

// Credentials implements alicloud.CredentialSource.
func (s *SecretCredentials) Credentials(ctx context.Context, account alicloud.Account) (alicloud.Credentials, error) {
	switch {
	case account.IsDefault() && s.Own == nil:
		return alicloud.Credentials{}, &alicloud.Error{
			Kind: alicloud.CredentialsNotFound, Local: true,
			Message: "this operator lends nobody its own identity (--require-credentials): name a Secret in spec.credentials.secretRef",
		}
	case account.IsDefault():
		return s.Own.Credentials(ctx, account)
	}
	now := s.Now()
	last, known := s.last(account)
	if known && now.Sub(last.at) < secretFreshFor {
		return last.credentials, nil
	}
	found, err := s.fetch(ctx, account)
	_, unusable := errors.AsType[*alicloud.Error](err)
	switch {
	case err == nil:
		s.keep(account, found, now)
	case unusable:
		s.forget(account)
	case known:
		// Kubernetes does not answer: what signed a minute ago still does, and
		// not every call is to wait until that is found out.
		s.keep(account, last.credentials, now)
		return last.credentials, nil
	}
	return found, err
}

// Refused implements alicloud.CredentialSource.
func (s *SecretCredentials) Refused(account alicloud.Account, credentials alicloud.Credentials) {
	if account.IsDefault() {
		if s.Own != nil {
			s.Own.Refused(account, credentials)
		}
		return
	}
	if last, known := s.last(account); known && last.credentials.Version == credentials.Version {
		s.forget(account)
	}
}

func (s *SecretCredentials) fetch(ctx context.Context, account alicloud.Account) (alicloud.Credentials, error) {
	var secret corev1.Secret
	// client-go logs whole answers at high verbosity, to the context's logger.
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
		switch held := value(key); {
		case held == "" && key != keySecurityToken:
			return alicloud.Credentials{Version: secret.ResourceVersion}, notFound("Secret %s has no value for the key %s: add it", account, key)
		case len(held) > alicloud.MaxKey:
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

func (s *SecretCredentials) last(account alicloud.Account) (readCredentials, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, known := s.read[account]
	return last, known
}

func (s *SecretCredentials) keep(account alicloud.Account, credentials alicloud.Credentials, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.read == nil {
		s.read = map[alicloud.Account]readCredentials{}
	}
	forget := s.read[account].forget
	if forget == nil {
		forget = time.AfterFunc(secretForgottenAfter, func() { s.forget(account) })
	}
	forget.Reset(secretForgottenAfter)
	s.read[account] = readCredentials{credentials, now, forget}
}

func (s *SecretCredentials) forget(account alicloud.Account) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, known := s.read[account]; known {
		last.forget.Stop()
		delete(s.read, account)
	}
}
