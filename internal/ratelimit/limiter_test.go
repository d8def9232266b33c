// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

func TestPermitsComeAtOnceUpToTheBurstAndThenAtTheRate(t *testing.T) {
	h := newHarness(Options{QPS: 10, Burst: 3, Concurrency: 32})
	for i := range 8 {
		h.add(lb(i), 0)
	}
	h.run(time.Minute)
	var at []time.Duration
	for _, c := range h.calls {
		at = append(at, c.at.Round(time.Millisecond))
	}
	want := []time.Duration{0, 0, 0, 100 * time.Millisecond, 200 * time.Millisecond, 300 * time.Millisecond, 400 * time.Millisecond, 500 * time.Millisecond}
	if !slices.Equal(at, want) {
		t.Errorf("calls at %v, want %v", at, want)
	}
}

func TestRateBelowOnePerSecond(t *testing.T) {
	h := newHarness(Options{QPS: 0.5, Burst: 1, Concurrency: 32})
	for i := range 4 {
		h.add(lb(i), 0)
	}
	h.run(time.Minute)
	if n := h.count(0, 5*time.Second); n != 3 {
		t.Errorf("%d calls in 5 s, want those at 0, 2 and 4 s", n)
	}
}

func TestBucketsAreIndependent(t *testing.T) {
	limiter := New(Options{QPS: 1, Burst: 1, Concurrency: 32})
	nlb := testBucket
	nlb.Product = "nlb"
	beijing := testBucket
	beijing.Region = "cn-beijing"
	for _, step := range []struct {
		item    item
		permit  bool
		because string
	}{
		{item{testBucket, "lb-1"}, true, "it is the first"},
		{item{testBucket, "lb-2"}, false, "its bucket is empty"},
		{item{beijing, "lb-1"}, true, "it is another region"},
		{item{nlb, "lb-1"}, true, "it is another product"},
		{item{bucketOf("prod", "key"), "lb-1"}, true, "it is another account"},
		{item{bucketOf("test", "key"), "lb-1"}, true, "it is an account of another namespace"},
		{item{bucketOf("prod", "key"), "lb-3"}, false, "its bucket is empty"},
	} {
		permit, requeueAt := limiter.Reserve(step.item.claim(), noon)
		if (permit != nil) != step.permit {
			t.Errorf("%v: a permit at once: %v, although %s", step.item, permit != nil, step.because)
		}
		if permit == nil && requeueAt.Sub(noon) != time.Second {
			t.Errorf("%v: requeued after %s", step.item, requeueAt.Sub(noon))
		}
	}
}

// 200 load balancers every 10 s need 20 calls per second; the limit is 10.
func TestOverloadDelaysAllItemsEqually(t *testing.T) {
	h := newHarness(Options{QPS: 10, Burst: 1, Concurrency: 32})
	h.interval = 10 * time.Second
	const items = 200
	for i := range items {
		h.add(lb(i), time.Duration(i)*50*time.Millisecond)
	}
	const long = 10 * time.Minute
	h.run(long)
	if n := h.count(0, long); n < 5990 || n > 6001 {
		t.Errorf("%d calls in 10 minutes, want all of the 6000 that the rate allows", n)
	}
	last := map[item]time.Duration{}
	for _, c := range h.calls {
		if before, again := last[c.item]; again {
			if gap := c.at - before; gap > 21*time.Second {
				t.Fatalf("%s waited %s at %s; 200 items at 10 per second get one call in 20 s", c.item, gap, c.at)
			}
		}
		last[c.item] = c.at
	}
	if len(last) != items {
		t.Errorf("%d of %d items had a call", len(last), items)
	}
	if perCall := float64(h.claims) / float64(len(h.calls)); perCall > 3 {
		t.Errorf("%.1f claims per call: requeueAt is too early", perCall)
	}
}

func TestOldestClaimIsServedFirst(t *testing.T) {
	h := newHarness(Options{QPS: 1, Burst: 1, Concurrency: 32})
	h.add(lb(0), 0) // consumes the burst
	for i, age := range []int{3, 1, 4, 2, 5} {
		h.lastCalled[lb(age)] = noon.Add(-time.Duration(age) * time.Minute)
		h.add(lb(age), time.Duration(i+1)*time.Millisecond)
	}
	h.run(time.Minute)
	for i, c := range h.calls {
		if want := lb([]int{0, 5, 4, 3, 2, 1}[i]); c.item != want {
			t.Errorf("call %d is about %s, want %s", i, c.item, want)
		}
	}
}

// A user who creates load balancer after load balancer must not delay all known ones.
func TestNewItemWaitsAsRoutineFromWhenItIsQueued(t *testing.T) {
	limiter := New(Options{QPS: 1, Burst: 1, Concurrency: 32})
	added, older, newer := lb(1).claim(), claimAged(2, "", time.Second), claimAged(3, "", -time.Millisecond)
	for i, got := range serveAll(t, limiter, added, newer, older) {
		if want := []Claim{older, added, newer}[i]; got != want {
			t.Errorf("permit %d is for %+v, want %+v", i, got, want)
		}
	}
}

