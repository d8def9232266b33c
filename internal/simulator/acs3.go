// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
)

const acs3Algorithm = "ACS3-HMAC-SHA256"

// acs3Signature is the Authorization header of the newer official clients:
//
//	ACS3-HMAC-SHA256 Credential=<key id>,SignedHeaders=<a;b;c>,Signature=<hex>
type acs3Signature struct {
	algorithm, credential, signature string
	signedHeaders                    []string
}

// parseACS3 returns nil when the call is not signed through headers. Parts that are missing stay empty.
func parseACS3(header http.Header) *acs3Signature {
	algorithm, rest, _ := strings.Cut(header.Get("Authorization"), " ")
	if !strings.HasPrefix(algorithm, "ACS3-") {
		return nil
	}
	sig := &acs3Signature{algorithm: algorithm}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "Credential":
			sig.credential = value
		case "SignedHeaders":
			sig.signedHeaders = strings.Split(value, ";")
		case "Signature":
			sig.signature = value
		}
	}
	return sig
}

// checkACS3Signature verifies a call signed through headers.
func checkACS3Signature(req *request, secret string) *apiError {
	sig := req.acs3
	if sig.algorithm != acs3Algorithm || sig.signature == "" {
		return errIncompleteSignature("Authorization must be: " + acs3Algorithm + " Credential=,SignedHeaders=,Signature=")
	}
	for name := range req.http.Header {
		lower := strings.ToLower(name)
		if strings.HasPrefix(lower, "x-acs-") && !slices.Contains(sig.signedHeaders, lower) {
			return errIncompleteSignature("SignedHeaders must name " + lower)
		}
	}
	for _, name := range []string{"host", "x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce"} {
		if !slices.Contains(sig.signedHeaders, name) {
			return errIncompleteSignature("SignedHeaders must name " + name)
		}
	}
	canonical := acs3CanonicalRequest(req)
	digest := sha256.Sum256([]byte(canonical))
	toSign := acs3Algorithm + "\n" + hex.EncodeToString(digest[:])
	if !sameSignature(acs3Sign(toSign, secret), sig.signature) {
		return errSignature("server StringToSign is [" + toSign + "] server CanonicalRequest is [" + canonical + "]")
	}
	return nil
}

// acs3CanonicalRequest hashes the body itself and ignores x-acs-content-sha256.
func acs3CanonicalRequest(req *request) string {
	headers := make([]string, 0, len(req.acs3.signedHeaders))
	for _, name := range req.acs3.signedHeaders {
		headers = append(headers, name+":"+acs3HeaderValue(req.http, name)+"\n")
	}
	payload := sha256.Sum256(req.body)
	return strings.Join([]string{
		req.http.Method,
		"/",
		canonicalQuery(req.query),
		strings.Join(headers, ""),
		strings.Join(req.acs3.signedHeaders, ";"),
		hex.EncodeToString(payload[:]),
	}, "\n")
}

func acs3HeaderValue(r *http.Request, name string) string {
	if name == "host" {
		return r.Host
	}
	values := slices.Clone(r.Header.Values(name))
	for i := range values {
		values[i] = strings.TrimSpace(values[i])
	}
	slices.Sort(values)
	return strings.Join(values, ",")
}

func acs3Sign(toSign, secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(toSign))
	return hex.EncodeToString(mac.Sum(nil))
}
