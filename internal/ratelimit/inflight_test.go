// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"fmt"
	"testing"
	"time"
)

// hangingBuckets are those of accounts whose calls hang, in one namespace or in one each.
func hangingBuckets(accounts int, oneNamespace bool) []Bucket {
	list := make([]Bucket, accounts)
	for a := range list {
		list[a] = bucketOf(fmt.Sprint("hangs-", a), "key")
		if oneNamespace {
			list[a] = bucketOf("hangs", fmt.Sprint("key-", a))
		}
	}
	return list
}

// hangs is the outcome of a call that hangs: the API did not throttle it.
func hangs() (time.Duration, Result) { return 10 * time.Second, succeeded }

// Two accounts; the calls of one hang. The lag of the other must not depend on that.
func TestHangingAccountDelaysNoOther(t *testing.T) {
	hanging := bucketOf("hangs", "key")
	lagBeside := func(itHangs bool) (mean, worst time.Duration) {
		h := newHarness(Options{QPS: 10, Burst: 20, Concurrency: 32})
		h.interval = 10 * time.Second
		h.call = func(i item, _ time.Time) (time.Duration, Result) {
			if i.bucket == hanging && itHangs {
				return hangs()
			}
			return 20 * time.Millisecond, succeeded
		}
		for i := range 90 {
			h.add(lb(i), time.Duration(i)*111*time.Millisecond)
			h.add(item{hanging, lb(i).id}, time.Duration(i)*111*time.Millisecond)
		}
		h.run(5 * time.Minute)
		n := 0
		for _, c := range h.calls {
			if c.item.bucket != hanging {
				mean += c.lag
				worst = max(worst, c.lag)
				n++
			}
		}
		if n < 2600 {
			t.Errorf("%d calls of the other account", n)
		}
		return mean / time.Duration(n), worst
	}
	mean, worst := lagBeside(false)
	meanBeside, worstBeside := lagBeside(true)
	if meanBeside > mean*11/10 || worstBeside > worst*11/10 {
		t.Errorf("late by %s on average and %s at most, want %s and %s as without the hanging account", meanBeside, worstBeside, mean, worst)
	}
}

// Most workers stay free, whatever the number of accounts whose calls hang.
func TestHangingAccountsShareAQuarterOfTheWorkers(t *testing.T) {
	for _, accounts := range []int{1, 3, 20} {
		h := newHarness(Options{QPS: 10, Burst: 5, Concurrency: 32})
		most := 0
		h.interval = 10 * time.Second
		h.add(item{bucketOf("healthy", "key"), "lb-healthy"}, 0)
		isHanging := func(i item) bool { return i.bucket.Namespace == "hangs" }
		h.call = func(i item, now time.Time) (time.Duration, Result) {
			if !isHanging(i) {
				return 20 * time.Millisecond, succeeded
			}
			if now.Sub(noon) > time.Minute {
				most = max(most, h.inFlight(isHanging)+1)
			}
			return hangs()
		}
		for a := range accounts {
			for i := range 100 / accounts {
				h.add(item{bucketOf("hangs", fmt.Sprint("key-", a)), lb(i).id}, time.Duration(i)*300*time.Millisecond)
			}
		}
		h.run(3 * time.Minute)
		if most > 8 || most < 1 {
			t.Errorf("%d hanging accounts use %d of 32 workers", accounts, most)
		}
	}
}

func TestBucketRecoversWithinAnIntervalAfterAHang(t *testing.T) {
	h := newHarness(Options{QPS: 10, Burst: 20, Concurrency: 32})
	h.interval = 30 * time.Second
	const recoversAt = 2 * time.Minute
	h.call = func(_ item, now time.Time) (time.Duration, Result) {
		if now.Sub(noon) < recoversAt {
			return hangs()
		}
		return 20 * time.Millisecond, succeeded
	}
	h.add(item{bucketOf("healthy", "key"), "lb-healthy"}, 0)
	for i := range 250 {
		h.add(lb(i), time.Duration(i)*120*time.Millisecond)
	}
	h.run(5 * time.Minute)
	called := map[item]bool{}
	for _, c := range h.calls {
		if c.at >= recoversAt && c.at < recoversAt+h.interval+25*time.Second { // 250 at 10 per second
			called[c.item] = true
		}
	}
	if len(called) < 250 {
		t.Errorf("%d of 250 items had a call within an interval and the time that the rate needs", len(called))
	}
}

// The limiter has no history of new accounts, and any user can create a hundred.
func TestHangingNewAccountsOccupyFewWorkers(t *testing.T) {
	for _, accounts := range []int{1, 20, 100} {
		for namespaces, oneNamespace := range map[string]bool{"in one namespace": true, "in one each": false} {
			t.Run(fmt.Sprintf("%d %s", accounts, namespaces), func(t *testing.T) {
				h := newHarness(Options{QPS: 10, Burst: 20, Concurrency: 32})
				h.interval = 10 * time.Second
				most := 0
				isNew := func(i item) bool { return i.bucket != testBucket }
				h.call = func(i item, _ time.Time) (time.Duration, Result) {
					if !isNew(i) {
						return 20 * time.Millisecond, succeeded
					}
					most = max(most, h.inFlight(isNew)+1)
					return hangs()
				}
				for i := range 90 {
					h.add(lb(i), time.Duration(i)*111*time.Millisecond)
				}
				for _, bucket := range hangingBuckets(accounts, oneNamespace) {
					for i := range max(100/accounts, 3) {
						h.add(item{bucket, lb(i).id}, 15*time.Second)
					}
				}
				h.add(item{bucketOf("new", "key"), "lb-new"}, time.Minute)
				h.run(3 * time.Minute)
				if most > 8 {
					t.Errorf("they use %d of 32 workers", most)
				}
				for _, c := range h.calls {
					if !isNew(c.item) && c.lag > 50*time.Millisecond {
						t.Fatalf("%s was late by %s", c.item, c.lag)
					}
				}
			})
		}
	}
}

