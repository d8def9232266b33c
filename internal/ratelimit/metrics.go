// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// RateLimits exports the current rates of a Limiter. Where an account has
// several products in a region, it exports the lowest rate.
type RateLimits struct {
	Limiter *Limiter
	// Now is the clock.
	Now func() time.Time
}

var rateLimitDesc = prometheus.NewDesc("slb_api_rate_limit",
	"Calls per second now allowed, by region and account (the Secret's namespace/name, or default).",
	[]string{"region", "account"}, nil)

// Describe implements prometheus.Collector.
func (RateLimits) Describe(ch chan<- *prometheus.Desc) { ch <- rateLimitDesc }

// Collect implements prometheus.Collector.
func (r RateLimits) Collect(ch chan<- prometheus.Metric) {
	type labels struct{ region, account string }
	lowest := map[labels]float64{}
	r.Limiter.Rates(r.Now(), func(bucket Bucket, qps float64) {
		of := labels{bucket.Region, bucket.Account}
		if rate, known := lowest[of]; !known || qps < rate {
			lowest[of] = qps
		}
	})
	for of, qps := range lowest {
		ch <- prometheus.MustNewConstMetric(rateLimitDesc, prometheus.GaugeValue, qps, of.region, of.account)
	}
}
