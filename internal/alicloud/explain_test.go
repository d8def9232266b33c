// SPDX-License-Identifier: Apache-2.0

package alicloud

import (
	"compress/gzip"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/util/cert"

	"github.com/lbhealth/slb-health-operator/internal/alicloud/alicloudtest"
)

// refusals is the table of error codes, with the HTTP statuses of each.
var refusals = []struct {
	kind     Kind
	codes    []string
	statuses []int
}{
	{Throttled, []string{
		"Throttling", "Throttling.User", "Throttling.Api", "Throttling.Whatever", "ThrottlingUser",
		"Rejected.Throttling", "Forbidden.Throttling.User", "throttling.user", "QpsLimitExceeded", "QPSLimitExceeded",
	}, []int{400, 403, 429, 503}},
	{LoadBalancerNotFound, []string{
		"InvalidLoadBalancerId.NotFound", "LoadBalancerNotExist", "InvalidLoadBalancerId", "invalidloadbalancerid.notfound",
	}, []int{404, 400}},
	{Forbidden, []string{
		"Forbidden.RAM", "Forbidden", "NoPermission", "NoPermission.SLB", "Forbidden.Whatever", "UnauthorizedOperation",
		"NotAuthorized", "forbidden", "FORBIDDEN.RAM", "noPermission.slb",
	}, []int{403, 400}},
	{InvalidCredentials, []string{
		"InvalidAccessKeyId.NotFound", "InvalidAccessKeyId.Inactive", "SignatureDoesNotMatch", "IncompleteSignature",
		"InvalidSecurityToken.Expired", "InvalidSecurityToken.Malformed", "MissingSecurityToken", "invalidAccessKeyID.notFound",
	}, []int{404, 403, 400}},
	{InvalidRequest, []string{"TooManyListeners", "toomanylisteners"}, []int{400}},
	{InvalidRequest, []string{"ListenerNotFound", "CheckedListenerNotFound", "listenerNotFound"}, []int{400, 404}},
	{ServiceError, []string{"InternalError", "ServiceUnavailable", "SystemBusy", "internalerror"}, []int{500, 502, 503, 504}},
	{ServiceError, []string{"InvalidTimeStamp.Expired", "SignatureNonceUsed", "InvalidTimestamp.Expired"}, []int{400, 403}},
	{ServiceError, []string{
		"OperationBusy", "OperationConflict", "OperationFailed.LastTokenProcessing", "ServiceIsStopping", "ServiceIsConfiguring",
		"BackendServer.configuring", "IncorrectStatus.LoadBalancer", "ResourceInConfiguring.Listener", "Conflict.Lock",
		"IdempotenceProcessing", "Slb.TokenIsProcessing", "operationbusy", "BackendServer.Configuring",
	}, []int{400, 409, 404}},
	{InvalidRequest, []string{
		"InvalidParameter", "MissingParameter", "Whatever", "ForbiddenRAM", "NotForbidden", "OperationBusyness", "ConflictOfInterest",
	}, []int{400, 403, 404, 409}},
	{Throttled, []string{"Whatever", "Forbidden.RAM"}, []int{429}},
	{ServiceError, []string{"Whatever"}, []int{500, 503}},
}

func TestRefusalIsClassifiedByItsCode(t *testing.T) {
	for _, family := range refusals {
		for _, code := range family.codes {
			for _, status := range family.statuses {
				t.Run(fmt.Sprintf("%s %d", code, status), func(t *testing.T) {
					failed := failTwice(t, newTrustingClient(t, startHTTPS(t, alicloudtest.Refuse(status, code, "Words of the API."))))
					if failed.Kind != family.kind || failed.Code != code || failed.metricCode() != code {
						t.Errorf("got %#v, want kind %s", failed, family.kind)
					}
					if !strings.HasPrefix(failed.Message, code+": Words of the API") {
						t.Errorf("message %q", failed.Message)
					}
					if failed.RequestID != "6AF7FDB7-4F22-4E4F-9B2D-0D6B2C5A0001" || failed.RetryAfter != 0 {
						t.Errorf("got %#v", failed)
					}
					if failed.SharedPort() != strings.EqualFold(code, "TooManyListeners") {
						t.Errorf("SharedPort of %s is %t", code, failed.SharedPort())
					}
				})
			}
		}
	}
}

