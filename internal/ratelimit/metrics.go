// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// RateLimits exports the current rate of each bucket of a Limiter.
type RateLimits struct {
	Limiter *Limiter
	// Now is the clock.
	Now func() time.Time
}

var rateLimitDesc = prometheus.NewDesc("slb_api_rate_limit",
	"Calls per second now allowed, by product, region and account (the Secret's namespace/name, or default).",
	[]string{"product", "region", "account"}, nil)

// Describe implements prometheus.Collector.
func (RateLimits) Describe(ch chan<- *prometheus.Desc) { ch <- rateLimitDesc }

// Collect implements prometheus.Collector.
func (r RateLimits) Collect(ch chan<- prometheus.Metric) {
	rates := map[Bucket]float64{} // the Limiter is locked during the visits
	r.Limiter.Rates(r.Now(), func(bucket Bucket, qps float64) { rates[bucket] = qps })
	for of, qps := range rates {
		ch <- prometheus.MustNewConstMetric(rateLimitDesc, prometheus.GaugeValue, qps, of.Product, of.Region, of.Account)
	}
}
