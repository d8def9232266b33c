// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"fmt"
	"maps"
	"testing"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

func showsServers(t *testing.T, w *env) {
	w.checkGroups(t, "servers", append(serverCases(), checkCases()...))
	w.checkGroups(t, "documents", documentCases())
}

func serverCases() []groupCase {
	mismatch := withHealth(pod(2), "Unhealthy")
	mismatch.reason = fields{"ReasonCode": "RESPONSE_MISMATCH", "ActualResponse": "302", "ExpectedResponse": "HTTP_2xx"}
	withoutID := func(n int) *fakeServer {
		return &fakeServer{ip: pod(n).ip, kind: "Ip", status: "Available", port: 8080, weight: 100}
	}
	return []groupCase{
		{
			rule: "the code of a failed check", product: productNLB, set: onePort(pod(1), unhealthy(pod(2), "HTTP_CODE_NOT_MATCH")),
			want: good("MinHealthyMet"), rows: []string{"443 sgp-1 eni-1 normal", "443 sgp-1 eni-2 abnormal HTTP_CODE_NOT_MATCH"},
		},
		{
			rule: "what a check got and expected", product: productALB, set: onePort(pod(1), mismatch),
			want: good("MinHealthyMet"), rows: []string{"443 sgp-1 eni-1 normal", "443 sgp-1 eni-2 abnormal RESPONSE_MISMATCH: 302, expected HTTP_2xx"},
		},
		{
			rule: "a server that is added, configured or removed", product: productNLB,
			set: onePort(pod(1), withStatus(pod(2), "Adding"), withStatus(pod(3), "Configuring"), withStatus(pod(4), "Removing"),
				unhealthy(withStatus(pod(5), "Removing"), "CONNECT_FAILED"), withHealth(withStatus(pod(6), "Adding"), "Initial")),
			want: good("MinHealthyMet"), listeners: []string{"443/tcp sgp-1 Healthy 1/4 Running Enabled"},
			rows: []string{"443 sgp-1 eni-1 normal", "443 sgp-1 eni-2 unavailable", "443 sgp-1 eni-3 unavailable", "443 sgp-1 eni-6 unavailable"},
		},
		{
			rule: "weight 0, which the health omits", product: productNLB, set: onePort(pod(1), withWeight(pod(2), 0)),
			edit: needing("100%"), want: good("AllBackendsNormal"), listeners: []string{"443/tcp sgp-1 Healthy 1/1 Running Enabled"},
			rows: []string{"443 sgp-1 eni-1 normal", "443 sgp-1 eni-2 unused"},
		},
		{
			rule: "weight 0, which the health has", product: productALB, set: onePort(pod(1), withHealth(withWeight(pod(2), 0), "Unused")),
			edit: needing("100%"), want: good("AllBackendsNormal"), listeners: []string{"443/https sgp-1 Healthy 1/1 Running Enabled"},
			rows: []string{"443 sgp-1 eni-1 normal", "443 sgp-1 eni-2 unused"},
		},
		{
			rule: "weight 0 of a server that fails", product: productNLB, set: onePort(pod(1), unhealthy(withWeight(pod(2), 0), "CONNECT_FAILED")),
			edit: needing("100%"), want: good("AllBackendsNormal"), rows: []string{"443 sgp-1 eni-1 normal", "443 sgp-1 eni-2 unused"},
		},
		{
			rule: "weight 0 of all servers", product: productNLB, set: onePort(withWeight(pod(1), 0), withWeight(pod(2), 0)),
			want: bad("NoBackends"), listeners: []string{"443/tcp sgp-1 Unhealthy 0/0 Running Enabled"},
			rows: []string{"443 sgp-1 eni-1 unused", "443 sgp-1 eni-2 unused"},
		},
		{
			rule: "servers of type Ip without a ServerId", product: productALB,
			set:  onePort(withoutID(1), unhealthy(withoutID(2), "CONNECT_FAILED")),
			want: good("MinHealthyMet"), rows: []string{"443 sgp-1 10.20.0.2 normal", "443 sgp-1 10.20.0.3 abnormal CONNECT_FAILED"},
		},
		{
			rule: "a server that fails without a ServerIp", product: productNLB,
			set: func(b *fakeInstance) {
				onePort(pod(1), withHealth(pod(2), "Unhealthy"))(b)
				b.edit = onHealth(func(info fields) {
					for _, server := range info["NonNormalServers"].([]fields) {
						delete(server, "ServerIp")
					}
				})
			},
			want: good("MinHealthyMet"), rows: []string{"443 sgp-1 eni-1 normal", "443 sgp-1 eni-2 abnormal"},
		},
		{
			rule: "a word that the API adds later", product: productALB, set: onePort(pod(1), withHealth(pod(2), "Draining")),
			want: good("MinHealthyMet"), rows: []string{"443 sgp-1 eni-1 normal", "443 sgp-1 eni-2 Draining"},
		},
		{
			rule: "a server listed as not normal whose Status is normal", product: productALB, set: onePort(pod(1), withHealth(pod(2), "normal")),
			want: good("MinHealthyMet"), rows: []string{"443 sgp-1 eni-1 normal", "443 sgp-1 eni-2 unavailable"},
		},
	}
}

