// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// maxBody bounds a request's body in bytes. A signed call needs less than 2 KiB.
const maxBody = 1 << 20

// request is one call, in the same shape for both signing protocols.
type request struct {
	http *http.Request
	body []byte

	// query are the parameters of the URL, params those and the form's, which win: clients sign the union that way.
	query  map[string]string
	params map[string]string

	// acs3 is set when the call is signed through headers instead of parameters.
	acs3 *acs3Signature

	// product is that of the version, nil for an unknown one.
	product *product
	// concerned are the load balancers that a call of NLB or ALB concerns: it names them, their listeners or their
	// server groups.
	concerned []string

	action, version, accessKeyID, securityToken, timestamp, nonce string
}

// parseRequest reads a call from query, form body or both, whatever the method. On error the request is still usable
// for the response's format and the log.
func parseRequest(r *http.Request) (*request, *apiError) {
	req := &request{http: r}
	req.query, req.params = map[string]string{}, map[string]string{}
	query, queryErr := url.ParseQuery(r.URL.RawQuery)
	mergeFirst(req.query, query)
	mergeFirst(req.params, query)
	bodyErr := req.readBody()
	req.acs3 = parseACS3(r.Header)
	req.fillCommon()
	req.product = products[req.version]
	switch {
	case bodyErr != nil:
		return req, bodyErr
	case queryErr != nil:
		return req, errInvalid("QueryString")
	}
	return req, nil
}

func (req *request) readBody() *apiError {
	body, err := readAtMost(req.http.Body, maxBody)
	if errors.Is(err, errTooLarge) {
		return errBodyTooLarge
	}
	if err != nil {
		return errInvalid("Body")
	}
	req.body = body
	if !isForm(req.http.Header.Get("Content-Type")) {
		return nil
	}
	form, err := url.ParseQuery(string(body))
	mergeFirst(req.params, form)
	if err != nil {
		return errInvalid("Body")
	}
	return nil
}

// isForm also accepts a body without a type, as lenient clients send it.
func isForm(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	return contentType == "" || err == nil && media == "application/x-www-form-urlencoded"
}

func mergeFirst(into map[string]string, values url.Values) {
	for key, list := range values {
		into[key] = list[0]
	}
}

func (req *request) fillCommon() {
	req.action, req.version = req.params["Action"], req.params["Version"]
	if req.acs3 == nil {
		req.accessKeyID, req.securityToken = req.params["AccessKeyId"], req.params["SecurityToken"]
		req.timestamp, req.nonce = req.params["Timestamp"], req.params["SignatureNonce"]
		return
	}
	header := req.http.Header
	if action := header.Get("X-Acs-Action"); action != "" {
		req.action = action
	}
	if version := header.Get("X-Acs-Version"); version != "" {
		req.version = version
	}
	req.accessKeyID, req.securityToken = req.acs3.credential, header.Get("X-Acs-Security-Token")
	req.timestamp, req.nonce = header.Get("X-Acs-Date"), header.Get("X-Acs-Signature-Nonce")
}

// wantsJSON reports the response's format: the Format parameter decides, then, for calls
// signed through headers, Accept. The default of the protocol is XML.
func (req *request) wantsJSON() bool {
	if format := req.params["Format"]; format != "" || req.acs3 == nil {
		return strings.EqualFold(format, "JSON")
	}
	return strings.Contains(strings.ToLower(req.http.Header.Get("Accept")), "json")
}
