// SPDX-License-Identifier: Apache-2.0

package alicloud

import (
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// maxCodes is how many different codes get a series. The API has a few dozen
	// for these calls; a server that invents more must not exhaust the process.
	maxCodes = 100
	// maxRegions is the same for regions that the SDK does not know: objects name
	// them, and a series outlives its objects. otherRegion is for the rest.
	maxRegions  = 100
	otherRegion = "other"
)

// callMetrics counts calls, and observes the durations of timed ones.
type callMetrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec

	mu             sync.Mutex
	codes, regions map[string]struct{}
}

// newCallMetrics returns metrics that are registered unless registry is nil.
func newCallMetrics(registry prometheus.Registerer) *callMetrics {
	m := &callMetrics{
		codes:   map[string]struct{}{},
		regions: map[string]struct{}{},
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "slb_api_requests_total",
			Help: "Calls by product, action, region and by OK, the API's error code, or the failure's kind when there is no code.",
		}, []string{"product", "action", "region", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "slb_api_request_duration_seconds",
			Help:    "Duration of the calls that return health, by product and region.",
			Buckets: []float64{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30},
		}, []string{"product", "region"}),
	}
	if registry != nil {
		registry.MustRegister(m.requests, m.duration)
	}
	return m
}

// observe counts a call that completed. A call that its caller gave up has no
// response to count.
func (m *callMetrics) observe(call *Call, duration time.Duration, err error) {
	code := "OK"
	if err != nil {
		failure, ok := errors.AsType[*Error](err)
		if !ok {
			return
		}
		code = m.codeOf(failure)
	}
	product, region := call.Product.label(), m.regionOf(call)
	m.requests.WithLabelValues(product, call.Action, region, code).Inc()
	if call.Timed {
		m.duration.WithLabelValues(product, region).Observe(duration.Seconds())
	}
}

// codeOf is the failure's code, or its kind when the code would be one too many.
func (m *callMetrics) codeOf(failure *Error) string {
	if code := failure.metricCode(); m.admits(m.codes, code, maxCodes) {
		return code
	}
	return string(failure.Kind)
}

// regionOf is the call's region, or otherRegion when it would be one too many.
func (m *callMetrics) regionOf(call *Call) string {
	region := call.RegionID
	if _, known := call.Product.EndpointMap[region]; known || m.admits(m.regions, region, maxRegions) {
		return region
	}
	return otherRegion
}

// admits reports whether a label value is one of the first limit values.
func (m *callMetrics) admits(seen map[string]struct{}, value string, limit int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := seen[value]; !known && len(seen) >= limit {
		return false
	}
	seen[value] = struct{}{}
	return true
}