// All 10,000 items of a restarted operator are due within one interval, and the
// rate needs longer than that for all of them.
func TestRestartWithTenThousandItemsStaysWithinTheRate(t *testing.T) {
	const fleet, qps, burst = 10000, 250, 20
	h := newHarness(Options{QPS: qps, Burst: burst, Concurrency: 32})
	h.interval = 30 * time.Second
	random := rand.New(rand.NewPCG(1, 2))
	for i := range fleet {
		h.lastCalled[lb(i)] = noon.Add(-time.Duration(random.Int64N(int64(time.Minute))))
		h.add(lb(i), time.Duration(random.Int64N(int64(h.interval))))
	}
	added := lb(fleet)
	h.urgent[added] = true
	h.add(added, 20*time.Second)
	h.run(h.interval + time.Duration(fleet)*time.Second/qps)
	first := map[item]time.Duration{}
	perSecond := map[int]int{}
	for _, c := range h.calls {
		perSecond[int(c.at.Seconds())]++
		if _, known := first[c.item]; !known {
			first[c.item] = c.at
		}
	}
	if len(first) != fleet+1 {
		t.Errorf("%d of %d items had a call within an interval and the time that the rate needs", len(first), fleet+1)
	}
	for second, n := range perSecond {
		if n > qps+burst {
			t.Errorf("%d calls in second %d", n, second)
		}
	}
	if late := first[added] - 20*time.Second; late > 100*time.Millisecond {
		t.Errorf("the urgent claim waited %s behind routine ones", late)
	}
}

func TestPermitWithoutACallReturnsItsToken(t *testing.T) {
	limiter := New(Options{QPS: 0.001, Burst: 1, Concurrency: 32})
	for range 3 {
		permit, _ := limiter.Reserve(lb(1).claim(), noon)
		if permit == nil {
			t.Fatal("no permit")
		}
		permit.Release(Result{}, noon)
	}
}

// withdrawals are the ways to remove an item from the queue.
var withdrawals = map[string]func(*Limiter, Bucket, string){"CancelAll": (*Limiter).CancelAll, "Forget": (*Limiter).Forget}

func TestWithdrawnItemDelaysNoOther(t *testing.T) {
	for name, withdraw := range withdrawals {
		t.Run(name, func(t *testing.T) {
			limiter := New(Options{QPS: 1, Burst: 1, Concurrency: 32})
			reserve := func(n int, at time.Duration) *Permit {
				permit, _ := limiter.Reserve(lb(n).claim(), noon.Add(at))
				return permit
			}
			if reserve(0, 0) == nil || reserve(1, 0) != nil || reserve(2, 0) != nil {
				t.Fatal("the burst is 1")
			}
			withdraw(limiter, testBucket, lb(1).id)
			if reserve(2, time.Second) == nil {
				t.Error("the second waiter did not move up")
			}
		})
	}
}

func TestWithdrawnPermitReturnsItsToken(t *testing.T) {
	for name, withdraw := range withdrawals {
		t.Run(name, func(t *testing.T) {
			limiter := New(Options{QPS: 1, Burst: 1, Concurrency: 32})
			limiter.Reserve(claimAged(9, "", 0), noon)
			limiter.Reserve(claimAged(1, "", time.Minute), noon)
			at := noon.Add(time.Second)
			if permit, _ := limiter.Reserve(claimAged(2, "", 0), at); permit != nil {
				t.Fatal("the permit is for the oldest claim")
			}
			withdraw(limiter, testBucket, lb(1).id)
			if permit, _ := limiter.Reserve(claimAged(2, "", 0), at); permit == nil {
				t.Error("the next claim did not get the permit")
			}
		})
	}
}

// The limiter must not restore a bucket that it has deleted.
func TestReleaseAfterForgetRestoresNoState(t *testing.T) {
	limiter := New(Options{QPS: 1, Burst: 2, Concurrency: 32})
	permit, _ := limiter.Reserve(claimAged(1, "", 0), noon)
	limiter.Forget(testBucket, lb(1).id)
	permit.Release(succeeded, noon.Add(time.Second))
	if n := len(limiter.queues); n != 0 {
		t.Errorf("%d queues remain", n)
	}
}

func TestForgottenBucketHasNoState(t *testing.T) {
	for name, forget := range map[string]func(limiter *Limiter, permit *Permit, now time.Time){
		"after its call": func(limiter *Limiter, permit *Permit, now time.Time) {
			permit.Release(succeeded, now)
			limiter.Forget(testBucket, lb(1).id)
		},
		"during its call": func(limiter *Limiter, permit *Permit, now time.Time) {
			limiter.Forget(testBucket, lb(1).id)
			permit.Release(succeeded, now)
		},
	} {
		t.Run(name, func(t *testing.T) {
			limiter := New(Options{QPS: 10, Burst: 20, Concurrency: 32})
			permit, _ := limiter.Reserve(lb(1).claim(), noon)
			forget(limiter, permit, noon.Add(2*time.Second))
			if len(limiter.queues)+len(limiter.active)+limiter.restricted != 0 {
				t.Errorf("%d queues, %d of them active and %d restricted", len(limiter.queues), len(limiter.active), limiter.restricted)
			}
		})
	}
}

func TestConcurrentWorkersKeepTheRate(t *testing.T) {
	limiter := New(Options{QPS: 10, Burst: 50, Concurrency: 1000})
	var mu sync.Mutex
	var group sync.WaitGroup
	permits := 0
	for worker := range 16 {
		group.Go(func() {
			for i := range 50 {
				permit, _ := limiter.Reserve(lb(worker*50+i).claim(), noon.Add(time.Second))
				if permit == nil {
					continue
				}
				permit.Release(succeeded, noon.Add(time.Second))
				mu.Lock()
				permits++
				mu.Unlock()
			}
			limiter.Rates(noon, func(Bucket, float64) {})
		})
	}
	group.Wait()
	if permits != 50 {
		t.Errorf("%d permits at once, want the burst of 50", permits)
	}
}
