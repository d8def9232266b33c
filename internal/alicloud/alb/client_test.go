// SPDX-License-Identifier: Apache-2.0

package alb

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
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

// ingress is the ALB of an Ingress with two listeners and ten Services, over
// HTTP, and its client.
type ingress struct {
	*alicloudtest.Cloud
	t       *testing.T
	client  *Client
	state   servergroup.State
	request servergroup.Request
}

func newIngress(t *testing.T) *ingress {
	t.Helper()
	cloud := alicloudtest.NewCloud(t, true)
	var services []string
	for n := range 9 {
		id := "sgp-" + strconv.Itoa(n+1)
		services = append(services, id)
		cloud.Groups[id] = &alicloudtest.CloudGroup{Servers: []alicloudtest.CloudServer{alicloudtest.Server(10 * n), alicloudtest.Server(10*n + 1)}}
	}
	cloud.Groups["sgp-0"] = &alicloudtest.CloudGroup{Servers: []alicloudtest.CloudServer{alicloudtest.Server(200)}}
	cloud.Listeners = []*alicloudtest.CloudListener{
		{ID: "lsn-http", Protocol: "HTTP", Port: 80, Group: "sgp-0", Rules: services},
		{ID: "lsn-https", Protocol: "HTTPS", Port: 443, Group: "sgp-0", Rules: services},
	}
	server := httptest.NewServer(cloud)
	t.Cleanup(server.Close)
	endpoint, err := alicloud.ParseEndpoint(server.URL, alicloud.NetworkInternet)
	if err != nil {
		t.Fatal(err)
	}
	caller, err := alicloud.NewCaller(alicloud.CallerOptions{Endpoint: endpoint, Timeout: alicloudtest.Patience, Concurrency: 1})
	if err != nil {
		t.Fatal(err)
	}
	return &ingress{Cloud: cloud, t: t, client: NewClient(caller), request: servergroup.Request{Request: alicloud.Request{
		Target:      alicloud.Target{RegionID: alicloudtest.Region, LoadBalancerID: cloud.LoadBalancerID},
		Credentials: alicloud.Credentials{AccessKeyID: alicloudtest.KeyID, AccessKeySecret: alicloudtest.Secret},
	}}}
}

func (s *ingress) observe() *alicloud.Observation {
	s.t.Helper()
	observation, err := s.client.Observe(s.t.Context(), &s.request, &s.state, servergrouptest.Permitted)
	if err != nil {
		s.t.Fatal(err)
	}
	return observation
}

// fail demands that an observation fails with an error fit for conditions.
func (s *ingress) fail() *alicloud.Error {
	s.t.Helper()
	observation, err := s.client.Observe(s.t.Context(), &s.request, &s.state, servergrouptest.Permitted)
	failure, ok := errors.AsType[*alicloud.Error](err)
	if !ok || observation != nil {
		s.t.Fatalf("got %v, %v", observation, err)
	}
	alicloudtest.VerifyPresentable(s.t, failure)
	return failure
}

// rowsOf are the rows of a server group of a port, as SERVER STATUS REASON.
func rowsOf(observation *alicloud.Observation, port int32, group string) []string {
	var got []string
	for i, b := range observation.Backends {
		if extra := observation.Group(i); b.ListenerPort == port && extra.ServerGroupID == group {
			got = append(got, strings.TrimSpace(fmt.Sprint(b.ServerID, " ", b.ServerHealthStatus, " ", extra.Reason)))
		}
	}
	return got
}

