// SPDX-License-Identifier: Apache-2.0

package health

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

const (
	gatePodIP   = "10.9.0.2"
	gateTimeout = 10 * time.Minute
)

// gateCase is a pod whose containers became ready at start, and which the cloud
// controller manager registered then, and what is known when elapsed has passed.
type gateCase struct {
	elapsed time.Duration
	// rows are "443 10.9.0.2 normal", "443 node normal" or "443 10.9.0.2 normal 9090",
	// of an observation that was requested a second before.
	rows []string
	// observations are how many equal observations there were, 10 s apart; default 1; -1: none.
	observations int
	// requested moves the request of the observation.
	requested time.Duration
	pod       func(*GatePod)
	service   func(*GateService)
	input     func(*GateInput)
	timeout   time.Duration
	want      string
}

func (c *gateCase) decide() GateDecision {
	now := start.Add(c.elapsed)
	pod := &GatePod{IPs: []string{gatePodIP}, ReadyAt: start, ReadySeenAt: start, RegisteredSeenAt: start}
	if c.pod != nil {
		c.pod(pod)
	}
	service := &GateService{Name: "web"}
	if c.service != nil {
		c.service(service)
	}
	timeout := gateTimeout
	if c.timeout != 0 {
		timeout = max(c.timeout, 0)
	}
	return DecideGate(pod, service, []*GateObservation{c.observe(now)}, now, timeout)
}

func (c *gateCase) observe(now time.Time) *GateObservation {
	var last *GateObservation
	for i := range max(c.observations, 1) {
		at := now.Add(-10 * time.Second * time.Duration(max(c.observations, 1)-1-i))
		input := gateInput(at, c.rows)
		if input.Observation.RequestedAt = at.Add(-time.Second + c.requested); c.input != nil {
			c.input(&input)
		}
		input.Previous = last
		last = NewGateObservation(input).WithPods([]string{gatePodIP, "10.9.0.1"})
	}
	if c.observations < 0 {
		return nil
	}
	return last
}

// gateInput is an observation with the listeners of its rows, and the ports 443 and 80.
func gateInput(at time.Time, rows []string) GateInput {
	observation := &alicloud.Observation{At: at}
	for _, row := range rows {
		b := alicloud.Backend{ServerID: "eni-1", Type: TypeENI, ListenerProtocol: "https", Port: 8080}
		fields := strings.Fields(row)
		_, _ = fmt.Sscan(fields[0], &b.ListenerPort)
		if b.ServerIP, b.ServerHealthStatus = fields[1], fields[2]; b.ServerIP == "node" {
			b.ServerID, b.ServerIP, b.Type = "i-1", "10.1.0.1", "ecs"
		}
		if b.ListenerPort == 80 {
			b.ListenerProtocol = "http"
		}
		if len(fields) > 3 {
			_, _ = fmt.Sscan(fields[3], &b.Port)
		}
		observation.Backends = append(observation.Backends, b)
	}
	return GateInput{
		Service: "web", LoadBalancerID: "lb-1", Observation: observation,
		Scopes: []GateScope{{Listeners: listenersOf(rowsOf(observation, alicloud.Scope{}))}},
		Ports:  []ServicePort{{Port: 443, Protocol: "https"}, {Port: 80, Protocol: "http"}},
	}
}

func (d GateDecision) String() string {
	if d.Reason == "" {
		return "-"
	}
	return fmt.Sprint(d.Open, " ", d.Reason)
}

// listed adds a listener, or replaces the one of the port.
func listed(l v1alpha1.ListenerStatus) func(*GateInput) {
	return func(input *GateInput) {
		listeners := &input.Scopes[0].Listeners
		for i := range *listeners {
			if have := &(*listeners)[i]; have.Port == l.Port {
				have.State, have.HealthCheck = l.State, l.HealthCheck
				return
			}
		}
		*listeners = append(*listeners, l)
	}
}

// untyped removes the types of rows, which a response may lack.
func untyped(input *GateInput) {
	for i := range input.Observation.Backends {
		input.Observation.Backends[i].Type = ""
	}
}

func unready(p *GatePod) {
	p.ReadyAt, p.ReadySeenAt, p.RegisteredSeenAt = time.Time{}, time.Time{}, time.Time{}
}
func unregistered(p *GatePod) { p.RegisteredSeenAt = time.Time{} }
func hourly(s *GateService)   { s.Interval = time.Hour }
func failing(s *GateService)  { s.Unknown = "Throttled: the API refused the call" }

