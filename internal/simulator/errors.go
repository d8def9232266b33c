// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"fmt"
	"net/http"
)

// apiError is one refusal in the gateway's words. Codes, messages and HTTP statuses follow the public tables of common
// and SLB error codes, and responses quoted in public issue threads.
type apiError struct {
	code    string
	status  int
	message string
	// retryAfterSeconds is sent as the Retry-After header when above 0.
	retryAfterSeconds int
}

var (
	errMethod       = &apiError{code: "UnsupportedHTTPMethod", status: http.StatusMethodNotAllowed, message: "This http method is not supported."}
	errAction       = &apiError{code: "InvalidAction.NotFound", status: http.StatusNotFound, message: "Specified api is not found, please check your url and method."}
	errVersion      = &apiError{code: "InvalidVersion", status: http.StatusBadRequest, message: "Specified parameter Version is not valid."}
	errAccessKey    = &apiError{code: "InvalidAccessKeyId.NotFound", status: http.StatusNotFound, message: "Specified access key is not found."}
	errToken        = &apiError{code: "InvalidSecurityToken.MismatchWithAccessKey", status: http.StatusBadRequest, message: "Specified SecurityToken mismatch with the AccessKey."}
	errTimeFormat   = &apiError{code: "InvalidTimeStamp.Format", status: http.StatusBadRequest, message: "Specified time stamp or date value is not well formatted."}
	errTimeExpired  = &apiError{code: "InvalidTimeStamp.Expired", status: http.StatusBadRequest, message: "Specified time stamp or date value is expired."}
	errNonceUsed    = &apiError{code: "SignatureNonceUsed", status: http.StatusBadRequest, message: "Specified signature nonce was used already."}
	errThrottled    = &apiError{code: "Throttling.User", status: http.StatusBadRequest, message: "Request was denied due to user flow control."}
	errForbidden    = &apiError{code: "Forbidden.RAM", status: http.StatusForbidden, message: "User not authorized to operate on the specified resource, or this API doesn't support RAM."}
	errLoadBalancer = &apiError{code: "InvalidLoadBalancerId.NotFound", status: http.StatusNotFound, message: "The specified LoadBalancerId does not exist."}
	errListeners    = &apiError{code: "TooManyListeners", status: http.StatusBadRequest, message: "more than 1 listener is found"}
	errInternal     = &apiError{code: "InternalError", status: http.StatusInternalServerError, message: "The request processing has failed due to some unknown error."}
	errUnavailable  = &apiError{code: "ServiceUnavailable", status: http.StatusServiceUnavailable, message: "The request has failed due to a temporary failure of the server."}
	errBodyTooLarge = &apiError{code: "RequestEntityTooLarge", status: http.StatusRequestEntityTooLarge, message: "The request body is too large."}
)

// errMissingCommon is the gateway's error for a missing common parameter, which it needs before the API.
func errMissingCommon(name string) *apiError {
	return &apiError{code: "Missing" + name, status: http.StatusBadRequest, message: name + " is mandatory for this action."}
}

// errMissing is the product's error for a missing parameter of the API itself.
func errMissing(name string) *apiError {
	return &apiError{code: "MissingParameter", status: http.StatusBadRequest,
		message: fmt.Sprintf("The input parameter %q that is mandatory for processing this request is not supplied.", name)}
}

func errInvalid(name string) *apiError {
	return &apiError{code: "InvalidParameter", status: http.StatusBadRequest,
		message: fmt.Sprintf("The specified parameter %q is not valid.", name)}
}

// errSignature quotes what the server signed, as the real one does: clients compare it with
// theirs to distinguish a wrong secret from a wrong encoding.
func errSignature(serverSide string) *apiError {
	return &apiError{code: "SignatureDoesNotMatch", status: http.StatusBadRequest,
		message: "Specified signature does not match our calculation. " + serverSide}
}

func errIncompleteSignature(why string) *apiError {
	return &apiError{code: "IncompleteSignature", status: http.StatusBadRequest,
		message: "The request signature does not conform to Aliyun standards. " + why}
}
