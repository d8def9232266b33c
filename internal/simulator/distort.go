// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"bytes"
	"cmp"
	"net/http"
)

const htmlPage = "<!DOCTYPE html><html><head><title>Welcome</title></head><body><h1>Sign in to the network</h1></body></html>"

// outcome is the decision on one call, before the response is sent.
type outcome struct {
	// code is OK, the error's code, or the kind of the fault that replaces either; omit and success only edit it.
	code string
	// fault is the kind of the rule that decided, or delay if the call is only delayed, else empty.
	fault string
	doc   document
}

// distort returns the outcome with the fault applied.
func distort(req *request, requestID string, honest outcome, fault *Fault) outcome {
	if err := fault.apiError(); err != nil {
		return outcome{code: err.code, fault: fault.Kind, doc: errorDocument(req, requestID, err)}
	}
	out := outcome{code: fault.Kind, fault: fault.Kind, doc: honest.doc}
	switch fault.Kind {
	case FaultMalformed:
		out.doc.status, out.doc.body = http.StatusOK, malformed(honest.doc.body)
	case FaultOversized:
		out.doc.body = bytes.TrimPrefix(honest.doc.body, []byte(xmlHeader))
		out.doc.padding = cmp.Or(fault.SizeBytes, defaultOversized)
	case FaultOmit:
		out.code, out.doc.body = honest.code, omitFields(honest.doc, fault.Fields)
	case FaultSuccess:
		out.code, out.doc.body = honest.code, withSuccess(honest.doc, fault)
	case FaultContentType:
		out.doc = document{status: http.StatusOK, contentType: "text/html;charset=utf-8", body: []byte(htmlPage)}
	case FaultEmpty:
		out.doc = document{status: http.StatusOK, contentType: honest.doc.contentType}
	case FaultEmptyObject:
		out.doc = document{status: http.StatusOK, contentType: honest.doc.contentType, body: emptyObject(req)}
	case FaultRedirect:
		location := cmp.Or(fault.Location, "/elsewhere")
		out.doc = document{status: http.StatusFound, header: http.Header{"Location": {location}}}
	case FaultBody:
		out.doc = document{
			status:      cmp.Or(fault.HTTPStatus, http.StatusOK),
			contentType: cmp.Or(fault.ContentType, honest.doc.contentType),
			body:        []byte(fault.Body),
		}
	}
	return out
}

// apiError is the refusal of the kinds status and throttle, nil for the others.
func (f *Fault) apiError() *apiError {
	var base apiError
	switch {
	case f.Kind == FaultThrottle:
		base = *errThrottled
	case f.Kind == FaultStatus && f.HTTPStatus == http.StatusServiceUnavailable:
		base = *errUnavailable
	case f.Kind == FaultStatus:
		base = *errInternal
	default:
		return nil
	}
	base.code = cmp.Or(f.Code, base.code)
	base.message = cmp.Or(f.Message, base.message)
	base.status = cmp.Or(f.HTTPStatus, base.status)
	base.retryAfterSeconds = f.RetryAfterSeconds
	return &base
}

// malformed breaks the document at its start, so that no part of it can be parsed as a response.
func malformed(body []byte) []byte {
	broken := bytes.Replace(body, []byte(`"RequestId":`), []byte(`"RequestId"`), 1)
	return bytes.Replace(broken, []byte("</RequestId>"), []byte("<RequestId>"), 1)
}

func emptyObject(req *request) []byte {
	if req.wantsJSON() {
		return []byte("{}")
	}
	return []byte(xmlHeader + "<" + req.action + "Response/>")
}
