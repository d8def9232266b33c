// SPDX-License-Identifier: Apache-2.0

package slb

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"sync"

	"github.com/aliyun/credentials-go/credentials/providers"
	"golang.org/x/sync/singleflight"
)

// Identity is the operator's own identity, found in credentials-go's order:
// the ALIBABA_CLOUD_* variables, an OIDC token (RRSA), a profile file, the ECS
// RAM role.
type Identity struct {
	// The chain is not safe for concurrent use, and one that failed once only
	// asks its last provider again, so one caller at a time uses it and a
	// failed one is thrown away.
	refresh singleflight.Group

	mu    sync.Mutex
	chain providers.CredentialsProvider
}

var _ CredentialSource = (*Identity)(nil)

// Credentials implements CredentialSource for the zero Account; the account is ignored.
func (i *Identity) Credentials(ctx context.Context, _ Account) (Credentials, error) {
	// STS may hang: whoever gives up waiting leaves the others waiting.
	result := i.refresh.DoChan("", func() (any, error) { return i.fetch() })
	select {
	case <-ctx.Done():
		return Credentials{}, context.Cause(ctx)
	case r := <-result:
		if r.Err != nil {
			return Credentials{}, r.Err
		}
		return r.Val.(Credentials), nil
	}
}

// Refused implements CredentialSource: the chain is asked anew, from its start.
func (i *Identity) Refused(Account, Credentials) { i.drop() }

func (i *Identity) fetch() (Credentials, error) {
	found, err := i.current().GetCredentials()
	if err != nil || found == nil || found.AccessKeyId == "" || found.AccessKeySecret == "" {
		i.drop()
		// The chain's error may quote answers of STS, so its text goes no further.
		return Credentials{}, &Error{
			Kind: CredentialsNotFound,
			Message: "the operator has no credentials of its own: set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET for it, " +
				"give its ServiceAccount a RAM role (RRSA), or name a Secret in spec.credentials.secretRef",
		}
	}
	c := Credentials{AccessKeyID: found.AccessKeyId, AccessKeySecret: found.AccessKeySecret, SecurityToken: found.SecurityToken}
	sum := sha256.Sum256([]byte(c.AccessKeyID + "\n" + c.AccessKeySecret + "\n" + c.SecurityToken))
	c.Version = hex.EncodeToString(sum[:8])
	return c, nil
}

func (i *Identity) current() providers.CredentialsProvider {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.chain == nil {
		i.chain = providers.NewDefaultCredentialsProvider()
	}
	return i.chain
}

func (i *Identity) drop() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.chain = nil
}