func TestMessageOmitsTheRestOfTheDocument(t *testing.T) {
	const next = "; the SLB API of cn-hangzhou failed on its side: the operator retries"
	for body, want := range map[string]string{
		`{"RequestId":"R1-of-this-call","Code":"InternalError"}`:                                           "InternalError" + next,
		`{"RequestId":"R1-of-this-call","Code":"InternalError","Message":"R1-of-this-call failed, sorry"}`: "InternalError: [id] failed, sorry" + next,
	} {
		failed := failTwice(t, newTrustingClient(t, startHTTPS(t, alicloudtest.Serve(500, body))))
		if failed.Message != want {
			t.Errorf("%s: got %q, want %q", body, failed.Message, want)
		}
	}
}

func TestEveryKindOccursInTheTests(t *testing.T) {
	seen := map[Kind]bool{CredentialsNotFound: true, EndpointUnreachable: true, InvalidResponse: true}
	for _, family := range refusals {
		seen[family.kind] = true
	}
	for _, kind := range Kinds() {
		if !seen[kind] {
			t.Errorf("no refusal is of kind %s", kind)
		}
		delete(seen, kind)
	}
	if len(seen) > 0 {
		t.Errorf("not among Kinds: %v", seen)
	}
}

func TestRefusalWithoutACodeIsClassifiedByItsStatus(t *testing.T) {
	for name, body := range map[string]string{
		"empty":          "",
		"HTML":           "<html><head><title>Error</title></head><body>\nnginx\n</body></html>",
		"XML":            "<?xml version='1.0'?><Error><Code>Throttling</Code><Message>slow</Message></Error>",
		"no code":        `{"RequestId":"1","Message":"words"}`,
		"an empty code":  `{"RequestId":"1","Code":"","Message":"words"}`,
		"words as code":  `{"RequestId":"1","Code":"some words here","Message":"words"}`,
		"a list":         `[]`,
		"null":           `null`,
		"malformed JSON": `{"Code":"Throttling"`,
	} {
		for status, kind := range map[int]Kind{400: InvalidResponse, 401: InvalidResponse, 403: InvalidResponse, 404: InvalidResponse, 429: Throttled, 500: ServiceError, 502: ServiceError, 503: ServiceError} {
			t.Run(fmt.Sprintf("%s %d", name, status), func(t *testing.T) {
				failed := failTwice(t, newTrustingClient(t, startHTTPS(t, alicloudtest.Serve(status, body))))
				if failed.Kind != kind || failed.Code != "" || failed.metricCode() != string(kind) {
					t.Errorf("got %#v, want kind %s", failed, kind)
				}
				if want := "returned HTTP " + strconv.Itoa(status) + " without an API error code; check that --slb-endpoint"; !strings.Contains(failed.Message, want) {
					t.Errorf("%q does not say %q", failed.Message, want)
				}
			})
		}
	}
}

func TestRetryAfterIsReportedAndMakesServiceUnavailableAThrottle(t *testing.T) {
	for name, test := range map[string]struct {
		status      int
		code, after string
		kind        Kind
		atLeast     time.Duration
		atMost      time.Duration
	}{
		"seconds":                   {503, "ServiceUnavailable", "7", Throttled, 7 * time.Second, 7 * time.Second},
		"a date":                    {503, "ServiceUnavailable", time.Now().Add(3 * time.Minute).UTC().Format(http.TimeFormat), Throttled, 2 * time.Minute, 3 * time.Minute},
		"a date that is past":       {503, "ServiceUnavailable", time.Now().Add(-time.Minute).UTC().Format(http.TimeFormat), ServiceError, 0, 0},
		"days":                      {503, "ServiceUnavailable", "864000", Throttled, 5 * time.Minute, 5 * time.Minute},
		"years":                     {503, "ServiceUnavailable", "2147483647", Throttled, 5 * time.Minute, 5 * time.Minute},
		"none":                      {503, "ServiceUnavailable", "", ServiceError, 0, 0},
		"a negative number":         {503, "ServiceUnavailable", "-7", ServiceError, 0, 0},
		"beyond any number":         {503, "ServiceUnavailable", "99999999999999999999", ServiceError, 0, 0},
		"words":                     {503, "ServiceUnavailable", "soon", ServiceError, 0, 0},
		"another status":            {500, "ServiceUnavailable", "7", ServiceError, 7 * time.Second, 7 * time.Second},
		"another code":              {503, "InternalError", "7", ServiceError, 7 * time.Second, 7 * time.Second},
		"throttled":                 {400, "Throttling.User", "7", Throttled, 7 * time.Second, 7 * time.Second},
		"no document":               {429, "", "7", Throttled, 7 * time.Second, 7 * time.Second},
		"a response that is broken": {200, "Whatever", "7", InvalidResponse, 7 * time.Second, 7 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			server := startHTTPS(t, func(w http.ResponseWriter, r *http.Request) {
				if test.after != "" {
					w.Header().Set("Retry-After", test.after)
				}
				alicloudtest.Refuse(test.status, test.code, "busy")(w, r)
			})
			failed := callAndFail(t, newTrustingClient(t, server), aRequest())
			if failed.Kind != test.kind || failed.RetryAfter < test.atLeast || failed.RetryAfter > test.atMost {
				t.Errorf("got %#v", failed)
			}
		})
	}
}

