// SPDX-License-Identifier: Apache-2.0

package slb

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// maxCodes is how many different codes get a series. The API has a few dozen
// for this call; what invents more of them must not fill the memory.
const maxCodes = 100

// Instrumented counts and times the calls of another HealthAPI.
type Instrumented struct {
	api      HealthAPI
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec

	mu    sync.Mutex
	codes map[string]struct{}
}

var _ HealthAPI = (*Instrumented)(nil)

// Instrument wraps api and registers its metrics.
func Instrument(api HealthAPI, registry prometheus.Registerer) *Instrumented {
	i := &Instrumented{
		api:   api,
		codes: map[string]struct{}{},
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "slb_api_requests_total",
			Help: "DescribeHealthStatus calls by region and by OK, the API's error code, or the failure's kind when there is no code.",
		}, []string{"region", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "slb_api_request_duration_seconds",
			Help:    "Duration of DescribeHealthStatus calls by region.",
			Buckets: []float64{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30},
		}, []string{"region"}),
	}
	registry.MustRegister(i.requests, i.duration)
	return i
}

// DescribeHealthStatus implements HealthAPI.
func (i *Instrumented) DescribeHealthStatus(ctx context.Context, request Request) (*Sample, error) {
	start := time.Now()
	sample, err := i.api.DescribeHealthStatus(ctx, request)
	code := "OK"
	if err != nil {
		var failure *Error
		if !errors.As(err, &failure) {
			return nil, err // the caller gave up: no answer to count
		}
		code = i.codeOf(failure)
	}
	i.requests.WithLabelValues(request.Target.RegionID, code).Inc()
	i.duration.WithLabelValues(request.Target.RegionID).Observe(time.Since(start).Seconds())
	return sample, err
}

// codeOf is the failure's code, or its kind when that would be one code too many.
func (i *Instrumented) codeOf(failure *Error) string {
	code := failure.MetricCode()
	i.mu.Lock()
	defer i.mu.Unlock()
	if _, known := i.codes[code]; !known && len(i.codes) >= maxCodes {
		return string(failure.Kind)
	}
	i.codes[code] = struct{}{}
	return code
}

// RateLimits exports a Budget's current limits.
type RateLimits struct {
	Budget *Budget
	// Now is the clock.
	Now func() time.Time
}

var rateLimitDesc = prometheus.NewDesc("slb_api_rate_limit",
	"DescribeHealthStatus calls per second now allowed, by region and account (the Secret's namespace/name, or default).",
	[]string{"region", "account"}, nil)

// Describe implements prometheus.Collector.
func (RateLimits) Describe(ch chan<- *prometheus.Desc) { ch <- rateLimitDesc }

// Collect implements prometheus.Collector.
func (r RateLimits) Collect(ch chan<- prometheus.Metric) {
	r.Budget.Allowed(r.Now(), func(account Account, region string, qps float64) {
		ch <- prometheus.MustNewConstMetric(rateLimitDesc, prometheus.GaugeValue, qps, region, account.String())
	})
}
