// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// An observed is one observation of a load balancer, as the API saw it.
type observed struct {
	calls int
	// lists is set where it listed the listeners.
	lists bool
}

// observationsOf groups the calls of one product by load balancer and observation, oldest
// first. A pause of a quarter of the interval separates two observations. Calls that concern
// several load balancers are not in it.
func observationsOf(calls []call, product string, interval time.Duration) map[string][]observed {
	found, last := map[string][]observed{}, map[string]time.Time{}
	for i := range calls {
		c := &calls[i]
		id := c.LoadBalancerID
		if len(c.LoadBalancerIDs) == 1 { // as a call that lists the listeners of one CLB
			id = c.LoadBalancerIDs[0]
		}
		if c.Product != product || id == "" {
			continue
		}
		if before, known := last[id]; !known || c.Time.Sub(before) > interval/4 {
			found[id] = append(found[id], observed{})
		}
		last[id] = c.Time
		o := &found[id][len(found[id])-1]
		o.calls++
		o.lists = o.lists || c.isListing()
	}
	return found
}

// mostCalls are those of the first observations, and of the later ones.
func mostCalls(all map[string][]observed) (first, later int) {
	for _, observations := range all {
		for i, o := range observations {
			if i == 0 {
				first = max(first, o.calls)
			} else {
				later = max(later, o.calls)
			}
		}
	}
	return first, later
}

// refreshedCalls are the calls of load balancers that are observed for five minutes and longer.
type refreshedCalls struct {
	// Most is the most calls of an observation after the first. Mean is that of all after the
	// first, until the one that lists the listeners again, and includes the calls that list
	// those of several load balancers.
	Most int     `json:"most"`
	Mean float64 `json:"mean"`
	// Shared counts the calls after the first interval that list the listeners of several load
	// balancers.
	Shared int `json:"shared"`
}

// newRefreshedCalls counts the calls of one product.
func newRefreshedCalls(calls []call, product string, interval time.Duration) refreshedCalls {
	r := refreshedCalls{Shared: sharedLists(calls, product, interval)}
	all := observationsOf(calls, product, interval)
	_, r.Most = mostCalls(all)
	total, observations := r.Shared, 0
	for _, of := range all {
		for _, o := range of[1:] {
			total, observations = total+o.calls, observations+1
			if o.lists {
				break
			}
		}
	}
	if observations > 0 {
		r.Mean = float64(total) / float64(observations)
	}
	return r
}

// sharedLists counts the calls that list the listeners of several load balancers, without
// those of the first interval.
func sharedLists(calls []call, product string, interval time.Duration) (n int) {
	var first time.Time
	for i := range calls {
		c := &calls[i]
		switch {
		case c.Product != product || len(c.LoadBalancerIDs) < 2:
		case first.IsZero():
			first = c.Time
		case c.Time.Sub(first) > interval:
			n++
		}
	}
	return n
}

// observationsIn is how many observations a count of calls by action has: the health of a
// CLB is one call, that of the others one for each listener.
func observationsIn(product string, byAction map[string]int) float64 {
	if product == alicloud.ProductCLB {
		return float64(byAction["DescribeHealthStatus"])
	}
	return float64(byAction["GetListenerHealthStatus"]) / float64(len(listenerPorts))
}

// callsIn is how many calls a count by action has.
func callsIn(byAction map[string]int) (total int) {
	for _, n := range byAction {
		total += n
	}
	return total
}