func TestRefusalSaysWhatToDo(t *testing.T) {
	inSecret := aRequest()
	inSecret.Target.Account = Account{Namespace: "prod", Name: "slb-reader"}
	mounted := aRequest()
	mounted.Credentials.Source = folderVariable
	for name, test := range map[string]struct {
		code    string
		request Request
		want    []string
	}{
		"a permission":         {"Forbidden.RAM", aRequest(), []string{"slb:DescribeHealthStatus", "acs:slb:cn-hangzhou:*:loadbalancer/" + alicloudtest.LoadBalancer, "the operator's own identity"}},
		"a Secret's":           {"Forbidden.RAM", inSecret, []string{"Secret prod/slb-reader"}},
		"a key":                {"InvalidAccessKeyId.NotFound", mounted, []string{"the operator's own credentials, which are from --credentials-path"}},
		"a Secret's key":       {"SignatureDoesNotMatch", inSecret, []string{"accessKeySecret", "Secret prod/slb-reader"}},
		"the load balancer":    {"LoadBalancerNotExist", inSecret, []string{"spec.loadBalancerId " + alicloudtest.LoadBalancer, "spec.regionId cn-hangzhou", "Secret prod/slb-reader"}},
		"the rate":             {"Throttling", aRequest(), []string{"spec.interval", "--slb-qps"}},
		"the clock":            {"InvalidTimeStamp.Expired", aRequest(), []string{"clock"}},
		"the clock, or replay": {"SignatureNonceUsed", aRequest(), []string{"clock"}},
		"the product's own":    {specialCode, aRequest(), []string{"; special advice on " + alicloudtest.LoadBalancer}},
		"the fields":           {"InvalidParameter", aRequest(), []string{"spec.listenerPort", "spec.listenerProtocol"}},
	} {
		t.Run(name, func(t *testing.T) {
			client := clientOver(func(request *http.Request) (*http.Response, error) {
				return alicloudtest.Response(request, http.StatusBadRequest, alicloudtest.ErrorDocument(test.code, "")), nil
			})
			failed := callAndFail(t, client, test.request)
			for _, want := range test.want {
				if !strings.Contains(failed.Message, want) {
					t.Errorf("%q does not say %q", failed.Message, want)
				}
			}
		})
	}
}

