// SPDX-License-Identifier: Apache-2.0

package slb

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Budget hands out turns to call the API, so that no account exceeds its rate
// in a region. Alibaba Cloud counts calls per user, and an account's regions
// are served by different endpoints.
type Budget struct {
	qps   rate.Limit
	burst int

	mu       sync.Mutex
	limiters map[budgetKey]*rate.Limiter
}

type budgetKey struct {
	account Account
	region  string
}

// NewBudget allows qps calls a second for each account and region, and burst at once.
func NewBudget(qps float64, burst int) *Budget {
	return &Budget{qps: rate.Limit(qps), burst: burst, limiters: map[budgetKey]*rate.Limiter{}}
}

// Reserve takes the next free turn of the target's account and region and
// returns when it comes: now, or later. The turn is spent whether used or not.
func (b *Budget) Reserve(target Target, now time.Time) time.Time {
	return now.Add(b.limiter(target).ReserveN(now, 1).DelayFrom(now))
}

// Allowed returns the calls per second now allowed for each account and
// region that made a call.
func (b *Budget) Allowed(visit func(account Account, region string, qps float64)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, limiter := range b.limiters {
		visit(key.account, key.region, float64(limiter.Limit()))
	}
}

func (b *Budget) limiter(target Target) *rate.Limiter {
	key := budgetKey{target.Account, target.RegionID}
	b.mu.Lock()
	defer b.mu.Unlock()
	limiter, ok := b.limiters[key]
	if !ok {
		limiter = rate.NewLimiter(b.qps, b.burst)
		b.limiters[key] = limiter
	}
	return limiter
}