func reasonAt(reason string, at time.Duration) func(*GatePod) {
	return func(p *GatePod) { p.Reason, p.ObservedAt = reason, start.Add(at) }
}

func notObserved(since time.Duration) func(*GateService) {
	return func(s *GateService) {
		s.NotObserved, s.NotObservedSince = "Service web does not exist", start.Add(since)
	}
}

func TestGateDecision(t *testing.T) {
	normal := []string{"443 10.9.0.2 normal", "443 10.9.0.1 normal"}
	unavailable := []string{"443 10.9.0.2 unavailable", "443 10.9.0.1 unavailable"}
	nodes := []string{"443 node normal"}
	for name, c := range map[string]gateCase{
		"normal":               {elapsed: 5 * time.Second, rows: normal, want: "true BackendNormal"},
		"containers not ready": {elapsed: 5 * time.Second, rows: normal, pod: unready, want: "-"},
		"requested before the containers were ready": {elapsed: 5 * time.Second, rows: normal, requested: -5 * time.Second, want: "false WaitingForObservation"},
		"requested when the containers became ready": {elapsed: 5 * time.Second, rows: normal, requested: -4 * time.Second, want: "true BackendNormal"},
		"the process has not seen it ready":          {elapsed: 5 * time.Second, rows: normal, pod: func(p *GatePod) { p.ReadySeenAt = time.Time{} }, want: "false WaitingForObservation"},
		"not registered by the cloud controller":     {elapsed: 5 * time.Second, rows: normal, pod: unregistered, want: "false NotRegistered"},
		"registered after the request":               {elapsed: 5 * time.Second, rows: normal, pod: func(p *GatePod) { p.RegisteredSeenAt = start.Add(4500 * time.Millisecond) }, want: "false WaitingForObservation"},
		"registered before the request":              {elapsed: 5 * time.Second, rows: normal, pod: func(p *GatePod) { p.RegisteredSeenAt = start.Add(4 * time.Second) }, want: "true BackendNormal"},
		"no rows":                                    {elapsed: 5 * time.Second, want: "false NotRegistered"},
		"not among the rows":                         {elapsed: 5 * time.Second, rows: normal[1:], want: "false NotRegistered"},
		"not registered for an hour":                 {elapsed: time.Hour, rows: normal[1:], want: "false NotRegistered"},
		"abnormal":                                   {elapsed: 5 * time.Second, rows: []string{"443 10.9.0.2 abnormal"}, want: "false BackendAbnormal"},
		"abnormal for an hour":                       {elapsed: time.Hour, rows: []string{"443 10.9.0.2 abnormal"}, want: "false BackendAbnormal"},
		"another pod is abnormal":                    {elapsed: 5 * time.Second, rows: []string{"443 10.9.0.1 abnormal", "443 10.9.0.2 normal"}, want: "true BackendNormal"},
		"no result yet":                              {elapsed: 5 * time.Second, rows: []string{"443 10.9.0.2 unavailable", "443 10.9.0.1 normal"}, want: "false HealthCheckPending"},
		"a status of the future":                     {elapsed: 5 * time.Second, rows: []string{"443 10.9.0.2 draining", "443 10.9.0.1 normal"}, want: "false HealthCheckPending"},
		"no result for an hour, another pod has one": {elapsed: time.Hour, rows: []string{"443 10.9.0.2 unavailable", "443 10.9.0.1 normal"}, observations: 300, want: "false HealthCheckPending"},
		"one port of the pod is abnormal":            {elapsed: 5 * time.Second, rows: append([]string{"443 10.9.0.2 abnormal 9090"}, normal...), want: "false BackendAbnormal"},
		"abnormal before not registered":             {elapsed: 5 * time.Second, rows: []string{"443 10.9.0.2 abnormal", "80 10.9.0.1 normal"}, want: "false BackendAbnormal"},
		"an IPv6 address in another form":            {elapsed: 5 * time.Second, rows: []string{"443 2408:0::8 normal"}, pod: func(p *GatePod) { p.IPs = []string{"2408::8"} }, want: "true BackendNormal"},

		"a second listener of the Service lacks it":  {elapsed: 5 * time.Second, rows: append([]string{"80 10.9.0.7 normal"}, normal...), want: "false NotRegistered"},
		"an empty listener of the Service":           {elapsed: 5 * time.Second, rows: normal, input: listed(v1alpha1.ListenerStatus{Port: 80, Protocol: "http"}), want: "false NotRegistered"},
		"an empty listener, and rows without a port": {elapsed: 5 * time.Second, rows: append([]string{"0 10.9.0.2 normal"}, normal...), input: listed(v1alpha1.ListenerStatus{Port: 80, Protocol: "http"}), want: "true BackendNormal"},
		"a listener that redirects":                  {elapsed: 5 * time.Second, rows: normal, input: listed(v1alpha1.ListenerStatus{Port: 80, Protocol: "http", State: v1alpha1.ListenerRedirect}), want: "true BackendNormal"},
		"a stopped listener of the Service":          {elapsed: 5 * time.Second, rows: normal, input: listed(v1alpha1.ListenerStatus{Port: 80, Protocol: "http", State: v1alpha1.ListenerStopped}), want: "false NotRegistered"},
		"a listener of another Service":              {elapsed: 5 * time.Second, rows: append([]string{"8443 10.9.0.7 normal"}, normal...), want: "true BackendNormal"},
		"another listener that lists its pods":       {elapsed: 5 * time.Second, rows: append([]string{"8443 10.9.0.1 normal"}, normal...), want: "false NotRegistered"},
		"another listener where it is abnormal":      {elapsed: 5 * time.Second, rows: append([]string{"8443 10.9.0.2 abnormal"}, normal...), want: "false BackendAbnormal"},
		"a stopped one that is not of the Service":   {elapsed: 5 * time.Second, rows: append([]string{"8443 10.9.0.2 unavailable"}, normal...), input: listed(v1alpha1.ListenerStatus{Port: 8443, State: v1alpha1.ListenerStopped}), want: "true BackendNormal"},
		"outside of what the objects observe": {elapsed: 5 * time.Second, rows: append([]string{"80 10.9.0.2 abnormal"}, normal...), input: func(i *GateInput) {
			i.Scopes[0].Scope.ListenerPort, i.Scopes[0].Listeners = 443, i.Scopes[0].Listeners[1:]
		}, want: "true BackendNormal"},
		"ports are not known": {elapsed: 5 * time.Second, rows: append([]string{"80 10.9.0.7 normal"}, normal...), input: func(i *GateInput) { i.Ports = nil }, want: "true BackendNormal"},

		"health check off":                      {elapsed: 5 * time.Second, rows: unavailable, input: listed(v1alpha1.ListenerStatus{Port: 443, HealthCheck: v1alpha1.HealthCheckDisabled}), want: "true HealthCheckOff"},
		"health check off on one of two":        {elapsed: 5 * time.Second, rows: append([]string{"80 10.9.0.2 abnormal", "80 10.9.0.1 normal"}, unavailable...), input: listed(v1alpha1.ListenerStatus{Port: 443, HealthCheck: v1alpha1.HealthCheckDisabled}), want: "false BackendAbnormal"},
		"health check on, unavailable for long": {elapsed: time.Hour, rows: unavailable, observations: 300, input: listed(v1alpha1.ListenerStatus{Port: 443, HealthCheck: v1alpha1.HealthCheckEnabled}), want: "false HealthCheckPending"},
		"all unavailable for 50 s":              {elapsed: 2 * time.Minute, rows: unavailable, observations: 6, want: "false HealthCheckPending"},
		"all unavailable for 60 s":              {elapsed: 2 * time.Minute, rows: unavailable, observations: 7, want: "true HealthCheckOff"},

		"backends are nodes":                      {elapsed: time.Minute, rows: nodes, observations: 7, want: "true BackendsAreNodes"},
		"backends are nodes, abnormal":            {elapsed: time.Minute, rows: []string{"443 node abnormal"}, observations: 7, want: "true BackendsAreNodes"},
		"backends are nodes for 50 s":             {elapsed: 2 * time.Minute, rows: nodes, observations: 6, want: "false NotRegistered"},
		"ready for less than a minute":            {elapsed: 59 * time.Second, rows: nodes, observations: 30, want: "false NotRegistered"},
		"nodes, and not registered":               {elapsed: 2 * time.Minute, rows: nodes, observations: 12, pod: unregistered, want: "true BackendsAreNodes"},
		"nodes of another Service":                {elapsed: 2 * time.Minute, rows: []string{"8443 node normal"}, observations: 12, want: "false NotRegistered"},
		"nodes, and pods of another Service":      {elapsed: 2 * time.Minute, rows: append([]string{"8443 10.9.0.7 normal"}, nodes...), observations: 12, want: "true BackendsAreNodes"},
		"nodes, and ports are not known":          {elapsed: 2 * time.Minute, rows: []string{"8443 node normal"}, observations: 12, input: func(i *GateInput) { i.Ports = nil }, want: "true BackendsAreNodes"},
		"a node, and pods on virtual nodes":       {elapsed: time.Minute, rows: append([]string{"443 10.9.0.1 normal"}, nodes...), want: "true BackendsAreNodes"},
		"a node and pods, registered for 59 s":    {elapsed: 2 * time.Minute, rows: append([]string{"443 10.9.0.1 normal"}, nodes...), pod: func(p *GatePod) { p.RegisteredSeenAt = start.Add(61 * time.Second) }, want: "false NotRegistered"},
		"a node and pods, not registered":         {elapsed: time.Hour, rows: append([]string{"443 10.9.0.1 normal"}, nodes...), pod: unregistered, want: "false NotRegistered"},
		"a node and pods, of which it is one":     {elapsed: time.Hour, rows: append([]string{"443 10.9.0.2 abnormal"}, nodes...), want: "false BackendAbnormal"},
		"a node of another Service and pods":      {elapsed: time.Hour, rows: []string{"443 10.9.0.1 normal", "8443 node normal"}, want: "false NotRegistered"},
		"the same, and ports are not known":       {elapsed: time.Hour, rows: []string{"443 10.9.0.1 normal", "8443 node normal"}, input: func(i *GateInput) { i.Ports = nil }, want: "false NotRegistered"},
		"rows of pods without a type":             {elapsed: 2 * time.Minute, rows: []string{"443 10.9.0.1 normal"}, observations: 12, input: untyped, want: "false NotRegistered"},
		"rows of pods and a node without a type":  {elapsed: 2 * time.Minute, rows: append([]string{"443 10.9.0.1 normal"}, nodes...), observations: 12, input: untyped, want: "false NotRegistered"},
		"pods of another Service, no ports known": {elapsed: time.Hour, rows: []string{"443 node normal", "8443 10.9.0.7 normal"}, input: func(i *GateInput) { i.Ports = nil }, want: "true BackendsAreNodes"},
		"on the host network, and its node":       {elapsed: 5 * time.Second, rows: nodes, pod: func(p *GatePod) { p.IPs, p.HostNetwork = []string{"10.1.0.1"}, true }, want: "false NotRegistered"},
		"on the host network, as an interface":    {elapsed: 5 * time.Second, rows: normal, pod: func(p *GatePod) { p.HostNetwork = true }, want: "true BackendNormal"},

		"a pod's row without a type": {elapsed: 2 * time.Minute, rows: []string{"443 10.9.0.2 abnormal"}, observations: 12, input: func(i *GateInput) { i.Observation.Backends[0].Type = "" }, want: "false BackendAbnormal"},

		"not observed":                          {elapsed: time.Minute, service: notObserved(0), observations: -1, want: "true NotObserved"},
		"not observed for 59 s":                 {elapsed: 59 * time.Second, service: notObserved(-time.Hour), observations: -1, want: "false WaitingForObservation"},
		"not observed since a minute ago":       {elapsed: time.Hour, service: notObserved(59 * time.Minute), observations: -1, timeout: -1, want: "true NotObserved"},
		"not observed since 59 s ago":           {elapsed: time.Hour, service: notObserved(59*time.Minute + time.Second), observations: -1, timeout: -1, want: "false WaitingForObservation"},
		"not observed, and an old observation":  {elapsed: 30 * time.Second, rows: normal, service: notObserved(0), want: "false WaitingForObservation"},
		"the pod is opted out":                  {elapsed: 0, rows: []string{"443 10.9.0.2 abnormal"}, pod: func(p *GatePod) { unready(p); p.OptedOut = true }, want: "true Disabled"},
		"the Service is off":                    {elapsed: 0, pod: unready, service: func(s *GateService) { s.Off = true }, want: "true Disabled"},
		"nothing known":                         {elapsed: time.Second, observations: -1, want: "false WaitingForObservation"},
		"nothing known just before the timeout": {elapsed: gateTimeout - time.Nanosecond, observations: -1, service: failing, want: "false WaitingForObservation"},
		"nothing known at the timeout":          {elapsed: gateTimeout, observations: -1, service: failing, want: "true HealthUnknown"},
		"never observed at the timeout":         {elapsed: gateTimeout, observations: -1, want: "true HealthUnknown"},
		"an hour's interval, and no failure":    {elapsed: time.Hour + 59*time.Second, observations: -1, service: hourly, want: "false WaitingForObservation"},
		"an hour's interval has passed":         {elapsed: time.Hour + time.Minute, observations: -1, service: hourly, want: "true HealthUnknown"},
		"an hour's interval, and failures":      {elapsed: gateTimeout, observations: -1, service: func(s *GateService) { hourly(s); failing(s) }, want: "true HealthUnknown"},
		"nothing known, and no timeout":         {elapsed: 1000 * time.Hour, observations: -1, service: failing, timeout: -1, want: "false WaitingForObservation"},

		"known bad, then failures":                     {elapsed: 15 * time.Minute, rows: []string{"443 10.9.0.2 abnormal"}, requested: -10 * time.Minute, service: failing, want: "false BackendAbnormal"},
		"was bad, failures for less than the timeout":  {elapsed: 15 * time.Minute, observations: -1, service: failing, pod: reasonAt(v1alpha1.GateBackendAbnormal, 6*time.Minute), want: "false BackendAbnormal"},
		"was bad, failures for the timeout":            {elapsed: 16 * time.Minute, observations: -1, service: failing, pod: reasonAt(v1alpha1.GateBackendAbnormal, 6*time.Minute), want: "true HealthUnknown"},
		"was bad, no newer observation, no failure":    {elapsed: 3 * time.Hour, observations: -1, pod: reasonAt(v1alpha1.GateNotRegistered, time.Minute), want: "false NotRegistered"},
		"was bad in an earlier process, failures":      {elapsed: 15 * time.Minute, observations: -1, service: failing, pod: seenLater(v1alpha1.GateNotRegistered, 14*time.Minute), want: "false NotRegistered"},
		"was bad in an earlier process, for long":      {elapsed: 24 * time.Minute, observations: -1, service: failing, pod: seenLater(v1alpha1.GateHealthCheckPending, 14*time.Minute), want: "true HealthUnknown"},
		"waited in an earlier process at the timeout":  {elapsed: gateTimeout, observations: -1, service: failing, pod: seenLater(v1alpha1.GateWaitingForObservation, 9*time.Minute), want: "true HealthUnknown"},
		"the process saw it ready after the timeout":   {elapsed: time.Hour, observations: -1, service: failing, pod: seenLater("", time.Hour-59*time.Second), want: "false WaitingForObservation"},
		"the process saw it ready a minute ago":        {elapsed: time.Hour, observations: -1, service: failing, pod: seenLater("", 59*time.Minute), want: "true HealthUnknown"},
		"a timeout of less than a minute":              {elapsed: 10 * time.Second, observations: -1, timeout: 10 * time.Second, want: "true HealthUnknown"},
		"the clock of the node is fast, timeout":       {elapsed: gateTimeout, observations: -1, pod: func(p *GatePod) { p.ReadyAt = start.Add(time.Hour) }, want: "true HealthUnknown"},
		"the clock of the node is fast, not observed":  {elapsed: time.Minute, observations: -1, service: notObserved(0), pod: func(p *GatePod) { p.ReadyAt = start.Add(time.Hour) }, want: "true NotObserved"},
		"the clock of the node is fast, nodes":         {elapsed: time.Minute, rows: nodes, observations: 7, pod: func(p *GatePod) { p.ReadyAt = start.Add(time.Hour) }, want: "true BackendsAreNodes"},
		"observed before it was ready, at the timeout": {elapsed: gateTimeout, rows: normal, requested: -gateTimeout, want: "true HealthUnknown"},
	} {
		t.Run(name, func(t *testing.T) {
			d := c.decide()
			if got := d.String(); got != c.want {
				t.Errorf("got %s, not %s: %s", got, c.want, d.Message)
			}
			if (d.Message == "") != (d.Reason == "") && d.Message != "" {
				t.Errorf("message %q with reason %q", d.Message, d.Reason)
			}
		})
	}
}