// The manifests mount the key: the advice must not name variables that are not set.
func TestAdviceNamesTheSourceOfRefusedCredentials(t *testing.T) {
	folder := t.TempDir()
	writeKeyFile(t, folder, "accessKeyId", alicloudtest.KeyID)
	writeKeyFile(t, folder, "accessKeySecret", alicloudtest.Secret)
	withEnvironment(t, "", "", "")
	mounted := found(t, NewIdentity(time.Now, folder))
	withEnvironment(t, alicloudtest.KeyID, alicloudtest.Secret, "")
	environment := found(t, NewIdentity(time.Now, ""))
	for want, credentials := range map[string]Credentials{
		"check the operator's own credentials, which are from --credentials-path": mounted,
		"check the operator's own credentials, which are from the environment (ALIBABA_CLOUD_ACCESS_KEY_ID, " +
			"ALIBABA_CLOUD_ACCESS_KEY_SECRET, ALIBABA_CLOUD_SECURITY_TOKEN)": environment,
		"check the operator's own credentials": {},
	} {
		if got := advice(InvalidCredentials, "SignatureDoesNotMatch", &Call{Product: &testProduct, Credentials: credentials}); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestForbiddenAdviceMentionsActionAndResources(t *testing.T) {
	about := &Call{Product: &testProduct, Action: "DescribeLoadBalancerListeners", RegionID: "cn-beijing", LoadBalancerIDs: []string{"lb-1", "lb-2"}}
	const want = "grant the RAM permission slb:DescribeLoadBalancerListeners on acs:slb:cn-beijing:*:loadbalancer/lb-1, " +
		"acs:slb:cn-beijing:*:loadbalancer/lb-2 to the operator's own identity"
	if got := advice(Forbidden, "Forbidden.RAM", about); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestKindsThatRequireManualAction(t *testing.T) {
	const long = 24 * time.Hour
	atOnce, never := StallRule{InARow: 1}, StallRule{}
	want := map[Kind]struct {
		rule        StallRule
		credentials bool
	}{
		Throttled: {never, false}, EndpointUnreachable: {never, false}, ServiceError: {never, false}, InvalidResponse: {never, false},
		Forbidden: {atOnce, true}, InvalidCredentials: {atOnce, true}, CredentialsNotFound: {atOnce, true},
		LoadBalancerNotFound: {StallRule{InARow: 3}, false},
		InvalidRequest:       {StallRule{InARow: 3, Over: 30 * time.Second}, false},
	}
	for _, kind := range Kinds() {
		if got := (&Error{Kind: kind}).Stall(); got != want[kind].rule {
			t.Errorf("%s: %+v, want %+v", kind, got, want[kind].rule)
		}
		if got := kind.CredentialsAtFault(); got != want[kind].credentials {
			t.Errorf("%s: credentials at fault: %t", kind, got)
		}
		if !(&Error{Kind: kind, Local: true}).Stall().Reached(1, 0) {
			t.Errorf("%s: what the operator itself refuses does not stall at once", kind)
		}
	}
	for _, c := range []struct {
		rule   StallRule
		inARow int
		over   time.Duration
		want   bool
	}{
		{never, 1000, long, false}, {never, 0, 0, false},
		{atOnce, 0, long, false}, {atOnce, 1, 0, true},
		{StallRule{InARow: 3}, 2, long, false}, {StallRule{InARow: 3}, 3, 0, true},
		{StallRule{InARow: 3, Over: time.Minute}, 3, time.Minute - 1, false},
		{StallRule{InARow: 3, Over: time.Minute}, 2, long, false},
		{StallRule{InARow: 3, Over: time.Minute}, 3, time.Minute, true},
	} {
		if got := c.rule.Reached(c.inARow, c.over); got != c.want {
			t.Errorf("%+v after %d over %s: %t", c.rule, c.inARow, c.over, got)
		}
	}
}

func TestRefusalsOfTheOperatorItselfAreLocal(t *testing.T) {
	request := aRequest()
	request.Target.RegionID = "no region"
	client := clientOver(func(r *http.Request) (*http.Response, error) {
		return alicloudtest.Response(r, http.StatusBadRequest, alicloudtest.ErrorDocument("InvalidParameter", "")), nil
	})
	if failed := callAndFail(t, client, request); failed.Kind != InvalidRequest || !failed.Local {
		t.Errorf("an invalid region: %#v", failed)
	}
	if failed := callAndFail(t, client, aRequest()); failed.Kind != InvalidRequest || failed.Local {
		t.Errorf("a refusal of the API: %#v", failed)
	}
}

func TestInvalidResponsesAreExplained(t *testing.T) {
	for name, test := range map[string]struct {
		respond http.HandlerFunc
		kind    Kind
		says    string
	}{
		"an empty body":         {alicloudtest.Serve(200, ""), InvalidResponse, "HTTP 200 with an empty body"},
		"white space":           {alicloudtest.Serve(200, " \r\n\t"), InvalidResponse, ""},
		"no content":            {alicloudtest.Serve(204, ""), InvalidResponse, "HTTP 204 with an empty body"},
		"HTML":                  {alicloudtest.Serve(200, "<html><body>Sign in</body></html>"), InvalidResponse, "HTTP 200 with a document that is not"},
		"XML":                   {alicloudtest.Serve(200, "<DescribeHealthStatusResponse><RequestId>1</RequestId></DescribeHealthStatusResponse>"), InvalidResponse, "a document that is not"},
		"malformed JSON":        {alicloudtest.Serve(200, alicloudtest.OneRow[:60]+alicloudtest.OneRow), InvalidResponse, "a document that is not"},
		"half a document":       {alicloudtest.Serve(200, alicloudtest.OneRow[:60]), InvalidResponse, "a document that is not"},
		"more than a document":  {alicloudtest.Serve(200, alicloudtest.OneRow+alicloudtest.OneRow), InvalidResponse, ""},
		"an error under 200":    {alicloudtest.Refuse(200, "Forbidden.RAM", "no"), InvalidResponse, "an error document under a status of success"},
		"a number as Code":      {alicloudtest.Serve(400, `{"Code":400,"Message":"x","RequestId":"1"}`), InvalidResponse, "HTTP 400 with an error document that the SDK cannot read"},
		"an object as Message":  {alicloudtest.Serve(500, `{"Code":"InternalError","Message":{"a":1},"RequestId":"1"}`), InvalidResponse, "cannot read"},
		"text as denied detail": {alicloudtest.Serve(403, `{"Code":"Forbidden.RAM","Message":"x","AccessDeniedDetail":"text"}`), InvalidResponse, "cannot read"},
		"a list as RequestId":   {alicloudtest.Serve(503, `{"Code":"Throttling","RequestId":[]}`), InvalidResponse, "cannot read"},
		"deep JSON":             {alicloudtest.Serve(200, strings.Repeat(`{"a":[`, 50_000)), InvalidResponse, ""},
		"deep JSON, refused":    {alicloudtest.Serve(400, strings.Repeat(`[`, 50_000)+strings.Repeat(`]`, 50_000)), InvalidResponse, ""},
		"a gzip body":           {gzipped, InvalidResponse, "a document that is not"},
		"fewer bytes than said": {declaring(10_000), InvalidResponse, "a document that ends too early"},
		"a chunk cut off": {alicloudtest.AfterRequest(func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{\"RequestId\":")
		}), InvalidResponse, "a document that ends too early"},
		"not HTTP": {alicloudtest.AfterRequest(func(conn net.Conn) { _, _ = io.WriteString(conn, "SSH-2.0-OpenSSH_9.9\r\n") }), EndpointUnreachable, "its response cannot be read as HTTP/1.1"},
		"HTTP/2":   {alicloudtest.AfterRequest(func(conn net.Conn) { _, _ = io.WriteString(conn, "\x00\x00\x00\x04\x00\x00\x00\x00\x00") }), EndpointUnreachable, "its response cannot be read as HTTP/1.1"},
		"chunks without a length": {alicloudtest.AfterRequest(func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nlong\r\n"+alicloudtest.OneRow)
		}), EndpointUnreachable, "its response cannot be read as HTTP/1.1"},
		"a header too long": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Filler", strings.Repeat("x", 100<<10))
			alicloudtest.Serve(http.StatusOK, alicloudtest.OneRow)(w, r)
		}, EndpointUnreachable, "its response cannot be read as HTTP/1.1"},
		"a reset":                        {alicloudtest.AfterRequest(alicloudtest.Reset), EndpointUnreachable, "closed the connection without a response"},
		"a close":                        {alicloudtest.AfterRequest(func(net.Conn) {}), EndpointUnreachable, "closed the connection without a response"},
		"an interim response, and close": {alicloudtest.AfterRequest(func(conn net.Conn) { _, _ = io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n") }), EndpointUnreachable, ""},
		"the bare connection":            {alicloudtest.AfterRequest(switchProtocols), InvalidResponse, "HTTP 101 with a switch to another protocol"},
		"a login page elsewhere":         {http.RedirectHandler("https://login.invalid/", http.StatusFound).ServeHTTP, InvalidResponse, "HTTP 302 with a redirect"},
	} {
		t.Run(name, func(t *testing.T) {
			server := startHTTPS(t, test.respond)
			failed := failTwice(t, newTrustingClient(t, server))
			if failed.Kind != test.kind || !strings.Contains(failed.Message, test.says) || failed.Code != "" {
				t.Errorf("got %#v, want %s with %q", failed, test.kind, test.says)
			}
			if !strings.Contains(failed.Message, server.Listener.Addr().String()+" ") && !strings.Contains(failed.Message, server.Listener.Addr().String()+":") {
				t.Errorf("%q does not name the endpoint", failed.Message)
			}
		})
	}
}

func gzipped(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Encoding", "gzip")
	packed := gzip.NewWriter(w)
	_, _ = io.WriteString(packed, alicloudtest.OneRow)
	_ = packed.Close()
}

// switchProtocols keeps the connection open for longer than a call may run.
func switchProtocols(conn net.Conn) {
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
	_ = conn.SetReadDeadline(time.Now().Add(2 * alicloudtest.Patience))
	_, _ = io.Copy(io.Discard, conn)
}

func declaring(length int) http.HandlerFunc {
	return alicloudtest.AfterRequest(func(conn net.Conn) {
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", length, alicloudtest.OneRow)
	})
}

func TestResponseAfterTheTimeoutIsAFailure(t *testing.T) {
	for name, respond := range map[string]http.HandlerFunc{
		"nothing comes": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"it drips": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, " ")
				_ = http.NewResponseController(w).Flush()
				pause(r.Context(), 5*time.Millisecond)
			}
		},
		"half a header": alicloudtest.AfterRequest(func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-")
			_, _ = io.Copy(io.Discard, conn)
		}),
	} {
		t.Run(name, func(t *testing.T) {
			client := newTrustingClient(t, startHTTPS(t, respond))
			client.options.Timeout = 150 * time.Millisecond
			failed := failTwice(t, client)
			if failed.Kind != EndpointUnreachable || !strings.Contains(failed.Message, "no response within 150ms") {
				t.Errorf("got %v", failed)
			}
		})
	}
}

