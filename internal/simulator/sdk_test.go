// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	sdkerrors "github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/slb"
)

// wrapped hides a transport's type from the client, which would replace the TLS settings of an *http.Transport.
type wrapped struct{ http.RoundTripper }

// sdkClient is Alibaba's own Go client, pointed at a test server.
func sdkClient(t *testing.T, server *httptest.Server, credential any) *slb.Client {
	t.Helper()
	client := &slb.Client{}
	initClient(t, &client.Client, server, credential)
	return client
}

func initClient(t *testing.T, client *sdk.Client, server *httptest.Server, credential any) {
	t.Helper()
	scheme, host, _ := strings.Cut(server.URL, "://")
	config := sdk.NewConfig().WithScheme(strings.ToUpper(scheme)).WithAutoRetry(false).WithMaxRetryTime(0)
	config.Transport = wrapped{server.Client().Transport}
	var err error
	switch key := credential.(type) {
	case *credentials.StsTokenCredential:
		err = client.InitWithOptions("cn-hangzhou", config, key)
	case *credentials.AccessKeyCredential:
		err = client.InitWithOptions("cn-hangzhou", config, key)
	}
	if err != nil {
		t.Fatal(err)
	}
	client.Domain = host
}

func describe(format, method string) *slb.DescribeHealthStatusRequest {
	request := slb.CreateDescribeHealthStatusRequest()
	request.LoadBalancerId, request.AcceptFormat, request.Method = "lb-demo", format, method
	return request
}

func TestOfficialGoClient(t *testing.T) {
	good := credentials.NewAccessKeyCredential(testKey, testSecret)
	for _, serve := range []struct {
		name  string
		start func(http.Handler) *httptest.Server
	}{{"http", httptest.NewServer}, {"https", httptest.NewTLSServer}} {
		for _, format := range []string{"JSON", "XML"} {
			for _, method := range []string{requests.GET, requests.POST} {
				t.Run(serve.name+" "+format+" "+method, func(t *testing.T) {
					server := serve.start(New(testConfig(), Options{}))
					defer server.Close()
					request := describe(format, method)
					request.ListenerPort, request.ListenerProtocol = requests.NewInteger(53), "udp"
					response, err := sdkClient(t, server, good).DescribeHealthStatus(request)
					if err != nil {
						t.Fatal(err)
					}
					rows := response.BackendServers.BackendServer
					if response.RequestId == "" || len(rows) != 1 || rows[0].ServerId != "i-4" || rows[0].ListenerPort != 53 ||
						rows[0].Protocol != "udp" || rows[0].ServerHealthStatus != StatusAbnormal || rows[0].ServerIp != "10.0.0.4" {
						t.Errorf("got %+v", response)
					}
				})
			}
		}
	}
}

func TestOfficialGoClientWithToken(t *testing.T) {
	server := httptest.NewServer(New(testConfig(), Options{}))
	defer server.Close()
	client := sdkClient(t, server, credentials.NewStsTokenCredential("STS.example", "sts-secret", "tok+en/=="))
	if _, err := client.DescribeHealthStatus(describe("JSON", requests.POST)); err != nil {
		t.Fatal(err)
	}
}

func TestOfficialGoClientSeesErrors(t *testing.T) {
	server := httptest.NewServer(New(testConfig(), Options{}))
	defer server.Close()
	client := sdkClient(t, server, credentials.NewAccessKeyCredential(testKey, "other"))
	_, err := client.DescribeHealthStatus(describe("JSON", requests.POST))
	got, ok := errors.AsType[*sdkerrors.ServerError](err)
	if !ok || got.ErrorCode() != "SignatureDoesNotMatch" || got.HttpStatus() != 400 || got.RequestId() == "" {
		t.Fatalf("got %v", err)
	}
	// The client compares the quoted string with its own: only when both are equal does it blame the secret.
	if !strings.Contains(got.Error(), "InvalidAccessKeySecret") {
		t.Errorf("the client signed another string than the server: %v", got)
	}
}
