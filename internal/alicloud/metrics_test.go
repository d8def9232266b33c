// SPDX-License-Identifier: Apache-2.0

package alicloud

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/lbhealth/slb-health-operator/internal/alicloud/alicloudtest"
)

// observed returns the metrics of calls with these outcomes.
func observed(t *testing.T, call Call, outcomes ...error) (*prometheus.Registry, *callMetrics) {
	t.Helper()
	call.Product, call.RegionID = cmp.Or(call.Product, &testProduct), alicloudtest.Region
	registry := prometheus.NewPedanticRegistry()
	metrics := newCallMetrics(registry)
	for _, outcome := range outcomes {
		metrics.observe(&call, time.Millisecond, outcome)
	}
	return registry, metrics
}

// durations is how many durations are in the histogram of a registry.
func durations(t *testing.T, registry *prometheus.Registry) uint64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "slb_api_request_duration_seconds" {
			return family.GetMetric()[0].GetHistogram().GetSampleCount()
		}
	}
	return 0
}

func TestCallsAreCountedByProductActionRegionAndCode(t *testing.T) {
	call := Call{Action: "DescribeHealthStatus", Timed: true}
	registry, _ := observed(t, call,
		nil, nil,
		&Error{Kind: Throttled, Code: "Throttling.User"},
		&Error{Kind: Throttled},
		&Error{Kind: EndpointUnreachable},
		context.Canceled, context.DeadlineExceeded, errors.New("something else"),
	)
	want := `
# HELP slb_api_requests_total Calls by product, action, region and by OK, the API's error code, or the failure's kind when there is no code.
# TYPE slb_api_requests_total counter
slb_api_requests_total{action="DescribeHealthStatus",code="EndpointUnreachable",product="clb",region="cn-hangzhou"} 1
slb_api_requests_total{action="DescribeHealthStatus",code="OK",product="clb",region="cn-hangzhou"} 2
slb_api_requests_total{action="DescribeHealthStatus",code="Throttled",product="clb",region="cn-hangzhou"} 1
slb_api_requests_total{action="DescribeHealthStatus",code="Throttling.User",product="clb",region="cn-hangzhou"} 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "slb_api_requests_total"); err != nil {
		t.Error(err)
	}
	if n := durations(t, registry); n != 5 {
		t.Errorf("%d durations", n)
	}
}

func TestOnlyTimedCallsHaveADuration(t *testing.T) {
	registry, metrics := observed(t, Call{Action: "DescribeLoadBalancerListeners"}, nil, &Error{Kind: Forbidden, Code: "Forbidden.RAM"})
	if n := durations(t, registry); n != 0 {
		t.Errorf("%d durations", n)
	}
	if n := testutil.ToFloat64(metrics.requests.WithLabelValues(ProductCLB, "DescribeLoadBalancerListeners", alicloudtest.Region, "Forbidden.RAM")); n != 1 {
		t.Errorf("%v calls", n)
	}
}

// NLB and ALB have the same actions.
func TestCallsOfEachProductAreCountedByThemselves(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	metrics := newCallMetrics(registry)
	for i, name := range []string{nameSLB, ProductNLB, ProductALB} {
		for range i + 1 {
			metrics.observe(&Call{Product: &Product{Name: name}, Action: "GetListenerHealthStatus", Timed: true, RegionID: alicloudtest.Region}, time.Millisecond, nil)
		}
	}
	const want = `
# HELP slb_api_requests_total Calls by product, action, region and by OK, the API's error code, or the failure's kind when there is no code.
# TYPE slb_api_requests_total counter
slb_api_requests_total{action="GetListenerHealthStatus",code="OK",product="alb",region="cn-hangzhou"} 3
slb_api_requests_total{action="GetListenerHealthStatus",code="OK",product="clb",region="cn-hangzhou"} 1
slb_api_requests_total{action="GetListenerHealthStatus",code="OK",product="nlb",region="cn-hangzhou"} 2
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "slb_api_requests_total"); err != nil {
		t.Error(err)
	}
	if n, err := testutil.GatherAndCount(registry, "slb_api_request_duration_seconds"); err != nil || n != 3 {
		t.Errorf("%d histograms of durations, %v", n, err)
	}
}

// A Caller counts each of its calls, also those that it refuses to make.
func TestCallerCountsItsCalls(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	caller, err := NewCaller(CallerOptions{
		Timeout: alicloudtest.Patience, Metrics: registry, Transport: alicloudtest.Respond(http.StatusOK, alicloudtest.OneRow),
	})
	if err != nil {
		t.Fatal(err)
	}
	client := testClient{caller}
	call(t, client, aRequest())
	_ = callAndFail(t, client, Request{})
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.DescribeHealthStatus(cancelled, aRequest()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	want := `
# HELP slb_api_requests_total Calls by product, action, region and by OK, the API's error code, or the failure's kind when there is no code.
# TYPE slb_api_requests_total counter
slb_api_requests_total{action="DescribeHealthStatus",code="InvalidRequest",product="clb",region=""} 1
slb_api_requests_total{action="DescribeHealthStatus",code="OK",product="clb",region="cn-hangzhou"} 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "slb_api_requests_total"); err != nil {
		t.Error(err)
	}
}

func TestInventedCodesGetABoundedNumberOfSeries(t *testing.T) {
	outcomes := make([]error, 0, 3*maxCodes)
	for i := range 3 * maxCodes {
		outcomes = append(outcomes, &Error{Kind: ServiceError, Code: "Invented" + strconv.Itoa(i)})
	}
	registry, _ := observed(t, Call{Action: "DescribeHealthStatus"}, outcomes...)
	if n, err := testutil.GatherAndCount(registry, "slb_api_requests_total"); err != nil || n != maxCodes+1 {
		t.Errorf("%d series, want %d (%v)", n, maxCodes+1, err)
	}
}

// Everybody who may create an object names a region, and series are not deleted with it.
func TestInventedRegionsGetABoundedNumberOfSeries(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	metrics := newCallMetrics(registry)
	observe := func(region string) {
		metrics.observe(&Call{Product: &testProduct, Action: "DescribeHealthStatus", Timed: true, RegionID: region}, time.Millisecond, nil)
	}
	for i := range 3 * maxRegions {
		observe("xx-invented-" + strconv.Itoa(i))
	}
	for _, metric := range []string{"slb_api_requests_total", "slb_api_request_duration_seconds"} {
		if n, err := testutil.GatherAndCount(registry, metric); err != nil || n != maxRegions+1 {
			t.Errorf("%d series of %s, want %d (%v)", n, metric, maxRegions+1, err)
		}
	}
	observe(alicloudtest.Region)
	if got := testutil.ToFloat64(metrics.requests.WithLabelValues(ProductCLB, "DescribeHealthStatus", alicloudtest.Region, "OK")); got != 1 {
		t.Errorf("a real region after the invented ones is counted %v times", got)
	}
}

func TestMetricNamesFollowPrometheusRules(t *testing.T) {
	registry, _ := observed(t, Call{Action: "DescribeHealthStatus", Timed: true}, nil)
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", problem.Metric, problem.Text)
	}
}