func TestUnreachableEndpointSaysWhy(t *testing.T) {
	silent := listen(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	alerting := listen(t, func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 4096))
		_, _ = conn.Write([]byte{21, 3, 3, 0, 2, 2, 40})
	})
	plain := httptest.NewServer(alicloudtest.Serve(200, alicloudtest.OneRow))
	t.Cleanup(plain.Close)
	closed := listen(t, nil)
	good, trustGood := servingTLS(t, time.Hour, "127.0.0.1")
	expired, trustExpired := servingTLS(t, -time.Minute, "127.0.0.1")
	misnamed, trustMisnamed := servingTLS(t, time.Hour, "slb.example")
	reachable := newTestClient(t, good)
	trustGood(poolOf(t, reachable))
	call(t, reachable, aRequest())
	for name, test := range map[string]struct {
		endpoint string
		prepare  func(*http.Transport)
		says     string
	}{
		"refused":           {"https://" + closed, nil, "connection refused"},
		"HTTP behind https": {strings.Replace(plain.URL, "http://", "https://", 1), nil, "it does not speak TLS"},
		"an unknown issuer": {good, nil, "its TLS certificate is signed by an unknown authority"},
		"expired":           {expired, trustExpired, "its TLS certificate has expired or is not valid yet"},
		"another name":      {misnamed, trustMisnamed, "its TLS certificate is for another name"},
		"a TLS alert":       {"https://" + alerting, nil, "it ended the TLS handshake"},
		"no TLS handshake":  {"https://" + silent, func(pool *http.Transport) { pool.TLSHandshakeTimeout = 50 * time.Millisecond }, "no connection within 5s"},
		"not in DNS":        {"https://slb.invalid", resolveWith(t, 3), "its name is not in DNS"},
		"DNS fails":         {"https://slb.invalid", resolveWith(t, 2), "DNS does not respond"},
		"a proxy that is not": {"https://slb.invalid", func(pool *http.Transport) {
			pool.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: closed, User: url.UserPassword(alicloudtest.KeyID, alicloudtest.Secret)})
		}, "connection refused"},
		"a proxy that refuses": {"https://slb.invalid", func(pool *http.Transport) {
			proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				http.Error(w, r.Header.Get("Proxy-Authorization")+alicloudtest.Secret, http.StatusProxyAuthRequired)
			}))
			t.Cleanup(proxy.Close)
			pool.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: proxy.Listener.Addr().String(), User: url.UserPassword("user", alicloudtest.Secret)})
		}, "the proxy refused with HTTP 407"},
	} {
		t.Run(name, func(t *testing.T) {
			client := newTestClient(t, test.endpoint)
			if test.prepare != nil {
				test.prepare(poolOf(t, client))
			}
			failed := failTwice(t, client)
			host := strings.TrimPrefix(test.endpoint, "https://")
			if want := host + ": " + test.says + "; check --slb-endpoint"; failed.Kind != EndpointUnreachable || !strings.HasPrefix(failed.Message, want) {
				t.Errorf("got %v, want %q", failed, want)
			}
		})
	}
}

