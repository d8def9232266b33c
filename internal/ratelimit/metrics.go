// SPDX-License-Identifier: Apache-2.0

package ratelimit

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// RateLimits exports a Limiter's current limits.
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
	r.Limiter.Rates(r.Now(), func(account alicloud.Account, region string, qps float64) {
		ch <- prometheus.MustNewConstMetric(rateLimitDesc, prometheus.GaugeValue, qps, region, account.String())
	})
}
