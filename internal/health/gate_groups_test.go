// SPDX-License-Identifier: Apache-2.0

package health

import (
	"strings"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// A pod behind an Ingress is normal if it is so in every server group of the Service.
func TestGateBehindAnIngress(t *testing.T) {
	const normal, web, admin = "True BackendNormal", "443/https sgp-web", "443/https sgp-admin"
	for name, test := range map[string]struct {
		groups  []string
		adding  bool // the last server
		want    string
		message string
	}{
		"normal in each group":         {[]string{web + " running on n", admin + " running on n"}, false, normal, ""},
		"abnormal in one group":        {[]string{web + " running on n", admin + " running on a"}, false, "False BackendAbnormal", "listener 443/https (server group sgp-admin)"},
		"missing in one group":         {[]string{web + " running on n", admin + " running on"}, false, "False NotRegistered", "listener 443/https (server group sgp-admin)"},
		"no check in one group":        {[]string{web + " running on n", admin + " running off u"}, false, "True HealthCheckOff", ""},
		"no result in one group":       {[]string{web + " running on n", admin + " running on u"}, false, "False HealthCheckPending", ""},
		"weight 0":                     {[]string{web + " running on n", admin + " running on 0"}, false, "False HealthCheckPending", ""},
		"weight 0, no check":           {[]string{web + " running off 0"}, false, "False HealthCheckPending", ""},
		"being added":                  {[]string{web + " running on u"}, true, "False HealthCheckPending", ""},
		"being added, no check":        {[]string{web + " running off u"}, true, "False HealthCheckPending", ""},
		"in no group":                  {nil, false, "False NotRegistered", "does not list the pod"},
		"of another port, and a group": {[]string{web + " running on n", "80/http sgp-web running on a"}, false, "False BackendAbnormal", "listener 80/http (server group sgp-web)"},
	} {
		t.Run(name, func(t *testing.T) {
			at := start.Add(time.Minute)
			observation := groupsObservation(t, at, test.groups...)
			for i := range observation.Backends {
				observation.Backends[i].ServerIP = gatePodIP
				observation.Groups.Rows[i].Adding = test.adding
			}
			env := newIngressEnv(t)
			env.now = at.Add(-30 * time.Second)
			env.observe(ownGroups("sgp-web", "sgp-admin"), test.groups...)
			o := NewGateObservation(GateInput{
				Service: "web", LoadBalancerID: "alb-1", Observation: observation, OfIngress: true,
				Scopes: []GateScope{{Listeners: env.object.Status.Listeners}},
			}).WithPods([]string{gatePodIP})
			pod := &GatePod{IPs: []string{gatePodIP}, ReadyAt: start, ReadySeenAt: start, RegisteredSeenAt: start}
			d := DecideGate(pod, &GateService{Name: "web"}, []*GateObservation{o}, at, gateTimeout)
			got := map[bool]string{true: "True ", false: "False "}[d.Open] + d.Reason
			if got != test.want || !strings.Contains(d.Message, test.message) {
				t.Errorf("got %s: %s", got, d.Message)
			}
		})
	}
}

func TestGateNamesTheControllersGate(t *testing.T) {
	o := NewGateObservation(GateInput{Service: "web", LoadBalancerID: "alb-1", Observation: groupsObservation(t, start, "443/https sgp-1 running on n"), OfIngress: true})
	pod := &GatePod{IPs: []string{gatePodIP}, ReadyAt: start, ReadySeenAt: start, RegistrationGate: "target-health.alb.k8s.alicloud"}
	d := DecideGate(pod, &GateService{Name: "web"}, []*GateObservation{o}, start, gateTimeout)
	if d.Reason != v1alpha1.GateNotRegistered || !strings.Contains(d.Message, "its gate target-health.alb.k8s.alicloud is not True") {
		t.Errorf("got %+v", d)
	}
}

// What is missing is never healthy: the group of another port of the Service is not known.
func TestGateWaitsForTheServerGroupOfEachPort(t *testing.T) {
	decide := func(lacksGroup bool, listeners ...string) GateDecision {
		observation := groupsObservation(t, start, listeners...)
		for i := range observation.Backends {
			observation.Backends[i].ServerIP = gatePodIP
		}
		o := NewGateObservation(GateInput{Service: "web", LoadBalancerID: "alb-1", Observation: observation, OfIngress: true, LacksGroup: lacksGroup, Scopes: []GateScope{{}}})
		pod := &GatePod{IPs: []string{gatePodIP}, ReadyAt: start, ReadySeenAt: start, RegisteredSeenAt: start}
		return DecideGate(pod, &GateService{Name: "web"}, []*GateObservation{o}, start, gateTimeout)
	}
	equal(t, "normal, and each port has a group", decide(false, "443/https sgp-1 running on n").Reason, v1alpha1.GateBackendNormal)
	d := decide(true, "443/https sgp-1 running on n")
	equal(t, "normal, and a port has none", d.Reason, v1alpha1.GateNotRegistered)
	equal(t, "the message", d.Message, "alb-1 has no server group with the backends of each port of Service web")
	equal(t, "abnormal, and a port has none", decide(true, "443/https sgp-1 running on a").Reason, v1alpha1.GateBackendAbnormal)
}

// The members of a group may be of an observation before the pod: its address was then another pod's.
func TestGateNeedsMembersThatAreNewerThanThePod(t *testing.T) {
	pod := &GatePod{IPs: []string{gatePodIP}, ReadyAt: start, ReadySeenAt: start, RegisteredSeenAt: start}
	for membersAt, want := range map[time.Duration]string{-time.Second: v1alpha1.GateWaitingForObservation, 0: v1alpha1.GateBackendNormal, time.Minute: v1alpha1.GateBackendNormal} {
		observation := groupsObservation(t, start.Add(time.Second), "443/https sgp-1 running on n", "443/https sgp-2 running on n")
		for i := range observation.Backends {
			observation.Backends[i].ServerIP = gatePodIP
		}
		observation.Groups.Listeners[1].MembersAt = start.Add(membersAt)
		o := NewGateObservation(GateInput{Service: "web", LoadBalancerID: "alb-1", Observation: observation, OfIngress: true, Scopes: []GateScope{{}}})
		d := DecideGate(pod, &GateService{Name: "web"}, []*GateObservation{o}, start.Add(time.Second), gateTimeout)
		equal(t, "members of "+membersAt.String(), d.Reason, want)
	}
}