// seenLater is a pod whose condition an earlier process wrote; this one saw it at a later time.
func seenLater(reason string, at time.Duration) func(*GatePod) {
	return func(p *GatePod) {
		p.Reason, p.Message, p.ReadySeenAt, p.RegisteredSeenAt = reason, "as written", start.Add(at), start.Add(at)
	}
}

func TestGateMessages(t *testing.T) {
	for want, c := range map[string]gateCase{
		"the health check of lb-1 fails on port 8080 of listener 443/https":      {rows: []string{"443 10.9.0.2 abnormal"}},
		"lb-1 does not list the pod":                                             {rows: []string{"8443 10.9.0.7 normal"}},
		"lb-1 does not list the pod on listener 443/https":                       {rows: []string{"443 10.9.0.1 normal"}},
		"lb-1 has no health-check result yet on port 8080 of listener 443/https": {rows: []string{"443 10.9.0.2 unavailable", "443 10.9.0.1 normal"}},
		"lb-1 does not check health on port 8080 of listener 443/https": {
			rows: []string{"443 10.9.0.2 unavailable"}, input: listed(v1alpha1.ListenerStatus{Port: 443, HealthCheck: v1alpha1.HealthCheckDisabled})},
		"normal on every listener of lb-1": {rows: []string{"443 10.9.0.2 normal"}},
		"the cloud controller manager has not registered the pod: its gate service.readiness.alibabacloud.com/web is not True":                            {rows: []string{"443 10.9.0.2 normal"}, pod: unregistered},
		"no observation of the load balancer of Service web since the containers became ready: Throttled: the API refused the call":                       {observations: -1, service: failing},
		"opened without knowing the health of the pod: no observation of the load balancer of Service web for 10m0s: Throttled: the API refused the call": {observations: -1, service: failing, elapsed: 15 * time.Minute},
		"the backends of lb-1 are nodes: their health says nothing of this pod":                                                                           {rows: []string{"443 node normal"}, observations: 7, elapsed: 2 * time.Minute},
		"Service web does not exist": {observations: -1, service: notObserved(0), elapsed: time.Hour},
		"the label slb.lbhealth.dev/readiness-gate of the pod disables its gates":  {pod: func(p *GatePod) { p.OptedOut = true }},
		"the label slb.lbhealth.dev/readiness-gate of Service web opens its gates": {service: func(s *GateService) { s.Off = true }},
	} {
		if c.elapsed == 0 {
			c.elapsed = 5 * time.Second
		}
		if got := c.decide().Message; got != want {
			t.Errorf("got  %q\nnot  %q", got, want)
		}
	}
}