// The accounts of one namespace must not use the workers for the first call of another's account.
func TestHangingNewAccountsOfOneNamespaceDoNotDelayANewOneOfAnother(t *testing.T) {
	h := newHarness(Options{QPS: 10, Burst: 20, Concurrency: 32})
	h.interval = 10 * time.Second
	h.call = func(i item, _ time.Time) (time.Duration, Result) {
		if i.bucket.Namespace == "hangs" {
			return hangs()
		}
		return 20 * time.Millisecond, succeeded
	}
	for _, bucket := range hangingBuckets(100, true) {
		h.add(item{bucket, "lb-hangs"}, 0)
	}
	for i := range 10 {
		h.add(item{bucketOf(fmt.Sprint("healthy-", i), "key"), "lb-healthy"}, time.Duration(i)*5*time.Second)
	}
	h.run(2 * time.Minute)
	healthy := 0
	for _, c := range h.calls {
		if c.item.id == "lb-healthy" {
			healthy++
			if c.lag > 100*time.Millisecond {
				t.Errorf("%s was late by %s", c.item, c.lag)
			}
		}
	}
	if healthy < 90 {
		t.Errorf("%d calls of the healthy accounts", healthy)
	}
}

func TestAHundredNewAccountsStartAtOnce(t *testing.T) {
	h := newHarness(Options{QPS: 10, Burst: 20, Concurrency: 32})
	for _, bucket := range hangingBuckets(100, true) { // they do not hang here
		for i := range 5 {
			h.add(item{bucket, lb(i).id}, 0)
		}
	}
	h.run(time.Minute)
	if n := len(h.calls); n != 500 {
		t.Fatalf("%d calls of 500", n)
	}
	// 500 calls of 20 ms on 32 workers need 0.3 s.
	if last := h.calls[499].at; last > time.Second {
		t.Errorf("the last call started after %s", last)
	}
	if perCall := float64(h.claims) / 500; perCall > 8 {
		t.Errorf("%.1f claims per call: requeueAt is too early", perCall)
	}
	t.Logf("the last of 500 calls started after %s, %.1f claims per call", h.calls[499].at, float64(h.claims)/500)
}

// secondPermits gives each bucket a first permit, which release ends, and
// returns how many of them get a second one at the same moment.
func secondPermits(t *testing.T, buckets []Bucket, release func(permit *Permit, now time.Time) time.Time) int {
	t.Helper()
	limiter := New(Options{QPS: 10, Burst: 20, Concurrency: 32})
	now := noon
	for _, bucket := range buckets {
		permit, _ := limiter.Reserve(item{bucket, "lb"}.claim(), now)
		if permit == nil {
			t.Fatalf("%v has no first permit", bucket)
		}
		now = release(permit, now)
	}
	permits := 0
	for _, bucket := range buckets {
		if permit, _ := limiter.Reserve(item{bucket, "lb"}.claim(), now); permit != nil {
			permits++
		}
	}
	return permits
}

func TestBucketIsRestrictedUntilACallEndsSoon(t *testing.T) {
	for name, step := range map[string]struct {
		result   Result
		duration time.Duration
		want     int
	}{
		"its credentials failed":    {Result{}, 0, 8},
		"its first call timed out":  {succeeded, 3 * time.Second, 8},
		"its first call was served": {succeeded, 0, 100},
	} {
		t.Run(name, func(t *testing.T) {
			got := secondPermits(t, hangingBuckets(100, false), func(permit *Permit, now time.Time) time.Time {
				now = now.Add(step.duration)
				permit.Release(step.result, now)
				return now
			})
			if got != step.want {
				t.Errorf("%d of 100 accounts have a permit at once, want %d", got, step.want)
			}
		})
	}
}

// One account has 1,000 load balancers, the others have two.
func TestSlowAccountsShareMaxInFlight(t *testing.T) {
	h := newHarness(Options{QPS: 100, Burst: 20, Concurrency: 32})
	h.interval = 10 * time.Second
	h.call = func(i item, _ time.Time) (time.Duration, Result) {
		if i.bucket == testBucket {
			return 20 * time.Millisecond, succeeded
		}
		return 2 * time.Second, succeeded
	}
	h.add(lb(0), 0)
	slow := hangingBuckets(4, true)
	for i, bucket := range slow {
		for n := range []int{1000, 2, 2, 2}[i] {
			h.add(item{bucket, lb(n).id}, time.Duration(i)*time.Minute)
		}
	}
	h.run(5 * time.Minute)
	for _, c := range h.calls {
		if c.item.bucket != testBucket && c.item.bucket != slow[0] && c.lag > 10*time.Second {
			t.Errorf("%s was late by %s", c.item, c.lag)
		}
	}
}

// Such as accounts whose Secret does not exist.
func TestBucketsWithoutCallsReduceNoMaxInFlight(t *testing.T) {
	limiter := New(Options{QPS: 10, Burst: 20, Concurrency: 32})
	for _, bucket := range hangingBuckets(20, false) {
		permit, _ := limiter.Reserve(item{bucket, "lb"}.claim(), noon)
		permit.Release(Result{}, noon)
	}
	permit, _ := limiter.Reserve(lb(0).claim(), noon)
	permit.Release(succeeded, noon.Add(2*time.Second))
	permits := 0
	for n := range 20 {
		if permit, _ := limiter.Reserve(lb(n).claim(), noon.Add(2*time.Second)); permit != nil {
			permits++
		}
	}
	if permits != 6 {
		t.Errorf("the slow account has %d permits at once, want three quarters of eight", permits)
	}
}
