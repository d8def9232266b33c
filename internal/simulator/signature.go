// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"crypto/hmac"
	"crypto/sha1" // #nosec G505 -- the protocol's own choice
	"encoding/base64"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// percentEncode is RFC 3986 encoding as Alibaba requires it: all but letters, digits, "-", "_", "." and "~".
func percentEncode(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

// canonicalQuery joins parameters, sorted by name and encoded, except those named in skip.
func canonicalQuery(params map[string]string, skip ...string) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(params)) {
		if slices.Contains(skip, key) {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('&')
		}
		b.WriteString(percentEncode(key) + "=" + percentEncode(params[key]))
	}
	return b.String()
}

// stringToSign is what version 1.0 of the RPC signature covers: the method and every parameter but the signature.
func stringToSign(method string, params map[string]string) string {
	return method + "&%2F&" + percentEncode(canonicalQuery(params, "Signature"))
}

// rpcSignature is base64 of HMAC-SHA1 with the secret and a trailing "&" as key.
func rpcSignature(toSign, secret string) string {
	mac := hmac.New(sha1.New, []byte(secret+"&"))
	mac.Write([]byte(toSign))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// checkRPCSignature verifies a call signed through parameters.
func checkRPCSignature(req *request, secret string) *apiError {
	for _, name := range []string{"SignatureMethod", "SignatureVersion", "Signature"} {
		if req.params[name] == "" {
			return errMissingCommon(name)
		}
	}
	if req.params["SignatureMethod"] != "HMAC-SHA1" || req.params["SignatureVersion"] != "1.0" {
		return errInvalid("SignatureMethod or SignatureVersion")
	}
	if req.params["SignatureType"] != "" {
		return errIncompleteSignature("SignatureType is not supported.")
	}
	toSign := stringToSign(req.http.Method, req.params)
	if !sameSignature(rpcSignature(toSign, secret), req.params["Signature"]) {
		return errSignature("server string to sign is:" + toSign)
	}
	return nil
}

func sameSignature(want, got string) bool {
	return hmac.Equal([]byte(want), []byte(got))
}