// TestGateIsDecidedAgainInTime checks that each decision which time alone
// changes says when, and that it is another one then.
func TestGateIsDecidedAgainInTime(t *testing.T) {
	for name, c := range map[string]struct {
		gateCase
		at   time.Duration
		then string
	}{
		"nothing known":         {gateCase{observations: -1, service: failing}, gateTimeout, "true HealthUnknown"},
		"not observed":          {gateCase{observations: -1, service: notObserved(20 * time.Second)}, 80 * time.Second, "true NotObserved"},
		"not observed, timeout": {gateCase{observations: -1, service: notObserved(0), timeout: 30 * time.Second}, time.Minute, "true NotObserved"},
		"was bad":               {gateCase{observations: -1, service: failing, pod: reasonAt(v1alpha1.GateBackendAbnormal, 3*time.Second)}, gateTimeout + 3*time.Second, "true HealthUnknown"},
	} {
		c.elapsed = 5 * time.Second
		d := c.decide()
		if d.Open || !d.RecheckAt.Equal(start.Add(c.at)) {
			t.Errorf("%s: %s, again at %s", name, d, d.RecheckAt)
		}
		if c.elapsed = c.at - time.Nanosecond; c.decide().Open {
			t.Errorf("%s: open before its time", name)
		}
		if c.elapsed = c.at; c.decide().String() != c.then {
			t.Errorf("%s: %s at its time", name, c.decide())
		}
	}
	for name, c := range map[string]gateCase{
		"abnormal":   {rows: []string{"443 10.9.0.2 abnormal"}},
		"no timeout": {observations: -1, timeout: -1, service: failing},
		"not ready":  {pod: unready},
	} {
		c.elapsed = 5 * time.Second
		if d := c.decide(); !d.RecheckAt.IsZero() {
			t.Errorf("%s: again at %s", name, d.RecheckAt)
		}
	}
}

