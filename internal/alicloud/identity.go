// SPDX-License-Identifier: Apache-2.0

package alicloud

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// Identity is the operator's own identity: the credentials of the first
// provider that has any (providers.go). Once there are credentials, no call waits
// for newer ones: Identity fetches them in the background and returns the last
// ones until it has others, or until the API refuses them.
type Identity struct {
	now    func() time.Time
	search func() []provider

	// fetches lets one goroutine at a time use the providers, which are not safe
	// for concurrent use.
	fetches singleflight.Group

	mu         sync.Mutex
	provider   *provider    // the one whose credentials are in use; nil: search from the start
	served     string       // the name of the last provider that returned credentials
	last       *Credentials // the credentials in use
	failure    error        // why there are no credentials, while there are none
	fetchAt    time.Time    // no fetch before
	searchedAt time.Time    // when the last search from the start began
	dropAt     time.Time    // when last, which the API refused, is dropped; zero: it was not refused
}

// fetchPause is the least time between two fetches, also after a failure.
// Providers with a session return it, and renew it three minutes before it expires,
// so that STS and the metadata server get few requests.
const fetchPause = 10 * time.Second

// NewIdentity returns an identity that has no credentials yet. folder may have an
// access key in files; "": no folder.
func NewIdentity(now func() time.Time, folder string) *Identity {
	return &Identity{now: now, search: func() []provider { return findProviders(folder) }}
}

// Credentials returns the credentials in use, and fetches newer ones in the
// background. It waits for a fetch where there are none. The account is ignored.
// The error is an *Error, or the context's.
func (i *Identity) Credentials(ctx context.Context, _ Account) (Credentials, error) {
	current, early, err := i.current()
	if early {
		return current, err
	}
	fetched := i.fetches.DoChan("", func() (any, error) { return i.fetch() })
	if current != (Credentials{}) {
		return current, nil
	}
	// STS may hang: a caller that gives up does not stop the fetch for the others.
	select {
	case <-ctx.Done():
		return Credentials{}, ctx.Err()
	case result := <-fetched:
		found, _ := result.Val.(Credentials)
		return found, result.Err
	}
}

// Refused makes the next fetch search all providers, from the first. Credentials
// of a recent search stay in use for a moment, so that STS does not get a request
// for each call of a fleet whose calls are all refused.
func (i *Identity) Refused(_ Account, refused Credentials) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.last == nil || i.last.Version != refused.Version {
		return // newer ones are in use
	}
	i.provider = nil
	if i.dropAt.IsZero() {
		i.dropAt = i.searchedAt.Add(fetchPause)
	}
	i.drop()
}

// drop drops credentials that were refused, at dropAt.
func (i *Identity) drop() {
	if i.dropAt.IsZero() || i.now().Before(i.dropAt) {
		return
	}
	i.last, i.dropAt = nil, time.Time{}
	if i.failure == nil { // otherwise a fetch failed since
		i.fetchAt = time.Time{}
	}
}

// current returns the credentials in use, and whether it is too early for a fetch.
func (i *Identity) current() (current Credentials, early bool, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.drop()
	current, err = i.result()
	return current, i.now().Before(i.fetchAt), err
}

// result returns the credentials in use, or why there are none.
func (i *Identity) result() (Credentials, error) {
	if i.last != nil {
		return *i.last, nil
	}
	return Credentials{}, i.failure
}

// fetch gets credentials from the provider in use, or searches for one.
func (i *Identity) fetch() (Credentials, error) {
	candidates := i.candidates()
	if candidates == nil { // another fetch completed just now
		current, _, err := i.current()
		return current, err
	}
	found, by, failure := firstOf(candidates)

	i.mu.Lock()
	defer i.mu.Unlock()
	i.fetchAt = i.now().Add(fetchPause)
	if failure != nil {
		i.failure = failure
		return i.result()
	}
	if i.last != nil && i.last.Version != found.Version {
		i.dropAt = time.Time{}
	}
	by.configured = true // later failures are reported in its name
	i.provider, i.served, i.last, i.failure = by, by.name, &found, nil
	return found, nil
}

// candidates are the providers to try, in order; nil: it is too early.
func (i *Identity) candidates() []provider {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch now := i.now(); {
	case now.Before(i.fetchAt):
		return nil
	case i.provider != nil:
		return []provider{*i.provider}
	default:
		i.searchedAt = now
		found := i.search()
		for n := range found { // the node's role does not replace a provider that was in use
			found[n].configured = found[n].configured || found[n].name == i.served
		}
		return found
	}
}
