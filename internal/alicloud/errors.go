// SPDX-License-Identifier: Apache-2.0

package alicloud

import (
	"net/http"
	"path"
	"strconv"
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

// traits are what the operator does about failures of one kind.
type traits struct {
	kind Kind
	// stall says when such failures require manual action.
	stall StallRule
	// credentials tells that other credentials could be the remedy.
	credentials bool
	// advice is what to do; it names the field, flag or permission at fault.
	advice func(subject) string
}

// kinds is the one table of all kinds.
var kinds = []traits{
	{Throttled, never, false, throttledAdvice},
	{Forbidden, atOnce, true, forbiddenAdvice},
	{InvalidCredentials, atOnce, true, invalidCredentialsAdvice},
	{CredentialsNotFound, atOnce, true, nil},
	{LoadBalancerNotFound, StallRule{InARow: 3}, false, notFoundAdvice}, // it may be just being created
	{EndpointUnreachable, never, false, nil},
	{ServiceError, never, false, serviceErrorAdvice},
	{InvalidResponse, never, false, nil},
	{InvalidRequest, StallRule{InARow: 3, Over: 30 * time.Second}, false, invalidRequestAdvice}, // the code may be of a state that passes
}

// StallRule says when failures of one kind require manual action: once InARow
// observations in a row failed so, the last of them at least Over after the
// first. InARow is 0 where they never do.
type StallRule struct {
	InARow int
	Over   time.Duration
}

var (
	never  = StallRule{}
	atOnce = StallRule{InARow: 1}
)

// Reached tells whether so many failures in a row, over that time, require manual action.
func (r StallRule) Reached(inARow int, over time.Duration) bool {
	return r.InARow > 0 && inARow >= r.InARow && over >= r.Over
}

// Kinds lists every kind.
func Kinds() []Kind {
	all := make([]Kind, len(kinds))
	for i := range kinds {
		all[i] = kinds[i].kind
	}
	return all
}

func (k Kind) traits() traits {
	for i := range kinds {
		if kinds[i].kind == k {
			return kinds[i]
		}
	}
	return traits{kind: k}
}

// CredentialsAtFault tells whether other credentials could be the remedy.
func (k Kind) CredentialsAtFault() bool { return k.traits().credentials }

// Error is a failed call. It holds nothing of the request's signature, keys
// or URL, and wraps nothing that does.
type Error struct {
	// Kind decides condition, event and next try.
	Kind Kind
	// Local tells that the operator itself refused, before any call: only an
	// edit helps.
	Local bool
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

// Stall says when this failure requires manual action.
func (e *Error) Stall() StallRule {
	if e.Local {
		return atOnce
	}
	return e.Kind.traits().stall
}

// MetricCode is the value of the label code: the API's error code, or the kind when there is none.
func (e *Error) MetricCode() string {
	if e.Code != "" {
		return e.Code
	}
	return string(e.Kind)
}

// kindByCode holds the codes that mean one thing whatever the HTTP status,
// which is not reliable. Patterns are those of path.Match, in lower case; the
// first that matches decides.
var kindByCode = []struct {
	kind     Kind
	patterns []string
}{
	{Throttled, []string{"*throttling*", "qpslimitexceeded"}},
	{LoadBalancerNotFound, []string{"invalidloadbalancerid", "invalidloadbalancerid.notfound", "loadbalancernotexist"}},
	{Forbidden, []string{"forbidden", "forbidden.*", "nopermission", "nopermission.*", "unauthorizedoperation", "notauthorized"}},
	{InvalidCredentials, []string{
		"signaturedoesnotmatch", "incompletesignature", "missingsecuritytoken", "invalidsecuritytoken", "invalidsecuritytoken.*",
		"invalidaccesskeyid", "invalidaccesskeyid.*", "invalidaccesskeysecret", "missingaccesskeyid",
	}},
	{ServiceError, []string{"internalerror", "serviceunavailable", "systembusy"}},
	// Those that blame the caller's clock, or a replayed request.
	{ServiceError, []string{"invalidtimestamp.expired", "signaturenonceused"}},
	{ServiceError, busyCodes},
}

// busyCodes are those of a state of the load balancer that passes by itself,
// although the status is a 4xx.
var busyCodes = []string{
	"operationbusy", "operationconflict", "operationfailed.*", "serviceisstopping", "serviceisconfiguring",
	"backendserver.configuring", "incorrectstatus.*", "resourceinconfiguring.*", "conflict.*",
	"idempotenceprocessing", "*.tokenisprocessing",
}

// classify turns an API error code and HTTP status into a kind: by code where
// the code is known, by status otherwise. APIs differ in the case of their codes.
func classify(code string, status int, retryAfter time.Duration) Kind {
	busy := strings.EqualFold(code, "ServiceUnavailable") && status == http.StatusServiceUnavailable && retryAfter > 0
	if busy || status == http.StatusTooManyRequests {
		return Throttled
	}
	for _, family := range kindByCode {
		if matches(code, family.patterns...) {
			return family.kind
		}
	}
	switch {
	case status >= http.StatusInternalServerError:
		return ServiceError
	case status >= http.StatusBadRequest && code != "":
		return InvalidRequest
	default: // the API has a code for all that it refuses: this is somebody else's answer, say a proxy's
		return InvalidResponse
	}
}

// matches compares a code with patterns in lower case.
func matches(code string, patterns ...string) bool {
	code = strings.ToLower(code)
	for _, pattern := range patterns {
		if matched, _ := path.Match(pattern, code); matched {
			return true
		}
	}
	return false
}

// clockSkewed tells whether a code blames the caller's clock or a replayed request.
func clockSkewed(code string) bool {
	return matches(code, "invalidtimestamp.expired", "signaturenonceused")
}

// noListener tells whether a code says that the port has no listener, or none with a health check.
func noListener(code string) bool {
	return matches(code, "listenernotfound", "checkedlistenernotfound")
}

// SharedPort tells whether the API refused to choose between a TCP and a UDP
// listener on the port that was asked about; asking about every port helps.
func (e *Error) SharedPort() bool { return matches(e.Code, "toomanylisteners") }

// Busy tells whether the API refused because of a state of a load balancer that
// passes by itself; other load balancers may be answered meanwhile.
func (e *Error) Busy() bool { return matches(e.Code, busyCodes...) }

// subject is what a call was about, for the words about its failure.
type subject struct {
	// action is the API's, such as DescribeHealthStatus.
	action   string
	account  Account
	regionID string
	// loadBalancerIDs are what the call asked about.
	loadBalancerIDs []string
	// listenerPort is the port that the call asked about; 0: every port.
	listenerPort int32
	credentials  Credentials
}

// subject is what a call is about.
func (r *Request) subject() subject {
	return subject{
		action: r.action, account: r.Target.Account, regionID: r.Target.RegionID,
		loadBalancerIDs: r.loadBalancerIDs(), listenerPort: r.Scope.ListenerPort, credentials: r.Credentials,
	}
}

// advice is what to do about a failure; "" where the message says it all.
func advice(kind Kind, code string, about subject) string {
	switch give := kind.traits().advice; {
	case clockSkewed(code):
		return "check that the clock of the operator's node is right"
	case noListener(code):
		return noListenerAdvice(about)
	case give == nil:
		return ""
	default:
		return give(about)
	}
}

func throttledAdvice(subject) string {
	return "the operator slows down by itself; if this lasts, raise spec.interval or lower --slb-qps"
}

func forbiddenAdvice(about subject) string {
	resources := make([]string, len(about.loadBalancerIDs))
	for i, id := range about.loadBalancerIDs {
		resources[i] = "acs:slb:" + about.regionID + ":*:loadbalancer/" + id
	}
	return "grant the RAM permission slb:" + about.action + " on " + strings.Join(resources, ", ") + " to " + whose(about.account)
}

func invalidCredentialsAdvice(about subject) string {
	const own = "check the operator's own credentials"
	switch source := about.credentials.Source; {
	case !about.account.IsDefault():
		return "check accessKeyId, accessKeySecret and securityToken in Secret " + about.account.String()
	case source == "":
		return own
	case source == environmentName:
		return own + ", which are from the environment (ALIBABA_CLOUD_ACCESS_KEY_ID, ALIBABA_CLOUD_ACCESS_KEY_SECRET, ALIBABA_CLOUD_SECURITY_TOKEN)"
	default:
		return own + ", which are from " + source
	}
}

func notFoundAdvice(about subject) string {
	return "check spec.loadBalancerId " + strings.Join(about.loadBalancerIDs, ", ") + " and spec.regionId " + about.regionID +
		", and that the load balancer belongs to the account of " + whose(about.account)
}

func serviceErrorAdvice(about subject) string {
	return "the SLB API of " + about.regionID + " failed on its side: the operator keeps asking"
}

func invalidRequestAdvice(subject) string {
	return "check spec.loadBalancerId, spec.regionId, spec.listenerPort and spec.listenerProtocol"
}

func noListenerAdvice(about subject) string {
	if about.listenerPort == 0 {
		return "the load balancer has no listener with a health check: add one"
	}
	return "the load balancer has no listener with a health check on port " + strconv.Itoa(int(about.listenerPort)) +
		": check spec.listenerPort and spec.listenerProtocol, or turn on the listener's health check"
}

func whose(account Account) string {
	if account.IsDefault() {
		return "the operator's own identity"
	}
	return "the access key in Secret " + account.String()
}
