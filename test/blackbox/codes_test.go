// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

var codeSpecs = []spec{
	{"every error code of the API has its reason, and only codes that require manual action stall the object", namesReasons},
	{"a wrong clock is named", namesTheClock},
}

// throttledRegion separates throttled calls from the others: an account is slowed down per region.
const throttledRegion = "cn-throttled"

type codeCase struct {
	code   string
	status int
	reason string
	header http.Header
}

// codeCases returns the known error codes of the API, with their HTTP statuses.
func codeCases() []codeCase {
	var cases []codeCase
	add := func(reason string, status int, codes ...string) {
		for _, code := range codes {
			cases = append(cases, codeCase{code: code, status: status, reason: reason})
		}
	}
	add("Throttled", 400, "Throttling", "Throttling.User", "Throttling.Api", "Throttling.SomethingNew", "Rejected.Throttling", "QpsLimitExceeded")
	add("Throttled", 429, "Throttling", "Throttling.User", "Whatever")
	add("Throttled", 503, "Throttling", "Throttling.Api")
	cases = append(cases, codeCase{
		code: "ServiceUnavailable", status: 503, reason: "Throttled", header: http.Header{"Retry-After": {"3600"}},
	})
	add("LoadBalancerNotFound", 404, "InvalidLoadBalancerId.NotFound", "InvalidLoadBalancerId", "LoadBalancerNotExist")
	add("LoadBalancerNotFound", 400, "InvalidLoadBalancerId.NotFound", "LoadBalancerNotExist")
	add("Forbidden", 403, "Forbidden.RAM", "Forbidden", "NoPermission", "Forbidden.SomethingNew", "UnauthorizedOperation", "NoPermission.SLB", "NotAuthorized", "FORBIDDEN.Else")
	add("Forbidden", 400, "Forbidden.RAM", "Forbidden", "NoPermission", "UnauthorizedOperation")
	add("InvalidCredentials", 404, "InvalidAccessKeyId.NotFound")
	add("InvalidCredentials", 403, "InvalidAccessKeyId.Inactive", "InvalidSecurityToken.Expired", "SignatureDoesNotMatch")
	add("InvalidCredentials", 400, "InvalidAccessKeyId.NotFound", "SignatureDoesNotMatch", "IncompleteSignature",
		"InvalidSecurityToken.Expired", "InvalidSecurityToken.MismatchWithAccessKey", "MissingSecurityToken")
	add("ServiceError", 500, "InternalError", "ServiceUnavailable", "SystemBusy", "SomethingNew")
	add("ServiceError", 502, "SomethingNew")
	add("ServiceError", 503, "ServiceUnavailable", "SystemBusy", "InternalError")
	add("ServiceError", 400, "InvalidTimeStamp.Expired", "SignatureNonceUsed")
	add("ServiceError", 400, "OperationBusy", "OperationConflict", "OperationFailed.Locked", "ServiceIsStopping", "ServiceIsConfiguring",
		"BackendServer.configuring", "IncorrectStatus.LoadBalancer", "operationfailed.Busy")
	add("ServiceError", 409, "ResourceInConfiguring.Listener", "Conflict.Lock", "IdempotenceProcessing", "Slb.TokenIsProcessing")
	add("InvalidRequest", 404, "ListenerNotFound", "CheckedListenerNotFound")
	add("InvalidRequest", 400, "InvalidParameter", "MissingParameter", "SomethingNew")
	add("InvalidRequest", 404, "SomethingNew", "InvalidAction.NotFound")
	add("InvalidRequest", 409, "SomethingNew")
	return cases
}

// id has the code, status and reason, in the characters of a load balancer id.
func (c codeCase) id() string {
	return fmt.Sprintf("lb-code-%s-%d-%s", strings.ReplaceAll(c.code, ".", "_"), c.status, c.reason)
}

func (c codeCase) region() string {
	if c.reason == "Throttled" {
		return throttledRegion
	}
	return region
}

