// SPDX-License-Identifier: Apache-2.0

package alicloud

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// maxCodes is how many different codes get a series. The API has a few dozen
	// for these calls; what invents more of them must not fill the memory.
	maxCodes = 100
	// maxRegions is as much for regions that the SDK does not know: objects name
	// them, and a series outlives its objects. otherRegion stands for the rest.
	maxRegions  = 100
	otherRegion = "other"
)

// API is all that is asked of Alibaba Cloud.
type API interface {
	HealthAPI
	ListenersAPI
}

// Instrumented counts the calls of another API, and times those of routine.
type Instrumented struct {
	api      API
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec

	mu             sync.Mutex
	codes, regions map[string]struct{}
}

var _ API = (*Instrumented)(nil)

// Instrument wraps api and registers its metrics.
func Instrument(api API, registry prometheus.Registerer) *Instrumented {
	i := &Instrumented{
		api:     api,
		codes:   map[string]struct{}{},
		regions: map[string]struct{}{},
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "slb_api_requests_total",
			Help: "Calls by action, region and by OK, the API's error code, or the failure's kind when there is no code.",
		}, []string{"action", "region", "code"}),
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
func (i *Instrumented) DescribeHealthStatus(ctx context.Context, request Request) (*Observation, error) {
	start := time.Now()
	sample, err := i.api.DescribeHealthStatus(ctx, request)
	region := i.regionOf(request.Target.RegionID)
	if i.count(actionHealth, region, 1, err) {
		i.duration.WithLabelValues(region).Observe(time.Since(start).Seconds())
	}
	return sample, err
}

// DescribeLoadBalancerListeners implements ListenersAPI. Pages that were
// answered before one that failed are not counted.
func (i *Instrumented) DescribeLoadBalancerListeners(ctx context.Context, request ListenersRequest) (*ListenerList, error) {
	answer, err := i.api.DescribeLoadBalancerListeners(ctx, request)
	calls := 1
	if err == nil {
		calls = answer.Calls
	}
	i.count(actionListeners, i.regionOf(request.RegionID), calls, err)
	return answer, err
}

// count counts calls that came to an end, and tells whether they did: where the
// caller gave up, there is no answer to count.
func (i *Instrumented) count(action, region string, calls int, err error) bool {
	code := "OK"
	if err != nil {
		failure, ok := errors.AsType[*Error](err)
		if !ok {
			return false
		}
		code = i.codeOf(failure)
	}
	i.requests.WithLabelValues(action, region, code).Add(float64(calls))
	return true
}

// codeOf is the failure's code, or its kind when that would be one code too many.
func (i *Instrumented) codeOf(failure *Error) string {
	if code := failure.MetricCode(); i.admits(i.codes, code, maxCodes) {
		return code
	}
	return string(failure.Kind)
}

// regionOf is the region, or otherRegion when that would be one region too many.
func (i *Instrumented) regionOf(region string) string {
	if _, known := endpointMap[region]; known || i.admits(i.regions, region, maxRegions) {
		return region
	}
	return otherRegion
}

// admits tells whether a word is one of the first so many that were seen.
func (i *Instrumented) admits(seen map[string]struct{}, word string, most int) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if _, known := seen[word]; !known && len(seen) >= most {
		return false
	}
	seen[word] = struct{}{}
	return true
}
