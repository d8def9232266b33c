// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// rpcVerifier checks requests of an RPC style API by its public reference: their parameters, in the query and in a form
// body, and the signature over both.
type rpcVerifier struct {
	version string
	actions []string

	mu         sync.Mutex
	accounts   map[string]account
	revoked    map[string]struct{}
	nonces     map[string]struct{}
	signatures map[string]struct{}
	complaints []string
}

func newRPCVerifier(version string, caller account, actions ...string) *rpcVerifier {
	return &rpcVerifier{
		version: version, actions: actions, accounts: map[string]account{caller.AccessKeyID: caller},
		revoked: map[string]struct{}{}, nonces: map[string]struct{}{}, signatures: map[string]struct{}{},
	}
}

// setAccount adds an account, or replaces the one of the same id.
func (v *rpcVerifier) setAccount(a account) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.accounts[a.AccessKeyID] = a
}

// revoke makes the API refuse a key that it accepted before.
func (v *rpcVerifier) revoke(a account) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.accounts, a.AccessKeyID)
	v.revoked[a.AccessKeyID] = struct{}{}
}

func (v *rpcVerifier) complain(format string, args ...any) fakeResponse {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.complaints = append(v.complaints, fmt.Sprintf(format, args...))
	return refusal(http.StatusBadRequest, "SignatureDoesNotMatch", "Specified signature does not match our calculation.")
}

// isRevoked reports whether a request is signed with a revoked key.
func (v *rpcVerifier) isRevoked(form url.Values) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, revoked := v.revoked[form.Get("AccessKeyId")]
	return revoked
}

// demandValidRequests demands that there were requests, and that each was valid.
func (v *rpcVerifier) demandValidRequests(t *testing.T) {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.complaints) > 0 || len(v.signatures) == 0 {
		t.Errorf("%d valid requests of %s, and these complaints: %q", len(v.signatures), v.version, v.complaints)
	}
}

// verify returns what is wrong with the parameters of a request, or "".
func (v *rpcVerifier) verify(method string, form url.Values) string {
	for name, values := range form {
		if len(values) != 1 {
			return fmt.Sprintf("%s occurs %d times", name, len(values))
		}
	}
	if action := form.Get("Action"); !slices.Contains(v.actions, action) {
		return fmt.Sprintf("Action is %q", action)
	}
	for name, want := range map[string]string{
		"Version": v.version, "Format": "JSON",
		"SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0",
	} {
		if got := form.Get(name); got != want {
			return fmt.Sprintf("%s is %q, not %q", name, got, want)
		}
	}
	at, err := time.Parse("2006-01-02T15:04:05Z", form.Get("Timestamp"))
	if err != nil || time.Since(at).Abs() > time.Minute {
		return fmt.Sprintf("Timestamp is %q", form.Get("Timestamp"))
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	caller, known := v.accounts[form.Get("AccessKeyId")]
	if !known || form.Get("SecurityToken") != caller.SecurityToken {
		return "AccessKeyId or SecurityToken is wrong"
	}
	if form.Get("Signature") != signatureOf(method, form, caller.AccessKeySecret) {
		return "Signature is wrong"
	}
	nonce := form.Get("SignatureNonce")
	if _, used := v.nonces[nonce]; used || nonce == "" {
		return fmt.Sprintf("SignatureNonce is %q, empty or used before", nonce)
	}
	v.nonces[nonce] = struct{}{}
	v.signatures[form.Get("Signature")] = struct{}{}
	return ""
}

// signatureOf is the signature of RPC style APIs, version 1.0.
func signatureOf(method string, form url.Values, secret string) string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(form)) {
		if name != "Signature" {
			pairs = append(pairs, percentEncode(name)+"="+percentEncode(form.Get(name)))
		}
	}
	toSign := method + "&" + percentEncode("/") + "&" + percentEncode(strings.Join(pairs, "&"))
	code := hmac.New(sha1.New, []byte(secret+"&"))
	code.Write([]byte(toSign))
	return base64.StdEncoding.EncodeToString(code.Sum(nil))
}

// percentEncode keeps the unreserved characters of RFC 3986 and no others.
func percentEncode(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("-_.~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// TestRPCVerifier signs a request with a form body as the reference says, and changes one part of it each time.
func TestRPCVerifier(t *testing.T) {
	caller := account{AccessKeyID: "LTAIexample", AccessKeySecret: "example-secret", SecurityToken: "CAIS+/="}
	signed := func() url.Values {
		form := url.Values{
			"AccessKeyId": {caller.AccessKeyID}, "SecurityToken": {caller.SecurityToken}, "Action": {"ListServerGroups"}, "Version": {"2022-04-30"},
			"Format": {"JSON"}, "SignatureMethod": {"HMAC-SHA1"}, "SignatureVersion": {"1.0"}, "SignatureType": {""}, "SignatureNonce": {"1"},
			"Timestamp": {time.Now().UTC().Format("2006-01-02T15:04:05Z")}, "ServerGroupIds.1": {"sgp-1"}, "NextToken": {"a+/* ~=="},
		}
		form.Set("Signature", signatureOf(http.MethodPost, form, caller.AccessKeySecret))
		return form
	}
	for name, test := range map[string]struct {
		edit func(form url.Values)
		want string
	}{
		"nothing":             {func(url.Values) {}, ""},
		"another group":       {func(form url.Values) { form.Set("ServerGroupIds.1", "sgp-2") }, "Signature is wrong"},
		"a further parameter": {func(form url.Values) { form.Set("ServerGroupIds.2", "sgp-2") }, "Signature is wrong"},
		"a parameter less":    {func(form url.Values) { form.Del("NextToken") }, "Signature is wrong"},
		"twice":               {func(form url.Values) { form.Add("NextToken", "b") }, "NextToken occurs 2 times"},
		"another product":     {func(form url.Values) { form.Set("Version", "2020-06-16") }, `Version is "2020-06-16", not "2022-04-30"`},
		"no token":            {func(form url.Values) { form.Del("SecurityToken") }, "AccessKeyId or SecurityToken is wrong"},
	} {
		form := signed()
		test.edit(form)
		if got := newRPCVerifier("2022-04-30", caller, "ListServerGroups").verify(http.MethodPost, form); got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}
