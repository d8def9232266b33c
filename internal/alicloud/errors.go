// SPDX-License-Identifier: Apache-2.0

package alicloud

import (
	"net/http"
	"path"
	"slices"
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
	// credentials is set where other credentials could be the remedy.
	credentials bool
	// advice is what to do; it names the field, flag or permission at fault.
	advice func(*Call) string
}

// kinds is the one table of all kinds.
var kinds = []traits{
	{Throttled, never, false, throttledAdvice},
	{Forbidden, atOnce, true, forbiddenAdvice},
	{InvalidCredentials, atOnce, true, invalidCredentialsAdvice},
	{CredentialsNotFound, atOnce, true, nil},
	{LoadBalancerNotFound, StallRule{InARow: 3}, false, notFoundAdvice}, // it may be in creation
	{EndpointUnreachable, never, false, nil},
	{ServiceError, never, false, serviceErrorAdvice},
	{InvalidResponse, never, false, nil},
	{InvalidRequest, StallRule{InARow: 3, Over: 30 * time.Second}, false, invalidRequestAdvice}, // the code may be of a temporary state
}

// StallRule says when failures of one kind require manual action: after InARow
// consecutive failures, the last of them at least Over after the first. InARow is
// 0 where they never do.
type StallRule struct {
	InARow int
	Over   time.Duration
}

var (
	never  = StallRule{}
	atOnce = StallRule{InARow: 1}
)

// Reached reports whether that many consecutive failures, over that time, require
// manual action.
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

// CredentialsAtFault reports whether other credentials could be the remedy.
func (k Kind) CredentialsAtFault() bool { return k.traits().credentials }

// Error is a failed call. It has no part of the request's signature, keys or URL,
// and wraps no error.
type Error struct {
	// Kind decides condition, event and retry.
	Kind Kind
	// Local is set where the operator itself refused, before any call: only an
	// edit helps.
	Local bool
	// Code is the API's error code, "" when there was none.
	Code string
	// Message is one cleaned and bounded line: what is wrong, and what to do.
	// It is the same for two equal failures.
	Message string
	// RequestID is the API's RequestId, "" when there was none.
	RequestID string
	// RetryAfter is the delay that the API requested, 0 when it requested none.
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

// metricCode is the value of the label code: the API's error code, or the kind when there is none.
func (e *Error) metricCode() string {
	if e.Code != "" {
		return e.Code
	}
	return string(e.Kind)
}

// kindByCode has the codes that mean one thing whatever the HTTP status,
// which is not reliable. Patterns are those of path.Match, in lower case; the
// first that matches decides. A family with products is of these alone.
var kindByCode = []struct {
	kind     Kind
	patterns []string
	products []string
}{
	{Throttled, []string{"*throttling*", "qpslimitexceeded"}, nil},
	{LoadBalancerNotFound, []string{"invalidloadbalancerid", "invalidloadbalancerid.notfound", "loadbalancernotexist"}, nil},
	{LoadBalancerNotFound, []string{"resourcenotfound.loadbalancer"}, groupProducts},
	{LoadBalancerNotFound, []string{"-735"}, []string{ProductALB}}, // ALB's only code without letters
	{ServiceError, outdatedCodes, groupProducts},
	{Forbidden, []string{"forbidden", "forbidden.*", "nopermission", "nopermission.*", "unauthorizedoperation", "notauthorized"}, nil},
	{InvalidCredentials, []string{
		"signaturedoesnotmatch", "incompletesignature", "missingsecuritytoken", "invalidsecuritytoken", "invalidsecuritytoken.*",
		"invalidaccesskeyid", "invalidaccesskeyid.*", "invalidaccesskeysecret", "missingaccesskeyid",
	}, nil},
	{ServiceError, []string{"internalerror", "serviceunavailable", "systembusy"}, nil},
	// Those that blame the caller's clock, or a replayed request.
	{ServiceError, []string{"invalidtimestamp.expired", "signaturenonceused"}, nil},
	{ServiceError, busyCodes, nil},
}

// groupProducts are the products whose listeners forward to server groups.
var groupProducts = []string{ProductALB, ProductNLB}

// outdatedCodes are those of a listener or server group that no longer exists,
// although the API listed it before.
var outdatedCodes = []string{"resourcenotfound.listener", "resourcenotfound.servergroup"}

// busyCodes are those of a temporary state of the load balancer, although the
// status is a 4xx.
var busyCodes = []string{
	"operationbusy", "operationconflict", "operationfailed.*", "serviceisstopping", "serviceisconfiguring",
	"backendserver.configuring", "incorrectstatus.*", "resourceinconfiguring.*", "conflict.*",
	"idempotenceprocessing", "*.tokenisprocessing",
}

// classify returns the kind of an error code of a product's API and HTTP status:
// by code where the code is known, by status otherwise. APIs differ in the case
// of their codes.
func classify(product, code string, status int, retryAfter time.Duration) Kind {
	busy := strings.EqualFold(code, "ServiceUnavailable") && status == http.StatusServiceUnavailable && retryAfter > 0
	if busy || status == http.StatusTooManyRequests {
		return Throttled
	}
	for _, family := range kindByCode {
		if (family.products == nil || slices.Contains(family.products, product)) && CodeIs(code, family.patterns...) {
			return family.kind
		}
	}
	switch {
	case status >= http.StatusInternalServerError:
		return ServiceError
	case status >= http.StatusBadRequest && code != "":
		return InvalidRequest
	default: // the API has a code for every refusal: this is another server's response, such as a proxy's
		return InvalidResponse
	}
}

// CodeIs reports whether a code matches one of the patterns, which are those of
// path.Match, in lower case.
func CodeIs(code string, patterns ...string) bool {
	code = strings.ToLower(code)
	for _, pattern := range patterns {
		if matched, _ := path.Match(pattern, code); matched {
			return true
		}
	}
	return false
}

// clockSkewed reports whether a code blames the caller's clock or a replayed request.
func clockSkewed(code string) bool {
	return CodeIs(code, "invalidtimestamp.expired", "signaturenonceused")
}

// SharedPort reports whether the API refused to choose between a TCP and a UDP
// listener on the port of the request; a request for every port helps.
func (e *Error) SharedPort() bool { return CodeIs(e.Code, "toomanylisteners") }

// Busy reports whether the API refused because of a temporary state of one load
// balancer; a call for others may succeed.
func (e *Error) Busy() bool { return CodeIs(e.Code, busyCodes...) }

// Outdated reports whether the API no longer knows a listener or server group
// that it listed before; a new list helps.
func (e *Error) Outdated() bool { return CodeIs(e.Code, outdatedCodes...) }

// Transient reports whether the same call may succeed soon.
func (e *Error) Transient() bool {
	return e.Kind == Throttled || e.Kind == EndpointUnreachable || e.Kind == ServiceError
}