// checkOf returns a group whose health check is on, off or absent in the health, and in the list of groups.
func checkOf(check any, servers ...*fakeServer) func(*fakeInstance) {
	return func(b *fakeInstance) {
		onePort(servers...)(b)
		g := b.groups["sgp-1"]
		g.check, g.listed = check, nil
	}
}

func checkCases() []groupCase {
	unchecked := func() []*fakeServer {
		return []*fakeServer{withHealth(pod(1), "Unavailable"), withHealth(pod(2), "Unavailable")}
	}
	unavailableCounts := func(o *v1alpha1.LoadBalancerHealth) {
		o.Spec.HealthPolicy = &v1alpha1.HealthPolicy{Unavailable: v1alpha1.Healthy}
	}
	off := []string{"443 sgp-1 eni-1 unavailable", "443 sgp-1 eni-2 unavailable"}
	on := []string{"443 sgp-1 eni-1 normal", "443 sgp-1 eni-2 normal"}
	var cases []groupCase
	for _, c := range []struct {
		product  *groupProduct
		protocol string
		value    any
	}{{productALB, "https", "off"}, {productALB, "https", "OFF"}, {productALB, "https", false}, {productNLB, "tcp", false}} {
		cases = append(cases,
			groupCase{
				rule: fmt.Sprintf("checks off: %v (%T)", c.value, c.value), product: c.product, set: checkOf(c.value, unchecked()...),
				want: unknown("HealthCheckUnavailable"), listeners: []string{"443/" + c.protocol + " sgp-1 Unknown 0/2 Running Disabled"}, rows: off,
				message: "2 whose health check is off",
			},
			groupCase{
				rule: fmt.Sprintf("checks off, and the health lists no server: %v (%T)", c.value, c.value), product: c.product,
				set: checkOf(c.value, pods(1, 2)...), want: unknown("HealthCheckUnavailable"), rows: off,
			},
			groupCase{
				rule: fmt.Sprintf("checks off, and unavailable is Healthy: %v (%T)", c.value, c.value), product: c.product,
				set: checkOf(c.value, unchecked()...), edit: unavailableCounts, want: good("MinHealthyMet"), message: "2 whose health check is off",
			})
	}
	for _, c := range []struct {
		product  *groupProduct
		listener string
		value    any
		servers  []*fakeServer
		want     states
		rows     []string
	}{
		{product: productALB, listener: "443/https sgp-1 Healthy 2/2 Running Enabled", value: "on", servers: pods(1, 2), want: good("AllBackendsNormal"), rows: on},
		{product: productALB, listener: "443/https sgp-1 Healthy 2/2 Running Enabled", value: true, servers: pods(1, 2), want: good("AllBackendsNormal"), rows: on},
		{product: productALB, listener: "443/https sgp-1 Healthy 2/2 Running", value: nil, servers: pods(1, 2), want: good("AllBackendsNormal"), rows: on},
		{product: productNLB, listener: "443/tcp sgp-1 Healthy 2/2 Running", value: nil, servers: pods(1, 2), want: good("AllBackendsNormal"), rows: on},
		{product: productNLB, listener: "443/tcp sgp-1 Unknown 0/2 Running Disabled", value: nil, servers: unchecked(), want: unknown("HealthCheckUnavailable"), rows: off},
	} {
		cases = append(cases, groupCase{
			rule: fmt.Sprintf("checks: %v (%T), %s", c.value, c.value, c.rows[0]), product: c.product, set: checkOf(c.value, c.servers...),
			want: c.want, listeners: []string{c.listener}, rows: c.rows,
		})
	}
	return cases
}

