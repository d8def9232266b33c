// SPDX-License-Identifier: Apache-2.0

package nlb

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/alicloud/alicloudtest"
	"github.com/lbhealth/slb-health-operator/internal/alicloud/servergroup"
	"github.com/lbhealth/slb-health-operator/internal/alicloud/servergroup/servergrouptest"
)

// TestMain hides the developer's own proxies from the tests.
func TestMain(m *testing.M) {
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasSuffix(strings.ToUpper(name), "_PROXY") || name == "DEBUG" {
			_ = os.Unsetenv(name)
		}
	}
	os.Exit(m.Run())
}

// service is the NLB of a Service with two ports, over HTTP, and its client.
type service struct {
	*alicloudtest.Cloud
	t       *testing.T
	client  *Client
	state   servergroup.State
	request servergroup.Request
}

func newService(t *testing.T) *service {
	t.Helper()
	cloud := alicloudtest.NewCloud(t, false)
	cloud.Listeners = []*alicloudtest.CloudListener{
		{ID: "lsn-a@80", Protocol: "TCP", Port: 80, Group: "sgp-1"},
		{ID: "lsn-b@443", Protocol: "TCPSSL", Port: 443, Group: "sgp-2"},
	}
	cloud.Groups["sgp-1"] = &alicloudtest.CloudGroup{Servers: []alicloudtest.CloudServer{alicloudtest.Server(1), alicloudtest.Server(2)}}
	cloud.Groups["sgp-2"] = &alicloudtest.CloudGroup{Servers: []alicloudtest.CloudServer{alicloudtest.Server(1), alicloudtest.Server(2)}}
	server := httptest.NewServer(cloud)
	t.Cleanup(server.Close)
	endpoint, err := alicloud.ParseEndpoint(server.URL, alicloud.NetworkInternet)
	if err != nil {
		t.Fatal(err)
	}
	caller, err := alicloud.NewCaller(alicloud.CallerOptions{
		Endpoints: map[string]alicloud.Endpoint{alicloud.ProductNLB: endpoint}, Timeout: alicloudtest.Patience, Concurrency: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &service{Cloud: cloud, t: t, client: NewClient(caller), request: servergroup.Request{Request: alicloud.Request{
		Target:      alicloud.Target{RegionID: alicloudtest.Region, LoadBalancerID: cloud.LoadBalancerID},
		Credentials: alicloud.Credentials{AccessKeyID: alicloudtest.KeyID, AccessKeySecret: alicloudtest.Secret, SecurityToken: alicloudtest.Token},
	}}}
}

func (s *service) observe() *alicloud.Observation {
	s.t.Helper()
	observation, err := s.client.Observe(s.t.Context(), &s.request, &s.state, servergrouptest.Permitted)
	if err != nil {
		s.t.Fatal(err)
	}
	return observation
}

// fail demands that an observation fails with an error fit for conditions.
func (s *service) fail() *alicloud.Error {
	s.t.Helper()
	observation, err := s.client.Observe(s.t.Context(), &s.request, &s.state, servergrouptest.Permitted)
	failure, ok := errors.AsType[*alicloud.Error](err)
	if !ok || observation != nil {
		s.t.Fatalf("got %v, %v", observation, err)
	}
	alicloudtest.VerifyPresentable(s.t, failure)
	return failure
}

// demand demands the rows, as PORT PROTOCOL GROUP SERVER STATUS.
func demand(t *testing.T, observation *alicloud.Observation, want ...string) {
	t.Helper()
	var got []string
	for i, b := range observation.Backends {
		got = append(got, fmt.Sprint(b.ListenerPort, " ", b.ListenerProtocol, " ", observation.Group(i).ServerGroupID, " ", b.ServerID, " ", b.ServerHealthStatus))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestServiceWithTwoPorts(t *testing.T) {
	s := newService(t)
	s.Groups["sgp-2"].Servers[1].Health = "Unhealthy"
	s.Groups["sgp-2"].Servers[1].Reason = map[string]string{"ReasonCode": "HTTP_CODE_NOT_MATCH"}
	observation := s.observe()
	demand(t, observation, "80 tcp sgp-1 eni-1 normal", "80 tcp sgp-1 eni-2 normal", "443 tcpssl sgp-2 eni-1 normal", "443 tcpssl sgp-2 eni-2 abnormal")
	b := observation.Backends[3]
	if b.ServerIP != "10.9.0.2" || b.Type != "eni" || b.Port != 8080 || observation.Group(3).Reason != "HTTP_CODE_NOT_MATCH" || observation.RequestID != "R-1" {
		t.Errorf("got %+v, %+v", b, observation.Group(3))
	}
	if calls := s.Calls(); len(calls) != 5 {
		t.Errorf("the first calls %q", calls)
	}
	s.observe()
	want := []string{"ListServerGroupServers sgp-1", "ListServerGroupServers sgp-2", "GetListenerHealthStatus lsn-a@80", "GetListenerHealthStatus lsn-b@443"}
	if calls := s.Calls(); !slices.Equal(calls, want) {
		t.Errorf("the calls %q, want %q", calls, want)
	}
}

// Facts, section 1.3: the health of NLB no longer has Unused, so the weight of the
// member decides.
func TestServerWithWeightZeroIsUnused(t *testing.T) {
	s := newService(t)
	s.observe()
	s.Groups["sgp-1"].Servers[0].Weight = 0
	demand(t, s.observe(), "80 tcp sgp-1 eni-1 unused", "80 tcp sgp-1 eni-2 normal", "443 tcpssl sgp-2 eni-1 normal", "443 tcpssl sgp-2 eni-2 normal")
}

func TestMissingWeightIsNotZero(t *testing.T) {
	s := newService(t)
	s.Edit = func(call string, document map[string]any) {
		if strings.HasPrefix(call, servergroup.ActionMembers) {
			for _, server := range document["Servers"].([]any) {
				delete(server.(map[string]any), "Weight")
			}
		}
	}
	if b := s.observe().Backends[0]; b.ServerHealthStatus != "normal" {
		t.Errorf("got %+v", b)
	}
}

func TestMembersOfEachStatus(t *testing.T) {
	s := newService(t)
	s.Listeners = s.Listeners[:1]
	for i, status := range []string{"Adding", "Configuring", "Removing", "Available"} {
		server := alicloudtest.Server(i + 1)
		server.Status = status
		s.Groups["sgp-1"].Servers = append(s.Groups["sgp-1"].Servers[:i:i], server)
	}
	demand(t, s.observe(), "80 tcp sgp-1 eni-1 unavailable", "80 tcp sgp-1 eni-2 unavailable", "80 tcp sgp-1 eni-4 normal")
}

func TestChecksOff(t *testing.T) {
	s := newService(t)
	s.Listeners = s.Listeners[:1]
	s.Groups["sgp-1"].ChecksOff = true
	observation := s.observe()
	demand(t, observation, "80 tcp sgp-1 eni-1 unavailable", "80 tcp sgp-1 eni-2 unavailable")
	if l := observation.Groups.Listeners[0]; l.HealthCheck != "off" || l.Status != "running" {
		t.Errorf("got %+v", l)
	}
}

// Facts, section 1.3: the SDK reads an absent bool as false, which would be checks
// that are off.
func TestAbsentFieldsOfAGroup(t *testing.T) {
	for field, want := range map[string]struct{ check, status string }{
		"HeathCheckEnabled": {"on", "normal"},      // as the list of groups says
		"NonNormalServers":  {"on", "unavailable"}, // what is missing is not normal
	} {
		t.Run(field, func(t *testing.T) {
			s := newService(t)
			s.Edit = editGroups(func(info map[string]any) { delete(info, field) })
			observation := s.observe()
			if l, b := observation.Groups.Listeners[0], observation.Backends[0]; l.HealthCheck != want.check || b.ServerHealthStatus != want.status {
				t.Errorf("got %+v, %+v", l, b)
			}
		})
	}
	t.Run("null is an empty list", func(t *testing.T) {
		s := newService(t)
		s.Edit = editGroups(func(info map[string]any) { info["NonNormalServers"] = nil })
		if b := s.observe().Backends[0]; b.ServerHealthStatus != "normal" {
			t.Errorf("got %+v", b)
		}
	})
	t.Run("the spelling is corrected", func(t *testing.T) {
		s := newService(t)
		s.Edit = editGroups(func(info map[string]any) {
			delete(info, "HeathCheckEnabled")
			info["HealthCheckEnabled"] = false
		})
		if l := s.observe().Groups.Listeners[0]; l.HealthCheck != "off" {
			t.Errorf("got %+v", l)
		}
	})
}

// editGroups edits the server groups of a health response.
func editGroups(edit func(info map[string]any)) func(string, map[string]any) {
	return func(call string, document map[string]any) {
		if !strings.HasPrefix(call, servergroup.ActionHealth) {
			return
		}
		for _, l := range document["ListenerHealthStatus"].([]any) {
			for _, info := range l.(map[string]any)["ServerGroupInfos"].([]any) {
				edit(info.(map[string]any))
			}
		}
	}
}

// Facts, section 1.5: ListenerPort is 0 for a range of ports.
func TestListenerWithARangeOfPorts(t *testing.T) {
	s := newService(t)
	s.Listeners[1] = &alicloudtest.CloudListener{ID: "lsn-c@9000", Protocol: "UDP", StartPort: 9000, EndPort: 9100, Group: "sgp-2"}
	s.request.Scope = alicloud.Scope{ListenerPort: 9042}
	observation := s.observe()
	demand(t, observation, "9000 udp sgp-2 eni-1 normal", "9000 udp sgp-2 eni-2 normal")
	if l := observation.Groups.Listeners; len(l) != 1 || l[0].EndPort != 9100 {
		t.Errorf("got %+v", l)
	}
	if calls := s.Calls(); len(calls) != 3 {
		t.Errorf("the calls %q", calls)
	}
}

func TestGroupOfTwoListenersIsReadOnce(t *testing.T) {
	s := newService(t)
	s.Listeners[1].Group = "sgp-1"
	s.Groups["sgp-1"].Servers[0].Health = "Initial"
	demand(t, s.observe(), "80 tcp sgp-1 eni-1 unavailable", "80 tcp sgp-1 eni-2 normal", "443 tcpssl sgp-1 eni-1 unavailable", "443 tcpssl sgp-1 eni-2 normal")
	if calls := s.Calls(); len(calls) != 4 {
		t.Errorf("the calls %q", calls)
	}
}

// Facts, section 1.3: an NLB document may have a Code with "Success": true.
func TestCodeWithSuccess(t *testing.T) {
	for name, test := range map[string]struct {
		fields  map[string]any
		refused bool
	}{
		"success with a code":    {map[string]any{"Success": true, "Code": "Success", "HttpStatusCode": 200}, false},
		"success without a code": {map[string]any{"Success": true}, false},
		"a code alone":           {map[string]any{"Code": "Throttling"}, true},
		"no success":             {map[string]any{"Success": false}, true},
		"no success, and a code": {map[string]any{"Success": false, "Code": "SystemBusy"}, true},
		"success in words":       {map[string]any{"Success": "yes", "Code": "OK"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			s.Edit = func(_ string, document map[string]any) {
				maps.Copy(document, test.fields)
			}
			if !test.refused {
				s.observe()
			} else if failure := s.fail(); failure.Kind != alicloud.InvalidResponse {
				t.Errorf("got %v", failure)
			}
		})
	}
}

func TestThrottlingOnTheThirdCall(t *testing.T) {
	s, n := newService(t), 0
	s.Respond = func(string) (int, string) {
		n++
		if n == 3 {
			return http.StatusBadRequest, alicloudtest.ErrorDocument("Throttling.User", "slow down")
		}
		return 0, ""
	}
	if failure := s.fail(); failure.Kind != alicloud.Throttled {
		t.Errorf("got %v", failure)
	}
	s.Calls()
	demand(t, s.observe(), "80 tcp sgp-1 eni-1 normal", "80 tcp sgp-1 eni-2 normal", "443 tcpssl sgp-2 eni-1 normal", "443 tcpssl sgp-2 eni-2 normal")
	want := []string{"ListServerGroupServers sgp-2", "GetListenerHealthStatus lsn-a@80", "GetListenerHealthStatus lsn-b@443"}
	if calls := s.Calls(); !slices.Equal(calls, want) {
		t.Errorf("the calls %q, want %q", calls, want)
	}
}

// The API's codes are in lower case: ResourceNotFound.listener.
func TestListenerThatIsRemovedBetweenListAndHealth(t *testing.T) {
	s := newService(t)
	s.Respond = func(call string) (int, string) {
		if call == "GetListenerHealthStatus lsn-a@80" && len(s.Listeners) == 2 {
			s.Listeners = s.Listeners[1:]
		}
		return 0, ""
	}
	s.observe()
	demand(t, s.observe(), "443 tcpssl sgp-2 eni-1 normal", "443 tcpssl sgp-2 eni-2 normal")
}

func TestUnknownLoadBalancer(t *testing.T) {
	s := newService(t)
	s.request.Target.LoadBalancerID = "nlb-unknown"
	failure := s.fail()
	if failure.Kind != alicloud.LoadBalancerNotFound || failure.Code != "ResourceNotFound.loadBalancer" || !strings.Contains(failure.Message, "nlb-unknown") {
		t.Errorf("got %v", failure)
	}
}

func TestPermissionThatIsMissing(t *testing.T) {
	for action, want := range map[string]string{
		"ListListeners":           "nlb:ListListeners on *",
		"ListServerGroupServers":  "nlb:ListServerGroupServers on acs:nlb:cn-hangzhou:*:serverGroup/*",
		"GetListenerHealthStatus": "nlb:GetListenerHealthStatus on acs:nlb:cn-hangzhou:*:loadbalancer/nlb-",
	} {
		s := newService(t)
		s.Respond = func(call string) (int, string) {
			if strings.HasPrefix(call+" ", action+" ") {
				return http.StatusForbidden, alicloudtest.ErrorDocument("Forbidden.RAM", "")
			}
			return 0, ""
		}
		if failure := s.fail(); failure.Kind != alicloud.Forbidden || !strings.Contains(failure.Message, want) {
			t.Errorf("got %q, want %q", failure.Message, want)
		}
	}
}

func TestWithoutAPermitThereIsNoCall(t *testing.T) {
	s, queued := newService(t), errors.New("queued")
	var released []error
	permits := 0
	permit := func(context.Context, string) (func(error), error) {
		permits--
		if permits < 0 {
			return nil, queued
		}
		return func(err error) { released = append(released, err) }, nil
	}
	for n := range 5 {
		permits = 1
		observation, err := s.client.Observe(t.Context(), &s.request, &s.state, permit)
		if done := n == 4; done != (err == nil) || done != (observation != nil) || !done && !errors.Is(err, queued) {
			t.Fatalf("permit %d: %v, %v", n+1, observation, err)
		}
	}
	if calls := s.Calls(); len(calls) != 5 || len(released) != 5 || slices.ContainsFunc(released, func(err error) bool { return err != nil }) {
		t.Errorf("%q, released with %v", calls, released)
	}
}

// A server that is not normal and cannot be identified would count as normal.
func TestResponsesThatAreRefused(t *testing.T) {
	health := func(servers any) func(string, map[string]any) {
		return editGroups(func(info map[string]any) { info["NonNormalServers"] = servers })
	}
	item := func(list, key string, value any) func(string, map[string]any) {
		return func(_ string, document map[string]any) {
			if items, found := document[list].([]any); found && len(items) > 0 {
				items[0].(map[string]any)[key] = value
			}
		}
	}
	for name, edit := range map[string]func(string, map[string]any){
		"no RequestId":                   func(_ string, document map[string]any) { delete(document, "RequestId") },
		"no list of listeners":           func(_ string, document map[string]any) { delete(document, "Listeners") },
		"no list of members":             func(_ string, document map[string]any) { delete(document, "Servers") },
		"no list of health":              func(_ string, document map[string]any) { delete(document, "ListenerHealthStatus") },
		"a server without a name":        health([]any{map[string]any{"Status": "Unhealthy", "Port": 80}}),
		"a server with a strange port":   health([]any{map[string]any{"ServerId": "i-1", "Port": "http"}}),
		"servers that are no list":       health(map[string]any{}),
		"a member without a name":        item("Servers", "ServerId", ""),
		"a member with a strange port":   item("Servers", "Port", 70000),
		"a listener without an id":       item("Listeners", "ListenerId", ""),
		"a listener without ports":       item("Listeners", "ListenerPort", 0),
		"a listener of no one":           item("Listeners", "LoadBalancerId", ""),
		"a listener with a long field":   item("Listeners", "ListenerProtocol", strings.Repeat("x", 5000)),
		"the health of another listener": item("ListenerHealthStatus", "ListenerId", "lsn-other@80"),
		"members of another group":       item("Servers", "ServerGroupId", "sgp-other"),
		"a key as a field":               item("Servers", "ServerId", alicloudtest.Secret),
		"the same page again":            func(_ string, document map[string]any) { document["NextToken"] = "again" },
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			if name == "a member without a name" {
				s.Groups["sgp-1"].Servers[0].IP = ""
			}
			s.Edit = edit
			if failure := s.fail(); failure.Kind != alicloud.InvalidResponse {
				t.Errorf("got %v", failure)
			}
		})
	}
}
