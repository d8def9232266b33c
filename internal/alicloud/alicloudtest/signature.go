// SPDX-License-Identifier: Apache-2.0

package alicloudtest

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the API's algorithm
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// percent encodes as the API's reference says: everything but A-Z a-z 0-9 - _ . ~.
func percent(s string) string {
	var encoded strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("-_.~", c) >= 0 {
			encoded.WriteByte(c)
		} else {
			fmt.Fprintf(&encoded, "%%%02X", c)
		}
	}
	return encoded.String()
}

// StringToSign is what a request's signature is of.
func StringToSign(method string, parameters url.Values) string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		if name != "Signature" {
			pairs = append(pairs, percent(name)+"="+percent(parameters.Get(name)))
		}
	}
	return method + "&%2F&" + percent(strings.Join(pairs, "&"))
}

// SignatureOf is the signature of a request, as the API's reference describes it.
func SignatureOf(method string, parameters url.Values, secret string) string {
	mac := hmac.New(sha1.New, []byte(secret+"&"))
	_, _ = io.WriteString(mac, StringToSign(method, parameters))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// VerifySigned demands that a request to CLB in cn-hangzhou is signed with a key.
func VerifySigned(t *testing.T, parameters url.Values, keyID, secret string) {
	t.Helper()
	for name, want := range map[string]string{
		"Version": "2014-05-15", "Format": "JSON", "RegionId": Region, "AccessKeyId": keyID,
		"SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0", "SignatureType": "",
		"Signature": SignatureOf("POST", parameters, secret),
	} {
		if values, ok := parameters[name]; !ok || len(values) != 1 || values[0] != want {
			t.Errorf("%s = %q, want %q", name, values, want)
		}
	}
	at, err := time.Parse("2006-01-02T15:04:05Z", parameters.Get("Timestamp"))
	if err != nil || time.Since(at).Abs() > time.Minute {
		t.Errorf("Timestamp %q", parameters.Get("Timestamp"))
	}
	if nonce := parameters.Get("SignatureNonce"); len(nonce) < 16 {
		t.Errorf("SignatureNonce %q", nonce)
	}
}

// SignedParameters are the names of the parameters that every signed request has.
var SignedParameters = []string{
	"Version", "Format", "RegionId", "AccessKeyId", "SignatureMethod", "SignatureVersion", "SignatureType", "Signature", "Timestamp", "SignatureNonce",
}
