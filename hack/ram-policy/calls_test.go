// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/alicloud/alb"
	"github.com/lbhealth/slb-health-operator/internal/alicloud/alicloudtest"
	"github.com/lbhealth/slb-health-operator/internal/alicloud/clb"
	"github.com/lbhealth/slb-health-operator/internal/alicloud/nlb"
	"github.com/lbhealth/slb-health-operator/internal/alicloud/servergroup"
	"github.com/lbhealth/slb-health-operator/internal/alicloud/servergroup/servergrouptest"
)

// refusingCloud is one load balancer, whose API refuses one action.
type refusingCloud struct {
	id      string
	handler http.Handler
	// observe makes each call of the product's client at least once, and returns
	// the failures.
	observe func(context.Context, *alicloud.Caller) []error
	// refused is the action that is refused; "" for none.
	refused string
	called  map[string]bool
}

// RoundTrip implements http.RoundTripper.
func (c *refusingCloud) RoundTrip(request *http.Request) (*http.Response, error) {
	action := request.URL.Query().Get("Action")
	c.called[action] = true
	if action == c.refused {
		return alicloudtest.Response(request, http.StatusForbidden, alicloudtest.ErrorDocument("Forbidden.RAM", "no")), nil
	}
	recorder := httptest.NewRecorder()
	c.handler.ServeHTTP(recorder, request)
	return alicloudtest.Response(request, recorder.Code, recorder.Body.String()), nil
}

// failures are those of the calls while one action is refused; "" for none.
func (c *refusingCloud) failures(t *testing.T, refused string) []error {
	t.Helper()
	c.refused = refused
	caller, err := alicloud.NewCaller(alicloud.CallerOptions{Timeout: alicloudtest.Patience, Transport: c})
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(c.observe(t.Context(), caller), func(err error) bool { return err == nil })
}

var testCredentials = alicloud.Credentials{AccessKeyID: alicloudtest.KeyID, AccessKeySecret: alicloudtest.Secret}

func newCLB() *refusingCloud {
	const id = alicloudtest.LoadBalancer
	responses := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := alicloudtest.OneRow
		if r.URL.Query().Get("Action") != "DescribeHealthStatus" {
			body = `{"RequestId":"R-1","MaxResults":100,"TotalCount":0,"Listeners":[]}`
		}
		alicloudtest.Serve(http.StatusOK, body)(w, r)
	})
	return &refusingCloud{id: id, called: map[string]bool{}, handler: responses, observe: func(ctx context.Context, caller *alicloud.Caller) []error {
		client := clb.NewClient(caller)
		_, failed := client.DescribeHealthStatus(ctx, alicloud.Request{
			Target: alicloud.Target{RegionID: alicloudtest.Region, LoadBalancerID: id}, Credentials: testCredentials,
		})
		_, notListed := client.DescribeLoadBalancerListeners(ctx, alicloud.ListenersRequest{
			RegionID: alicloudtest.Region, LoadBalancerIDs: []string{id}, Credentials: testCredentials,
		})
		return []error{failed, notListed}
	}}
}

// newGroups is a load balancer of NLB or ALB. A stopped listener makes each
// observation list the listeners, and the second one counts the members.
func newGroups(t *testing.T, isALB bool, newObserver func(*alicloud.Caller) *servergroup.Observer) *refusingCloud {
	t.Helper()
	cloud := alicloudtest.NewCloud(t, isALB)
	for _, id := range []string{"sgp-1", "sgp-2"} {
		cloud.Groups[id] = &alicloudtest.CloudGroup{Servers: []alicloudtest.CloudServer{alicloudtest.Server(1)}}
	}
	listeners := []*alicloudtest.CloudListener{
		{ID: "lsn-1", Protocol: "TCP", Port: 80, Group: "sgp-1"}, {ID: "lsn-2", Protocol: "TCP", Port: 81, Group: "sgp-2"},
		{ID: "lsn-3", Protocol: "TCP", Port: 82, Status: "Stopped"},
	}
	request := servergroup.Request{Request: alicloud.Request{
		Target: alicloud.Target{RegionID: alicloudtest.Region, LoadBalancerID: cloud.LoadBalancerID}, Credentials: testCredentials,
	}}
	return &refusingCloud{id: cloud.LoadBalancerID, called: map[string]bool{}, handler: cloud, observe: func(ctx context.Context, caller *alicloud.Caller) []error {
		var state servergroup.State
		observer, failures := newObserver(caller), make([]error, 0, 3)
		for _, listeners := range [][]*alicloudtest.CloudListener{listeners, listeners, nil} { // without any, it may not exist
			cloud.Listeners = listeners
			_, err := observer.Observe(ctx, &request, &state, servergrouptest.Permitted)
			failures = append(failures, err)
		}
		return failures
	}}
}

// TestPolicyAllowsTheCallsOfTheClients refuses one action after another: the
// policy must allow what the message then names, and nothing that is not called.
func TestPolicyAllowsTheCallsOfTheClients(t *testing.T) {
	for name, cloud := range map[string]*refusingCloud{
		"clb": newCLB(),
		"nlb": newGroups(t, false, func(caller *alicloud.Caller) *servergroup.Observer { return nlb.NewClient(caller).Observer }),
		"alb": newGroups(t, true, func(caller *alicloud.Caller) *servergroup.Observer { return alb.NewClient(caller).Observer }),
	} {
		t.Run(name, func(t *testing.T) {
			if failures := cloud.failures(t, ""); len(failures) > 0 {
				t.Fatal(failures)
			}
			var advised []string
			for action := range cloud.called {
				for _, err := range cloud.failures(t, action) {
					failure, ok := errors.AsType[*alicloud.Error](err)
					if !ok || failure.Kind != alicloud.Forbidden {
						t.Fatalf("%s: %v", action, err)
					}
					_, permission, _ := strings.Cut(failure.Message, "grant the RAM permission ")
					permission, _, _ = strings.Cut(permission, " to the operator's own identity")
					advised = append(advised, permission)
				}
			}
			var out bytes.Buffer
			if err := run(nil, strings.NewReader(list(object("prod", alicloudtest.Region, cloud.id, ""))), &out); err != nil {
				t.Fatal(err)
			}
			p := decode(t, out.Bytes())
			granted := p.grants()
			slices.Sort(granted)
			slices.Sort(advised)
			if diff := cmp.Diff(granted, slices.Compact(advised)); diff != "" {
				t.Errorf("policy -, messages +:\n%s", diff)
			}
		})
	}
}
