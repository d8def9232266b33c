// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"cmp"
	"math"
	"path"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// keyring has the accounts and the remaining budget of each.
type keyring struct {
	mu    sync.RWMutex
	byKey map[string]*account
}

type account struct {
	Account
	// limiters are by product: each has an endpoint of its own, which throttles for itself.
	limiters map[string]*rate.Limiter
}

// load replaces the accounts. One with the same limits keeps its remaining budget.
func (k *keyring) load(accounts []Account) {
	k.mu.Lock()
	defer k.mu.Unlock()
	next := make(map[string]*account, len(accounts))
	for _, a := range accounts {
		entry := &account{Account: a, limiters: a.newLimiters()}
		if known, ok := k.byKey[a.AccessKeyID]; ok && known.QPS == a.QPS && known.Burst == a.Burst {
			entry.limiters = known.limiters
		}
		next[a.AccessKeyID] = entry
	}
	k.byKey = next
}

func (a Account) newLimiters() map[string]*rate.Limiter {
	limiters := map[string]*rate.Limiter{}
	for _, name := range productNames {
		limiters[name] = a.newLimiter()
	}
	return limiters
}

func (a Account) newLimiter() *rate.Limiter {
	if a.QPS == 0 {
		return rate.NewLimiter(rate.Inf, 0)
	}
	return rate.NewLimiter(rate.Limit(a.QPS), cmp.Or(a.Burst, int(math.Ceil(a.QPS))))
}

// open reports that no accounts are configured, so that any key may call.
func (k *keyring) open() bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return len(k.byKey) == 0
}

func (k *keyring) get(accessKeyID string) (*account, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	found, ok := k.byKey[accessKeyID]
	return found, ok
}

func (a *account) allow(product string, now time.Time) bool {
	return a.limiters[product].AllowN(now, 1)
}

// allows reports whether the account may see the load balancer.
func (a *account) allows(loadBalancerID string) bool {
	for _, pattern := range a.Allow {
		if ok, _ := path.Match(pattern, loadBalancerID); ok {
			return true
		}
	}
	return a.Allow == nil
}

// allowsListeners reports whether the account may list the listeners of every one of the load balancers.
func (a *account) allowsListeners(ids []string) bool {
	if a.AllowListeners != nil && !*a.AllowListeners {
		return false
	}
	return !slices.ContainsFunc(ids, func(id string) bool { return !a.allows(id) })
}