// TestQuickPodCostsOneWrite checks that only the condition which waits for an
// observation is written later.
func TestQuickPodCostsOneWrite(t *testing.T) {
	waiting := gateCase{elapsed: time.Second, observations: -1}
	if at := waiting.decide().WriteAt; !at.Equal(start.Add(10 * time.Second)) {
		t.Errorf("WaitingForObservation is written at %s", at)
	}
	abnormal := gateCase{elapsed: time.Second, rows: []string{"443 10.9.0.2 abnormal"}}
	if at := abnormal.decide().WriteAt; !at.IsZero() {
		t.Errorf("BackendAbnormal is written at %s", at)
	}
}

// TestGateOfAnotherLoadBalancerStartsAgain checks that times of an earlier load
// balancer of the Service do not count.
func TestGateOfAnotherLoadBalancerStartsAgain(t *testing.T) {
	rows := []string{"443 node normal"}
	before := NewGateObservation(gateInput(start, rows))
	input := gateInput(start.Add(time.Hour), rows)
	input.LoadBalancerID, input.Previous = "lb-2", before
	if o := NewGateObservation(input); !o.nodesSince.Equal(o.at) {
		t.Errorf("nodes since %s", o.nodesSince)
	}
	input.LoadBalancerID = "lb-1"
	if o := NewGateObservation(input); !o.nodesSince.Equal(start) {
		t.Errorf("nodes since %s", o.nodesSince)
	}
}

