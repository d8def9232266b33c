// SPDX-License-Identifier: Apache-2.0

package alicloud

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// Identity is the operator's own identity: the credentials of the first
// provider that has any (providers.go). Once there are some, nobody waits for
// newer ones: they are asked for beside the calls, and the last ones serve
// until there are others, or until the API refuses them.
type Identity struct {
	now    func() time.Time
	search func() []provider

	// asking lets one caller at a time use the providers, which are not safe
	// for concurrent use.
	asking singleflight.Group

	mu       sync.Mutex
	provider *provider    // whose credentials serve; nil: search from the start
	served   string       // the name of the last provider that served
	last     *Credentials // that serve
	failure  error        // why there are none, while there are none
	askAt    time.Time    // not to ask again before
	soughtAt time.Time    // when a search last began from the start
	dropAt   time.Time    // when last, which the API refused, serves no more; zero: it was not refused
}

// askPause is the least time between two questions to the providers, whatever
// came of the first. Those that hold a session answer from it, and renew it
// three minutes before it ends; STS and the metadata server are hardly asked.
const askPause = 10 * time.Second

var _ CredentialSource = (*Identity)(nil)

// NewIdentity returns an identity that nothing is known of yet. A folder that
// holds an access key in files, if any, is one of the places to look.
func NewIdentity(now func() time.Time, folder string) *Identity {
	return &Identity{now: now, search: func() []provider { return findProviders(folder) }}
}

// Credentials implements CredentialSource for the zero Account; the account is ignored.
func (i *Identity) Credentials(ctx context.Context, _ Account) (Credentials, error) {
	held, early, err := i.held()
	if early {
		return held, err
	}
	answer := i.asking.DoChan("", func() (any, error) { return i.ask() })
	if held != (Credentials{}) {
		return held, nil
	}
	// STS may hang: whoever gives up waiting leaves the others waiting.
	select {
	case <-ctx.Done():
		return Credentials{}, ctx.Err()
	case a := <-answer:
		found, _ := a.Val.(Credentials)
		return found, a.Err
	}
}

// Refused implements CredentialSource: providers are searched anew, from the
// first. Credentials that were found just now still serve for a moment, so that
// a fleet whose calls are all refused does not ask STS as often.
func (i *Identity) Refused(_ Account, refused Credentials) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.last == nil || i.last.Version != refused.Version {
		return // newer ones were found meanwhile
	}
	i.provider = nil
	if i.dropAt.IsZero() {
		i.dropAt = i.soughtAt.Add(askPause)
	}
	i.drop()
}

// drop forgets credentials that were refused, once they served for their moment.
func (i *Identity) drop() {
	if i.dropAt.IsZero() || i.now().Before(i.dropAt) {
		return
	}
	i.last, i.dropAt = nil, time.Time{}
	if i.failure == nil { // else newer ones were asked for already
		i.askAt = time.Time{}
	}
}

// held is what is known, and whether it is too early to ask again.
func (i *Identity) held() (held Credentials, early bool, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.drop()
	held, err = i.result()
	return held, i.now().Before(i.askAt), err
}

func (i *Identity) result() (Credentials, error) {
	if i.last != nil {
		return *i.last, nil
	}
	return Credentials{}, i.failure
}

// ask asks the provider that served last, or searches for one.
func (i *Identity) ask() (Credentials, error) {
	candidates := i.candidates()
	if candidates == nil { // somebody else asked just now
		held, _, err := i.held()
		return held, err
	}
	found, by, failure := firstOf(candidates)

	i.mu.Lock()
	defer i.mu.Unlock()
	i.askAt = i.now().Add(askPause)
	if failure != nil {
		i.failure = failure
		return i.result()
	}
	if i.last != nil && i.last.Version != found.Version {
		i.dropAt = time.Time{}
	}
	by.meant = true // its failure is by its own name from now on
	i.provider, i.served, i.last, i.failure = by, by.name, &found, nil
	return found, nil
}

func (i *Identity) candidates() []provider {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch now := i.now(); {
	case now.Before(i.askAt):
		return nil
	case i.provider != nil:
		return []provider{*i.provider}
	default:
		i.soughtAt = now
		found := i.search()
		for n := range found { // the node's role does not stand in for one that served
			found[n].meant = found[n].meant || found[n].name == i.served
		}
		return found
	}
}