// awaitFailure waits until the object has the states of one whose calls all failed.
func (w *env) awaitFailure(t *testing.T, object *v1alpha1.LoadBalancerHealth, reason string) *v1alpha1.LoadBalancerHealth {
	t.Helper()
	var found *v1alpha1.LoadBalancerHealth
	w.eventually(t, func(g Gomega) {
		found = w.get(g, object)
		g.Expect(statesOf(found)).To(matchFailure(reason, len(w.slb.received(object.Spec.LoadBalancerID))))
	})
	return found
}

// matchFailure matches the states after so many calls. InvalidRequest stalls after three in
// a row, which are over before a slow machine gets here.
func matchFailure(reason string, calls int) types.GomegaMatcher {
	switch {
	case reason == "Forbidden", reason == "InvalidCredentials":
		return Equal(stalled(reason))
	case reason == "InvalidRequest" && calls >= 3:
		return Or(Equal(stalled(reason)), Equal(failing(reason)))
	default:
		return Equal(failing(reason))
	}
}

func namesReasons(t *testing.T, w *env) {
	g := NewWithT(t)
	cases := codeCases()
	objects := map[string]*v1alpha1.LoadBalancerHealth{}
	for _, c := range cases {
		refused := refusal(c.status, c.code, "Message of "+c.code+".")
		refused.header = c.header
		w.slb.on(c.id(), always(refused))
		objects[c.id()] = named(hostileNamespace, c.id(), once, in(c.region()))
		w.create(t, objects[c.id()])
	}
	for _, c := range cases {
		t.Run(fmt.Sprintf("%s with HTTP %d is %s", c.code, c.status, c.reason), func(t *testing.T) {
			g := NewWithT(t)
			object := objects[c.id()]
			found := w.awaitFailure(t, object, c.reason)
			nothingInvented(g, found)
			message := conditionOf(found, "Observed").Message
			g.Expect(message).To(ContainSubstring(c.code))
			g.Expect(message).To(ContainSubstring("Message of"))
			g.Expect(message).NotTo(ContainSubstring("0A5F4154"))
			w.awaitEvents(t, object, map[string]int{"Warning ObservationFailed": 1})
			g.Expect(w.events(g, object).notes("ObservationFailed")).To(ConsistOf(ContainSubstring(c.reason)))
		})
	}
	series := w.hostile.metrics(g)
	for _, c := range cases {
		g.Expect(series).To(HaveKeyWithValue(`slb_api_requests_total{action="DescribeHealthStatus",code="`+c.code+`",product="clb",region="`+c.region()+`"}`, BeNumerically(">", 0)))
	}
}

func in(region string) func(*v1alpha1.LoadBalancerHealth) {
	return func(o *v1alpha1.LoadBalancerHealth) { o.Spec.RegionID = region }
}

// nothingInvented requires that the status has no data without a valid response.
func nothingInvented(g Gomega, object *v1alpha1.LoadBalancerHealth) {
	g.Expect(conditionOf(object, "Healthy").Status).To(BeEquivalentTo("Unknown"))
	g.Expect(object.Status.Summary).To(BeNil())
	g.Expect(object.Status.Listeners).To(BeEmpty())
	g.Expect(object.Status.Backends).To(BeEmpty())
	g.Expect(object.Status.LastObservedTime).To(BeNil())
	g.Expect(object.Status.LastRequestID).To(BeEmpty())
}

func namesTheClock(t *testing.T, w *env) {
	g := NewWithT(t)
	const id = "lb-clock"
	w.slb.on(id, always(refusal(http.StatusBadRequest, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")))
	object := named(hostileNamespace, id, once)
	w.create(t, object)
	found := w.await(t, object, failing("ServiceError"))
	g.Expect(conditionOf(found, "Observed").Message).To(ContainSubstring("clock"))
	w.eventually(t, func(g Gomega) {
		_, log := w.hostile.output(t)
		g.Expect(strings.Split(log, "\n")).To(ContainElement(And(ContainSubstring(`"level":"info"`), ContainSubstring(id), ContainSubstring("clock"))))
	})
}