func TestUnreachableRegionMentionsTheField(t *testing.T) {
	client := newTestClient(t, "")
	resolveWith(t, 3)(poolOf(t, client))
	poolOf(t, client).Proxy = nil
	request := aRequest()
	request.Target.RegionID = "cn-hangzhuo"
	failed := callAndFail(t, client, request)
	if want := "slb.cn-hangzhuo.aliyuncs.com: its name is not in DNS; check spec.regionId"; failed.Kind != EndpointUnreachable || !strings.HasPrefix(failed.Message, want) {
		t.Errorf("got %v", failed)
	}
}

func TestInvalidRegionSendsNoRequest(t *testing.T) {
	client := clientOver(func(*http.Request) (*http.Response, error) {
		t.Error("a request was sent")
		return nil, io.EOF
	})
	request := aRequest()
	request.Target.RegionID = "cn-hangzhou.evil.example/"
	if failed := callAndFail(t, client, request); failed.Kind != InvalidRequest || !strings.Contains(failed.Message, "spec.regionId") {
		t.Errorf("got %v", failed)
	}
	request.Target = Target{} // as where an older CustomResourceDefinition dropped serviceRef
	if failed := callAndFail(t, client, request); failed.Kind != InvalidRequest || !failed.Local || !strings.Contains(failed.Message, "spec names no load balancer") {
		t.Errorf("got %v", failed)
	}
}

