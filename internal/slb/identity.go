// SPDX-License-Identifier: Apache-2.0

package slb

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"time"

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
	// last served, and not refused since. The chain fails while STS does, long
	// before what it gave expires.
	last *Credentials
	// retryAt is when to ask again after a failure, while last serves: asking
	// may take as long as STS hangs.
	retryAt time.Time
}

// refreshPause is how long the last credentials serve before more are asked for again.
const refreshPause = 30 * time.Second

var _ CredentialSource = (*Identity)(nil)

// Credentials implements CredentialSource for the zero Account; the account is
// ignored. While no newer ones can be found, those that the API accepts still serve.
func (i *Identity) Credentials(ctx context.Context, _ Account) (Credentials, error) {
	// STS may hang: whoever gives up waiting leaves the others waiting.
	result := i.refresh.DoChan("", func() (any, error) { return i.fetch() })
	select {
	case <-ctx.Done():
		return Credentials{}, ctx.Err()
	case r := <-result:
		found, _ := r.Val.(Credentials)
		return found, r.Err
	}
}

// Refused implements CredentialSource: the chain is asked anew, from its start.
func (i *Identity) Refused(_ Account, refused Credentials) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.last != nil && i.last.Version != refused.Version {
		return // newer ones were found meanwhile
	}
	i.chain, i.last = nil, nil
}

func (i *Identity) fetch() (Credentials, error) {
	chain, resting := i.current()
	if resting != nil {
		return *resting, nil
	}
	found, ok := ask(chain)

	i.mu.Lock()
	defer i.mu.Unlock()
	if ok {
		i.last = &found
		return found, nil
	}
	i.chain = nil
	if i.last != nil {
		i.retryAt = time.Now().Add(refreshPause)
		return *i.last, nil
	}
	// The chain's error may quote answers of STS, so its text goes no further.
	return Credentials{}, &Error{
		Kind: CredentialsNotFound,
		Message: "the operator has no credentials of its own: set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET for it, " +
			"give its ServiceAccount a RAM role (RRSA), or name a Secret in spec.credentials.secretRef",
	}
}

// ask returns what a chain finds, and false when that signs nothing.
func ask(chain providers.CredentialsProvider) (c Credentials, ok bool) {
	defer func() {
		// The chain panics on answers of the metadata server and STS that lack fields.
		if panicked := recover(); panicked != nil {
			c, ok = Credentials{}, false
		}
	}()
	found, err := chain.GetCredentials()
	if err != nil || found == nil || found.AccessKeyId == "" || found.AccessKeySecret == "" {
		return Credentials{}, false
	}
	c = Credentials{AccessKeyID: found.AccessKeyId, AccessKeySecret: found.AccessKeySecret, SecurityToken: found.SecurityToken}
	sum := sha256.Sum256([]byte(c.AccessKeyID + "\n" + c.AccessKeySecret + "\n" + c.SecurityToken))
	c.Version = hex.EncodeToString(sum[:8])
	return c, true
}

// current returns the chain to ask, or, soon after it failed, what serves meanwhile.
func (i *Identity) current() (chain providers.CredentialsProvider, resting *Credentials) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.last != nil && time.Now().Before(i.retryAt) {
		return nil, i.last
	}
	if i.chain == nil {
		i.chain = providers.NewDefaultCredentialsProvider()
	}
	return i.chain, nil
}
