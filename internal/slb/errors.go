// SPDX-License-Identifier: Apache-2.0

package slb

import (
	"net/http"
	"strings"
	"time"
)

// Kind says why a call failed. Each kind is the reason of the same name of
// the condition Observed.
type Kind string

// Kinds of failure.
const (
	Throttled            Kind = "Throttled"
	Forbidden            Kind = "Forbidden"
	InvalidCredentials   Kind = "InvalidCredentials"
	CredentialsNotFound  Kind = "CredentialsNotFound"
	LoadBalancerNotFound Kind = "LoadBalancerNotFound"
	EndpointUnreachable  Kind = "EndpointUnreachable"
	ServiceError         Kind = "ServiceError"
	InvalidResponse      Kind = "InvalidResponse"
	InvalidRequest       Kind = "InvalidRequest"
)

// Kinds lists every kind.
func Kinds() []Kind {
	return []Kind{
		Throttled, Forbidden, InvalidCredentials, CredentialsNotFound, LoadBalancerNotFound,
		EndpointUnreachable, ServiceError, InvalidResponse, InvalidRequest,
	}
}

// Error is a failed call. It holds nothing of the request's signature, keys
// or URL, and wraps nothing that does.
type Error struct {
	// Kind decides condition, event and next try.
	Kind Kind
	// Code is the API's error code, "" when there was none.
	Code string
	// Message is one cleaned and bounded line: what is wrong, and what to do.
	// It is the same for two equal failures.
	Message string
	// RequestID is the API's RequestId, "" when there was none.
	RequestID string
	// RetryAfter is how long the API asked to wait, 0 when it did not say.
	RetryAfter time.Duration
}

// Error implements error.
func (e *Error) Error() string { return string(e.Kind) + ": " + e.Message }

// MetricCode is the value of the label code: the API's error code, or the kind when there is none.
func (e *Error) MetricCode() string {
	if e.Code != "" {
		return e.Code
	}
	return string(e.Kind)
}

// codeTooManyListeners: a TCP and a UDP listener share the port that was asked about.
const codeTooManyListeners = "TooManyListeners"

// kindByCode holds the codes that mean one thing whatever the HTTP status, which is not reliable.
var kindByCode = map[string]Kind{
	"InvalidLoadBalancerId.NotFound": LoadBalancerNotFound,
	"InvalidLoadBalancerId":          LoadBalancerNotFound,
	"LoadBalancerNotExist":           LoadBalancerNotFound,
	"Forbidden":                      Forbidden,
	"NoPermission":                   Forbidden,
	"UnauthorizedOperation":          Forbidden,
	"SignatureDoesNotMatch":          InvalidCredentials,
	"IncompleteSignature":            InvalidCredentials,
	"MissingSecurityToken":           InvalidCredentials,
	"InvalidSecurityToken":           InvalidCredentials,
	"InvalidAccessKeyId":             InvalidCredentials,
	"InvalidAccessKeySecret":         InvalidCredentials,
	"MissingAccessKeyId":             InvalidCredentials,
	"InternalError":                  ServiceError,
	"ServiceUnavailable":             ServiceError,
	"SystemBusy":                     ServiceError,
	"InvalidTimeStamp.Expired":       ServiceError,
	"SignatureNonceUsed":             ServiceError,
}

// kindByPrefix holds families of codes.
var kindByPrefix = []struct {
	prefix string
	kind   Kind
}{
	{"Throttling", Throttled},
	{"Forbidden.", Forbidden},
	{"InvalidAccessKeyId.", InvalidCredentials},
	{"InvalidSecurityToken.", InvalidCredentials},
}

// classify turns an API error code and HTTP status into a kind: by code where
// the code is known, by status otherwise.
func classify(code string, status int, retryAfter time.Duration) Kind {
	if code == "ServiceUnavailable" && status == http.StatusServiceUnavailable && retryAfter > 0 {
		return Throttled
	}
	if kind, ok := kindByCode[code]; ok {
		return kind
	}
	for _, family := range kindByPrefix {
		if strings.HasPrefix(code, family.prefix) {
			return family.kind
		}
	}
	switch {
	case status == http.StatusTooManyRequests:
		return Throttled
	case status >= http.StatusInternalServerError:
		return ServiceError
	case status >= http.StatusBadRequest && code != "":
		return InvalidRequest
	default: // the API has a code for all that it refuses: this is somebody else's answer, say a proxy's
		return InvalidResponse
	}
}

// clockSkewed tells whether a code blames the caller's clock or a replayed request.
func clockSkewed(code string) bool {
	return code == "InvalidTimeStamp.Expired" || code == "SignatureNonceUsed"
}

// advice is what a person can do about a kind of failure; it names the field,
// flag or permission at fault.
func advice(kind Kind, request Request) string {
	target := request.Target
	switch kind {
	case Throttled:
		return "the operator slows down by itself; if this lasts, raise spec.interval or lower --slb-qps"
	case Forbidden:
		return "grant the RAM permission slb:DescribeHealthStatus on acs:slb:" + target.RegionID + ":*:loadbalancer/" + target.LoadBalancerID + " to " + whose(target.Account)
	case InvalidCredentials:
		return "check " + keys(target.Account)
	case LoadBalancerNotFound:
		return "check spec.loadBalancerId " + target.LoadBalancerID + " and spec.regionId " + target.RegionID + ", and that the load balancer belongs to the account of " + whose(target.Account)
	case ServiceError:
		return "the SLB API of " + target.RegionID + " failed on its side: the operator keeps asking"
	case InvalidRequest:
		return "check spec.loadBalancerId, spec.regionId, spec.listenerPort and spec.listenerProtocol"
	default:
		return ""
	}
}

func whose(account Account) string {
	if account.IsDefault() {
		return "the operator's own identity"
	}
	return "the access key in Secret " + account.String()
}

func keys(account Account) string {
	if account.IsDefault() {
		return "the operator's own credentials (ALIBABA_CLOUD_ACCESS_KEY_ID, ALIBABA_CLOUD_ACCESS_KEY_SECRET, ALIBABA_CLOUD_SECURITY_TOKEN)"
	}
	return "accessKeyId, accessKeySecret and securityToken in Secret " + account.String()
}