// listen accepts connections and serves each once; without serve, nothing listens at the address.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	if serve == nil {
		_ = listener.Close()
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				serve(conn)
			}()
		}
	}()
	return listener.Addr().String()
}

// servingTLS starts a server with a certificate of its own for a name, valid
// from an hour ago for a time from now, and returns its URL and how to trust it.
func servingTLS(t *testing.T, valid time.Duration, name string) (endpoint string, trust func(*http.Transport)) {
	t.Helper()
	certPEM, keyPEM, err := cert.GenerateSelfSignedCertKeyWithOptions(cert.SelfSignedCertKeyOptions{Host: name, MaxAge: time.Hour + valid})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	server := newQuietServer(alicloudtest.Serve(http.StatusOK, alicloudtest.OneRow))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(certPEM)
	return server.URL, func(pool *http.Transport) {
		pool.TLSClientConfig = &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}
	}
}

// resolveWith makes a pool use a name server on loopback that has one response code for all names.
func resolveWith(t *testing.T, code byte) func(*http.Transport) {
	t.Helper()
	server, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	go func() {
		buffer := make([]byte, 1500)
		for {
			n, from, err := server.ReadFrom(buffer)
			if err != nil {
				return
			}
			reply := buffer[:n]
			reply[2] |= 0x80
			reply[3] = 0x80 | code
			_, _ = server.WriteTo(reply, from)
		}
	}()
	address := server.LocalAddr().String()
	resolver := &net.Resolver{PreferGo: true, Dial: resolverDial(address)}
	return func(pool *http.Transport) {
		pool.DialContext = (&net.Dialer{Resolver: resolver}).DialContext
	}
}

func TestErrorHasNoEchoOfTheRequest(t *testing.T) {
	echoes := map[string]func(*http.Request) string{
		"the URL":   func(r *http.Request) string { return "https://" + r.Host + r.URL.RequestURI() },
		"the query": func(r *http.Request) string { return r.URL.RawQuery },
		"the string to sign": func(r *http.Request) string {
			return "Specified signature is not matched with our calculation. server string to sign is:" + alicloudtest.StringToSign(r.Method, r.URL.Query())
		},
		"a bare string":           func(r *http.Request) string { return alicloudtest.StringToSign(r.Method, r.URL.Query()) },
		"the signature":           func(r *http.Request) string { return r.URL.Query().Get("Signature") },
		"the signature, in words": func(r *http.Request) string { return "Signature " + r.URL.Query().Get("Signature") + " is wrong" },
		"the key id":              func(*http.Request) string { return "The key " + alicloudtest.KeyID + " is not found" },
		"the key id, bare":        func(*http.Request) string { return alicloudtest.KeyID },
		"the key id, inside":      func(*http.Request) string { return "x" + alicloudtest.KeyID + "." },
		"the secret":              func(*http.Request) string { return "try " + alicloudtest.Secret },
		"the token":               func(*http.Request) string { return "token '" + alicloudtest.Token + "' expired" },
		"the token, escaped":      func(*http.Request) string { return "token=" + url.QueryEscape(alicloudtest.Token) },
		"the token, twice":        func(*http.Request) string { return url.QueryEscape(url.QueryEscape(alicloudtest.Token)) },
		"lines":                   func(r *http.Request) string { return strings.ReplaceAll(r.URL.RawQuery, "&", "\n") },
		"a header":                func(r *http.Request) string { return fmt.Sprint(r.Header, r.URL) },
		"behind a long text":      func(r *http.Request) string { return strings.Repeat("x", MaxText-20) + " " + r.URL.RawQuery },
	}
	positions := map[string]func(w http.ResponseWriter, echo string){
		"Message under 403": func(w http.ResponseWriter, echo string) {
			echoIn(w, http.StatusForbidden, map[string]any{"Code": "SignatureDoesNotMatch", "Message": echo})
		},
		"everything under 400": func(w http.ResponseWriter, echo string) {
			echoIn(w, http.StatusBadRequest, map[string]any{
				"Code": echo, "Message": echo, "RequestId": echo, "HostId": echo, "Recommend": echo, "AccessDeniedDetail": map[string]string{"a": echo},
			})
		},
		"all but the code": func(w http.ResponseWriter, echo string) {
			echoIn(w, http.StatusServiceUnavailable, map[string]any{"Code": "IncompleteSignature", "Message": echo, "RequestId": echo, "HostId": echo, "Recommend": echo})
		},
		"a body under 404": func(w http.ResponseWriter, echo string) { http.Error(w, echo, http.StatusNotFound) },
		"a body under 200": func(w http.ResponseWriter, echo string) { _, _ = io.WriteString(w, echo) },
		"a RequestId under 200": func(w http.ResponseWriter, echo string) {
			echoIn(w, http.StatusOK, map[string]any{"RequestId": echo, "Message": echo})
		},
		"headers": func(w http.ResponseWriter, echo string) {
			w.Header().Set("Location", echo)
			w.Header().Set("Retry-After", echo)
			w.WriteHeader(http.StatusFound)
		},
	}
	for position, respond := range positions {
		for name, echo := range echoes {
			t.Run(name+" in "+position, func(t *testing.T) {
				var signature string
				client := clientOver(func(request *http.Request) (*http.Response, error) {
					signature = request.URL.Query().Get("Signature")
					recorder := httptest.NewRecorder()
					respond(recorder, echo(request))
					return recorder.Result(), nil
				})
				for range 3 {
					failed := callAndFail(t, client, aRequest())
					alicloudtest.VerifySecretless(t, failed, signature)
				}
			})
		}
	}
}