// onHealth edits each group in the health of a listener.
func onHealth(edit func(info fields)) func(instanceCall, fields) {
	return func(c instanceCall, content fields) {
		if c.action == "GetListenerHealthStatus" {
			for _, l := range content["ListenerHealthStatus"].([]fields) {
				for _, info := range l["ServerGroupInfos"].([]fields) {
					edit(info)
				}
			}
		}
	}
}

// documentCases are about the document around the list.
func documentCases() []groupCase {
	editing := func(edit func(c instanceCall, content fields)) func(*fakeInstance) {
		return func(b *fakeInstance) {
			twoPorts(b)
			b.edit = edit
		}
	}
	adding := func(extra fields) func(instanceCall, fields) {
		return func(_ instanceCall, content fields) {
			maps.Copy(content, extra)
		}
	}
	succeeded := fields{"Success": true, "Code": "OK", "Message": "", "HttpStatusCode": 200, "DynamicCode": "", "DynamicMessage": ""}
	return []groupCase{
		{rule: "a Code with Success true", product: productNLB, set: editing(adding(succeeded)), want: good("AllBackendsNormal"), rows: both},
		{rule: "a Code with Success true", product: productALB, set: editing(adding(succeeded)), want: failing("InvalidResponse")},
		{rule: "a Code without Success", product: productNLB, set: editing(adding(fields{"Code": "OK"})), want: failing("InvalidResponse")},
		{rule: "Success false", product: productNLB, set: editing(adding(fields{"Success": false, "Code": "SystemBusy"})), want: failing("InvalidResponse")},
		{rule: "fields that are new", product: productALB, set: editing(adding(fields{"Vendor": []int{1}, "Next": fields{"Token": nil}})), want: good("AllBackendsNormal"), rows: both},
		{
			rule: "no list of servers", product: productNLB, rows: []string{"443 sgp-1 eni-1 unavailable", "443 sgp-1 eni-2 unavailable"},
			set: func(b *fakeInstance) {
				onePort(pods(1, 2)...)(b)
				b.edit = onHealth(func(info fields) { delete(info, "NonNormalServers") })
			},
			want: unknown("HealthCheckUnavailable"),
		},
		{
			rule: "no group", product: productNLB, rows: []string{"443 sgp-1 eni-1 unavailable", "443 sgp-1 eni-2 unavailable"},
			set: func(b *fakeInstance) {
				onePort(pods(1, 2)...)(b)
				b.edit = func(c instanceCall, content fields) {
					if c.action == "GetListenerHealthStatus" {
						content["ListenerHealthStatus"] = []fields{}
					}
				}
			},
			want: unknown("HealthCheckUnavailable"),
		},
		{
			rule: "a server that is not normal and has no name", product: productALB, want: failing("InvalidResponse"),
			set: onePort(pod(1), &fakeServer{ip: "", kind: "Ip", status: "Available", port: 8080, weight: 100, health: "Unhealthy"}),
		},
		{rule: "no list of members", product: productNLB, set: editing(func(_ instanceCall, content fields) { delete(content, "Servers") }), want: failing("InvalidResponse")},
		{rule: "no RequestId", product: productALB, set: editing(func(_ instanceCall, content fields) { delete(content, "RequestId") }), want: failing("InvalidResponse")},
	}
}