// TestKnownBadGateNeverOpens decides on random pods and observations: a gate
// opens as BackendNormal only if each row of the pod is normal, in an
// observation that was requested after the pod was ready and registered; and a
// pod that is known to be bad stays closed while observations succeed.
func TestKnownBadGateNeverOpens(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	opened := 0
	for range 4_000 {
		c := randomGateCase(random)
		d, o := c.decide(), c.observe(start.Add(c.elapsed))
		bad := false
		for _, row := range c.rows {
			bad = bad || strings.Contains(row, gatePodIP+" abnormal") || strings.Contains(row, gatePodIP+" unavailable")
		}
		bad = bad || !strings.Contains(strings.Join(c.rows, ","), gatePodIP)
		ready := c.elapsed + c.requested - time.Second
		switch {
		case !d.Open:
		case d.Reason == v1alpha1.GateBackendNormal:
			opened++
			if bad || ready < 0 {
				t.Fatalf("seed %d: %+v opened", seed, c)
			}
		case bad && ready >= 0 && o.nodesSince.IsZero() && !o.listsNodes && d.Reason != v1alpha1.GateDisabled:
			t.Fatalf("seed %d: %+v opened: %s", seed, c, d.Reason)
		}
	}
	if opened < 100 {
		t.Errorf("only %d gates opened", opened)
	}
}

func randomGateCase(random *rand.Rand) gateCase {
	c := gateCase{elapsed: time.Duration(random.IntN(1200)) * time.Second, observations: 1 + random.IntN(9)}
	c.requested = -time.Duration(random.IntN(600)) * time.Second
	for _, listener := range []string{"443", "80", "8443"} {
		for _, ip := range []string{gatePodIP, "10.9.0.1", "node"} {
			if status := []string{"normal", "normal", "abnormal", "unavailable", ""}[random.IntN(5)]; status != "" && (ip != "node" || random.IntN(5) == 0) {
				c.rows = append(c.rows, listener+" "+ip+" "+status)
			}
		}
	}
	c.input = func(input *GateInput) {
		for i := range input.Scopes[0].Listeners {
			input.Scopes[0].Listeners[i].HealthCheck = v1alpha1.HealthCheckEnabled
		}
	}
	switch random.IntN(6) {
	case 0:
		c.pod = unregistered
	case 1:
		c.service = func(s *GateService) { s.Off = true }
	}
	return c
}