func echoIn(w http.ResponseWriter, status int, document map[string]any) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(document)
}

func TestEqualRefusalsHaveEqualMessages(t *testing.T) {
	n := 0
	server := startHTTPS(t, func(w http.ResponseWriter, r *http.Request) {
		n++
		id := fmt.Sprintf("6AF7FDB7-4F22-4E4F-9B2D-%012d", n)
		at := time.Now().Add(time.Duration(n) * time.Hour).UTC().Format(time.RFC3339)
		echoIn(w, http.StatusBadRequest, map[string]any{
			"RequestId": id, "Code": "InvalidTimeStamp.Expired",
			"Message": "Request " + id + ": the timestamp " + r.URL.Query().Get("Timestamp") + " is not near " + at + ", nonce " + r.URL.Query().Get("SignatureNonce") + ".",
		})
	})
	failed := failTwice(t, newTrustingClient(t, server))
	if !strings.Contains(failed.Message, "is not near") {
		t.Errorf("the API's words are missing: %q", failed.Message)
	}
}

func TestRefusalKeepsTheLoadBalancerReadable(t *testing.T) {
	server := startHTTPS(t, alicloudtest.Refuse(http.StatusNotFound, "InvalidLoadBalancerId.NotFound", "The specified LoadBalancerId "+alicloudtest.LoadBalancer+" does not exist."))
	failed := callAndFail(t, newTrustingClient(t, server), aRequest())
	if !strings.Contains(failed.Message, "LoadBalancerId "+alicloudtest.LoadBalancer+" does not exist; check") {
		t.Errorf("got %q", failed.Message)
	}
}

func TestMessageIsBounded(t *testing.T) {
	request := aRequest()
	request.Target.Account = Account{Namespace: strings.Repeat("n", 63), Name: strings.Repeat("s", 253)}
	request.Target.LoadBalancerID = strings.Repeat("l", 128)
	for _, code := range []string{"Forbidden.RAM", "InvalidLoadBalancerId.NotFound", "SignatureDoesNotMatch", "Throttling", "Whatever", "F" + strings.Repeat("x", 63)} {
		client := clientOver(func(request *http.Request) (*http.Response, error) {
			return alicloudtest.Response(request, http.StatusBadRequest, alicloudtest.ErrorDocument(code, strings.Repeat("words and ", 100_000))), nil
		})
		var err error
		if duration := alicloudtest.ProcessorTime(t, func() { _, err = client.DescribeHealthStatus(t.Context(), request) }); duration > 2*time.Second {
			t.Errorf("%s: took %s", code, duration)
		}
		if err == nil || len(err.Error()) > 1000 {
			t.Errorf("%s: %d bytes", code, len(err.Error()))
		}
	}
}
