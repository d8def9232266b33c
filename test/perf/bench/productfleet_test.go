// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	"github.com/google/go-cmp/cmp"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/alicloud/alb"
	"github.com/lbhealth/slb-health-operator/internal/alicloud/clb"
	"github.com/lbhealth/slb-health-operator/internal/alicloud/nlb"
	"github.com/lbhealth/slb-health-operator/internal/alicloud/servergroup"
	slbsimulator "github.com/lbhealth/slb-health-operator/internal/simulator"
	"github.com/lbhealth/slb-health-operator/test/perf/bench/textbook"
)

// productTest is a load balancer of the benchmark in a simulator.
type productTest struct {
	*testing.T
	fleet  *productFleet
	server *simulatorServer
	id     string
}

// simulatorServer serves the simulator in this process.
type simulatorServer struct {
	*slbsimulator.Server
	http *httptest.Server
}

func newProductTest(t *testing.T, product string) *productTest {
	t.Helper()
	sim := slbsimulator.New(slbsimulator.Config{}, slbsimulator.Options{})
	server := httptest.NewTLSServer(sim)
	t.Cleanup(server.Close)
	t.Cleanup(sim.Close)
	p := &productTest{T: t, fleet: newProductFleets([]string{product}, "test", fleetSize{Balancers: 1})[0], server: &simulatorServer{sim, server}}
	p.id = p.fleet.id(0)
	for _, d := range p.fleet.definitions(p.id) {
		p.admin(http.MethodPut, d)
	}
	return p
}

func (p *productTest) admin(method string, d definition) {
	p.Helper()
	body, err := json.Marshal(d.body)
	if err != nil {
		p.Fatal(err)
	}
	request, err := http.NewRequestWithContext(p.Context(), method, p.server.http.URL+"/admin/v1/"+d.path, bytes.NewReader(body))
	if err != nil {
		p.Fatal(err)
	}
	response, err := p.server.http.Client().Do(request)
	if err != nil {
		p.Fatal(err)
	}
	if _ = response.Body.Close(); response.StatusCode >= http.StatusMultipleChoices {
		p.Fatalf("%s %s: %s", method, d.path, response.Status)
	}
}

// count returns how many calls there are while read reads, and the rows, sorted.
func (p *productTest) count(read func() []string) (calls int, rows []string) {
	p.Helper()
	p.server.ResetCalls()
	rows = read()
	slices.Sort(rows)
	return len(p.server.Calls()), rows
}

// naive returns the rows of the naive reader.
func (p *productTest) naive() []string {
	p.Helper()
	reader := textbook.Everything{Caller: textbook.Caller{
		Transport: shared{p.server.http.Client().Transport}, Host: strings.TrimPrefix(p.server.http.URL, "https://"),
		Credentials: credentials.NewStaticAKCredentialsProvider("LTAI-test", "secret"),
	}}
	health, err := reader.Read(newObject(p.id, 0, minInterval))
	if err != nil {
		p.Fatal(err)
	}
	if health.Listeners != len(listenerPorts) || health.RequestID == "" {
		p.Errorf("%d listeners, RequestId %q", health.Listeners, health.RequestID)
	}
	var rows []string
	for _, b := range health.Rows {
		rows = append(rows, fmt.Sprint(b.ServerID, b.ServerIP, b.Type, b.ListenerPort, b.ListenerProtocol, b.Port, b.ServerGroupID, b.ServerHealthStatus))
	}
	return rows
}

// operator returns the rows of the operator's client, which keeps lists in state.
func (p *productTest) operator(state *servergroup.State) []string {
	p.Helper()
	endpoint, err := alicloud.ParseEndpoint(p.server.http.URL, alicloud.NetworkInternet)
	if err != nil {
		p.Fatal(err)
	}
	caller, err := alicloud.NewCaller(alicloud.CallerOptions{Endpoint: endpoint, Timeout: time.Minute, Transport: p.server.http.Client().Transport})
	if err != nil {
		p.Fatal(err)
	}
	request := alicloud.Request{
		Target: alicloud.Target{RegionID: region, LoadBalancerID: p.id}, Credentials: alicloud.Credentials{AccessKeyID: "LTAI-test", AccessKeySecret: "secret"},
	}
	found, err := p.observe(caller, &request, state)
	if err != nil {
		p.Fatal(err)
	}
	rows := make([]string, len(found.Backends))
	for i, b := range found.Backends {
		group := ""
		if found.Groups != nil {
			group = found.Groups.Rows[i].ServerGroupID
		}
		rows[i] = fmt.Sprint(b.ServerID, b.ServerIP, b.Type, b.ListenerPort, b.ListenerProtocol, b.Port, group, b.ServerHealthStatus)
	}
	return rows
}

func (p *productTest) observe(caller *alicloud.Caller, request *alicloud.Request, state *servergroup.State) (*alicloud.Observation, error) {
	permit := func(context.Context, string) (func(error), error) { return func(error) {}, nil }
	switch p.fleet.product {
	case alicloud.ProductNLB:
		return nlb.NewClient(caller).Observe(p.Context(), &servergroup.Request{Request: *request}, state, permit)
	case alicloud.ProductALB:
		return alb.NewClient(caller).Observe(p.Context(), &servergroup.Request{Request: *request}, state, permit)
	default:
		return clb.NewClient(caller).DescribeHealthStatus(p.Context(), *request)
	}
}

// The operator and the naive reader see the same, and make as many calls as the goals of
// the benchmark and docs/design/0027 say.
func TestCallsOfProducts(t *testing.T) {
	first := map[string]int{alicloud.ProductCLB: 1, alicloud.ProductNLB: 5, alicloud.ProductALB: 14}
	for _, product := range products {
		t.Run(product, func(t *testing.T) {
			p := newProductTest(t, product)
			want := map[string]int{"the first observation": first[product], "the next": productGoals[product].later, "with an abnormal backend": productGoals[product].later}
			state := &servergroup.State{}
			for _, when := range []string{"the first observation", "the next", "with an abnormal backend"} {
				if when == "with an abnormal backend" {
					p.admin(http.MethodPatch, p.fleet.flipped(p.id, true))
				}
				calls, rows := p.count(func() []string { return p.operator(state) })
				naiveCalls, naiveRows := p.count(p.naive)
				if diff := cmp.Diff(rows, naiveRows); diff != "" || len(rows) != len(listenerPorts)*listenerBackends {
					t.Errorf("%s: %d rows of the operator, and the naive reader has others:\n%s", when, len(rows), diff)
				}
				if calls != want[when] || naiveCalls != productGoals[product].naive {
					t.Errorf("%s: %d calls, and %d of the naive reader, want %d and %d", when, calls, naiveCalls, want[when], productGoals[product].naive)
				}
				abnormal := slices.ContainsFunc(rows, func(row string) bool { return strings.HasSuffix(row, "abnormal") })
				if abnormal != (when == "with an abnormal backend") {
					t.Errorf("%s: %q", when, rows)
				}
			}
		})
	}
}