func demand(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestIngressWithTenServices(t *testing.T) {
	s := newIngress(t)
	s.Groups["sgp-3"].Servers[1].Health = "Unhealthy"
	s.Groups["sgp-3"].Servers[1].Reason = map[string]string{"ReasonCode": "RESPONSE_MISMATCH", "ActualResponse": "502", "ExpectedResponse": "HTTP_2xx"}
	observation := s.observe()
	if len(observation.Backends) != 38 || len(observation.Groups.Listeners) != 20 || len(observation.Groups.Rows) != 38 {
		t.Fatalf("%d rows of %d server groups", len(observation.Backends), len(observation.Groups.Listeners))
	}
	for _, port := range []int32{80, 443} {
		demand(t, rowsOf(observation, port, "sgp-3"), "eni-20 normal", "eni-21 abnormal RESPONSE_MISMATCH: 502, expected HTTP_2xx")
		demand(t, rowsOf(observation, port, "sgp-2"), "eni-10 normal", "eni-11 normal")
	}
	s.Calls()
	for range 3 {
		s.observe()
		demand(t, s.Calls(), "ListServerGroups", "GetListenerHealthStatus lsn-http", "GetListenerHealthStatus lsn-https")
	}
}

// Facts, section 1.2: what one page of health counts is not documented.
func TestHealthOfSeveralPages(t *testing.T) {
	s := newIngress(t)
	want := s.observe()
	s.PageSize = 4
	for _, id := range []string{"sgp-1", "sgp-9"} {
		s.Groups[id].Servers[0].Health = "Unhealthy"
	}
	s.Calls()
	observation := s.observe()
	if len(observation.Backends) != len(want.Backends) {
		t.Errorf("%d rows, want %d", len(observation.Backends), len(want.Backends))
	}
	demand(t, rowsOf(observation, 443, "sgp-1"), "eni-0 abnormal", "eni-1 normal")
	demand(t, rowsOf(observation, 443, "sgp-9"), "eni-80 abnormal", "eni-81 normal")
	// 3 pages of 10 groups, and of each of two listeners: those are new, so that a second read confirms them.
	if calls := s.Calls(); len(calls) != 15 {
		t.Errorf("the calls %q", calls)
	}
	s.observe()
	if calls := s.Calls(); len(calls) != 9 {
		t.Errorf("the calls %q without a change", calls)
	}
}

func TestMembersThatChangeBetweenObservations(t *testing.T) {
	s := newIngress(t)
	s.observe()
	s.Calls()
	s.Groups["sgp-5"].Servers = append(s.Groups["sgp-5"].Servers, alicloudtest.Server(99))
	demand(t, rowsOf(s.observe(), 80, "sgp-5"), "eni-40 normal", "eni-41 normal", "eni-99 normal")
	demand(t, s.Calls(), "ListServerGroups", "ListServerGroupServers sgp-5", "GetListenerHealthStatus lsn-http", "GetListenerHealthStatus lsn-https")

	server := alicloudtest.Server(98)
	server.Health = "Initial"
	s.Groups["sgp-5"].Servers[0] = server // the count stays
	demand(t, rowsOf(s.observe(), 80, "sgp-5"), "eni-98 unavailable", "eni-41 normal", "eni-99 normal")
}

func TestChecksOff(t *testing.T) {
	s := newIngress(t)
	for _, g := range s.Groups {
		g.ChecksOff = true
	}
	observation := s.observe()
	demand(t, rowsOf(observation, 80, "sgp-1"), "eni-0 unavailable", "eni-1 unavailable")
	for _, l := range observation.Groups.Listeners {
		if l.HealthCheck != "off" {
			t.Errorf("got %+v", l)
		}
	}
}

// The word for off is not documented, and an absent field is not off: the list of
// groups says what it is.
func TestHealthCheckEnabled(t *testing.T) {
	for value, want := range map[any]string{"on": "on", "On": "on", true: "on", "true": "on", "off": "off", false: "off", "maybe": "on", nil: "on"} {
		s := newIngress(t)
		s.Edit = func(_ string, document map[string]any) {
			for _, list := range []string{"ListenerHealthStatus", "RuleHealthStatus"} {
				items, _ := document[list].([]any)
				for _, item := range items {
					for _, info := range item.(map[string]any)["ServerGroupInfos"].([]any) {
						info.(map[string]any)["HealthCheckEnabled"] = value
					}
				}
			}
		}
		if l := s.observe().Groups.Listeners[0]; l.HealthCheck != want {
			t.Errorf("%v: got %+v", value, l)
		}
	}
}

func TestServerWithWeightZeroIsUnused(t *testing.T) {
	s := newIngress(t)
	s.observe()
	s.Groups["sgp-1"].Servers[0].Weight = 0 // the health of ALB says so
	demand(t, rowsOf(s.observe(), 80, "sgp-1"), "eni-0 unused", "eni-1 normal")
}

func TestGroupThatGetsCopiesOnly(t *testing.T) {
	s := newIngress(t)
	s.Groups["sgp-copy"] = &alicloudtest.CloudGroup{Servers: []alicloudtest.CloudServer{alicloudtest.Server(120)}}
	s.Listeners[0].Mirror = "sgp-copy"
	observation := s.observe()
	demand(t, rowsOf(observation, 80, "sgp-copy"), "eni-120 normal")
	for _, l := range observation.Groups.Listeners {
		if l.Mirror != (l.ServerGroupID == "sgp-copy") {
			t.Errorf("got %+v", l)
		}
	}
}

func TestListenerThatRedirects(t *testing.T) {
	s := newIngress(t)
	s.Listeners[0].Group, s.Listeners[0].Rules = "", nil
	observation := s.observe()
	if l := observation.Groups.Listeners[0]; l.Port != 80 || !l.RedirectOnly || l.ServerGroupID != "" || len(rowsOf(observation, 80, "")) != 0 {
		t.Errorf("got %+v", l)
	}
}

// Only NLB's documents may have a Code with success.
func TestCodeIsAnError(t *testing.T) {
	s := newIngress(t)
	s.Edit = func(_ string, document map[string]any) { document["Success"], document["Code"] = true, "Success" }
	if failure := s.fail(); failure.Kind != alicloud.InvalidResponse {
		t.Errorf("got %v", failure)
	}
}

func TestThrottlingContinuesFromThePages(t *testing.T) {
	s, n := newIngress(t), 0
	s.Respond = func(string) (int, string) {
		n++
		if n == 12 {
			return http.StatusBadRequest, alicloudtest.ErrorDocument("Rejected.Throttling", "slow down")
		}
		return 0, ""
	}
	if failure := s.fail(); failure.Kind != alicloud.Throttled {
		t.Errorf("got %v", failure)
	}
	first := s.Calls()
	if observation := s.observe(); len(observation.Backends) != 38 {
		t.Errorf("%d rows", len(observation.Backends))
	}
	all := slices.Concat(first[:11], s.Calls())
	seen := map[string]int{}
	for _, call := range all {
		seen[call]++
		if seen[call] > 1 && !strings.HasPrefix(call, servergroup.ActionHealth) {
			t.Errorf("%s was called twice: %q", call, all)
		}
	}
}

func TestUnknownLoadBalancer(t *testing.T) {
	s := newIngress(t)
	s.Listeners = nil
	if observation := s.observe(); len(observation.Backends)+len(observation.Groups.Listeners) != 0 {
		t.Errorf("got %+v", observation)
	}
	for _, code := range []string{"ResourceNotFound.LoadBalancer", "-735"} {
		s.Respond = func(call string) (int, string) {
			if call == servergroup.ActionLoadBalancer {
				return http.StatusNotFound, alicloudtest.ErrorDocument(code, "")
			}
			return 0, ""
		}
		if failure := s.fail(); failure.Kind != alicloud.LoadBalancerNotFound || failure.Code != code {
			t.Errorf("got %v", failure)
		}
	}
}

func TestListenerThatIsRemovedBetweenListAndHealth(t *testing.T) {
	s := newIngress(t)
	s.observe()
	s.Listeners = s.Listeners[1:]
	observation := s.observe()
	if len(observation.Backends) != 19 || len(rowsOf(observation, 80, "sgp-1")) != 0 {
		t.Errorf("%d rows", len(observation.Backends))
	}
}

func TestPermissionThatIsMissing(t *testing.T) {
	for action, want := range map[string]string{
		"ListListeners":          "alb:ListListeners on *",
		"ListServerGroupServers": "alb:ListServerGroupServers on acs:alb:cn-hangzhou:*:servergroup/*",
	} {
		s := newIngress(t)
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

func TestDocumentsAboutSomethingElseAreRefused(t *testing.T) {
	for list, key := range map[string]string{"ListenerHealthStatus": "ListenerId", "Servers": "ServerGroupId"} {
		s := newIngress(t)
		s.Edit = func(_ string, document map[string]any) {
			if items, found := document[list].([]any); found {
				items[0].(map[string]any)[key] = "other"
			}
		}
		if failure := s.fail(); failure.Kind != alicloud.InvalidResponse {
			t.Errorf("got %v", failure)
		}
	}
}
