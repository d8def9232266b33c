// SPDX-License-Identifier: Apache-2.0

package alicloud

import "strings"

// advice is what to do about a failure; "" where the message is enough.
func advice(kind Kind, code string, call *Call) string {
	if clockSkewed(code) {
		return "check that the clock of the operator's node is right"
	}
	if special := call.Product.Advice; special != nil {
		if text := special(code, *call); text != "" {
			return text
		}
	}
	if general := kind.traits().advice; general != nil {
		return general(call)
	}
	return ""
}

func throttledAdvice(*Call) string {
	return "the operator slows down by itself; if this lasts, raise spec.interval or lower --slb-qps"
}

func forbiddenAdvice(call *Call) string {
	return "grant the RAM permission " + call.Product.permission(call) + " to " + whose(call.Account)
}

func invalidCredentialsAdvice(call *Call) string {
	const own = "check the operator's own credentials"
	switch source := call.Credentials.Source; {
	case !call.Account.IsDefault():
		return "check accessKeyId, accessKeySecret and securityToken in Secret " + call.Account.String()
	case source == "":
		return own
	case source == environmentName:
		return own + ", which are from the environment (ALIBABA_CLOUD_ACCESS_KEY_ID, ALIBABA_CLOUD_ACCESS_KEY_SECRET, ALIBABA_CLOUD_SECURITY_TOKEN)"
	default:
		return own + ", which are from " + source
	}
}

func notFoundAdvice(call *Call) string {
	return "check spec.loadBalancerId " + strings.Join(call.LoadBalancerIDs, ", ") + " and spec.regionId " + call.RegionID +
		", and that the load balancer belongs to the account of " + whose(call.Account)
}

func serviceErrorAdvice(call *Call) string {
	return call.Product.api() + " of " + call.RegionID + " failed on its side: the operator retries"
}

func invalidRequestAdvice(*Call) string {
	return "check spec.loadBalancerId, spec.regionId, spec.listenerPort and spec.listenerProtocol"
}

// endpointAdvice is for responses that are not the API's.
func endpointAdvice(call *Call) string {
	return "check that " + call.Product.endpointFlag() + " and proxies lead to " + call.Product.api()
}

func whose(account Account) string {
	if account.IsDefault() {
		return "the operator's own identity"
	}
	return "the access key in Secret " + account.String()
}
