// SPDX-License-Identifier: Apache-2.0

package alicloud

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

type apiFunc func(context.Context, Request) (*Observation, error)

func (f apiFunc) DescribeHealthStatus(ctx context.Context, request Request) (*Observation, error) {
	return f(ctx, request)
}

// DescribeLoadBalancerListeners has the outcome of a call about the first load
// balancer, over as many pages as load balancers.
func (f apiFunc) DescribeLoadBalancerListeners(ctx context.Context, request ListenersRequest) (*ListenerList, error) {
	if _, err := f(ctx, request.question()); err != nil {
		return nil, err
	}
	return &ListenerList{Calls: len(request.LoadBalancerIDs)}, nil
}

// instrumented makes one call for each outcome and returns what was registered.
func instrumented(t *testing.T, outcomes ...error) *prometheus.Registry {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	next := 0
	api := Instrument(apiFunc(func(context.Context, Request) (*Observation, error) {
		outcome := outcomes[next]
		next++
		if outcome != nil {
			return nil, outcome
		}
		return &Observation{RequestID: "1"}, nil
	}), registry)
	for _, outcome := range outcomes {
		sample, err := api.DescribeHealthStatus(t.Context(), aRequest())
		if !errors.Is(err, outcome) || (sample == nil) != (outcome != nil) {
			t.Errorf("(%v, %v) came through as %v", sample, outcome, err)
		}
	}
	return registry
}

func TestCallsAreCountedByRegionAndCode(t *testing.T) {
	registry := instrumented(t,
		nil, nil,
		&Error{Kind: Throttled, Code: "Throttling.User"},
		&Error{Kind: Throttled},
		&Error{Kind: EndpointUnreachable},
		context.Canceled, context.DeadlineExceeded, errors.New("something else"),
	)
	want := `
# HELP slb_api_requests_total Calls by action, region and by OK, the API's error code, or the failure's kind when there is no code.
# TYPE slb_api_requests_total counter
slb_api_requests_total{action="DescribeHealthStatus",code="EndpointUnreachable",region="cn-hangzhou"} 1
slb_api_requests_total{action="DescribeHealthStatus",code="OK",region="cn-hangzhou"} 2
slb_api_requests_total{action="DescribeHealthStatus",code="Throttled",region="cn-hangzhou"} 1
slb_api_requests_total{action="DescribeHealthStatus",code="Throttling.User",region="cn-hangzhou"} 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "slb_api_requests_total"); err != nil {
		t.Error(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "slb_api_request_duration_seconds" {
			if n := family.GetMetric()[0].GetHistogram().GetSampleCount(); n != 5 {
				t.Errorf("%d durations", n)
			}
			return
		}
	}
	t.Error("no durations")
}

func TestListenersCallsAreCountedByTheirAction(t *testing.T) {
	outcomes := []error{nil, &Error{Kind: Forbidden, Code: "Forbidden.RAM"}, &Error{Kind: EndpointUnreachable}, context.Canceled, nil}
	next := 0
	registry := prometheus.NewPedanticRegistry()
	api := Instrument(apiFunc(func(context.Context, Request) (*Observation, error) {
		outcome := outcomes[next]
		next++
		return nil, outcome
	}), registry)
	for i, outcome := range outcomes {
		ids := []string{"lb-1", "lb-2", "lb-3"}[:1+i/2]
		answer, err := api.DescribeLoadBalancerListeners(t.Context(), aListenersRequest(ids...))
		if !errors.Is(err, outcome) || (answer == nil) != (outcome != nil) {
			t.Errorf("%v came through as (%v, %v)", outcome, answer, err)
		}
	}
	want := `
# HELP slb_api_requests_total Calls by action, region and by OK, the API's error code, or the failure's kind when there is no code.
# TYPE slb_api_requests_total counter
slb_api_requests_total{action="DescribeLoadBalancerListeners",code="EndpointUnreachable",region="cn-hangzhou"} 1
slb_api_requests_total{action="DescribeLoadBalancerListeners",code="Forbidden.RAM",region="cn-hangzhou"} 1
slb_api_requests_total{action="DescribeLoadBalancerListeners",code="OK",region="cn-hangzhou"} 4
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "slb_api_requests_total"); err != nil {
		t.Error(err)
	}
	// Routine is what the durations are read for; a page of listeners takes another time.
	if n, err := testutil.GatherAndCount(registry, "slb_api_request_duration_seconds"); err != nil || n != 0 {
		t.Errorf("%d durations, %v", n, err)
	}
}

func TestInventedCodesDoNotMakeSeriesWithoutEnd(t *testing.T) {
	outcomes := make([]error, 0, 3*maxCodes)
	for i := range 3 * maxCodes {
		outcomes = append(outcomes, &Error{Kind: ServiceError, Code: "Invented" + strconv.Itoa(i)})
	}
	registry := instrumented(t, outcomes...)
	if n, err := testutil.GatherAndCount(registry, "slb_api_requests_total"); err != nil || n != maxCodes+1 {
		t.Errorf("%d series, want %d (%v)", n, maxCodes+1, err)
	}
}

// Anybody who may make an object names a region, and no series leaves with it.
func TestInventedRegionsDoNotMakeSeriesWithoutEnd(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	api := Instrument(apiFunc(func(context.Context, Request) (*Observation, error) { return &Observation{RequestID: "1"}, nil }), registry)
	call := func(region string) {
		if _, err := api.DescribeHealthStatus(t.Context(), Request{Target: Target{RegionID: region}}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 * maxRegions {
		call("xx-invented-" + strconv.Itoa(i))
	}
	for _, metric := range []string{"slb_api_requests_total", "slb_api_request_duration_seconds"} {
		if n, err := testutil.GatherAndCount(registry, metric); err != nil || n != maxRegions+1 {
			t.Errorf("%d series of %s, want %d (%v)", n, metric, maxRegions+1, err)
		}
	}
	call("cn-hangzhou")
	if got := testutil.ToFloat64(api.requests.WithLabelValues(actionHealth, "cn-hangzhou", "OK")); got != 1 {
		t.Errorf("a real region that came late is counted %v times", got)
	}
}

func TestMetricsAreNamedAsPrometheusWants(t *testing.T) {
	registry := instrumented(t, nil)
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", problem.Metric, problem.Text)
	}
}
