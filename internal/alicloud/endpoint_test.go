// SPDX-License-Identifier: Apache-2.0

package alicloud

import (
	"net/http"
	"strings"
	"testing"

	"github.com/lbhealth/slb-health-operator/internal/alicloud/alicloudtest"
)

func TestParseEndpointAcceptsAddresses(t *testing.T) {
	for _, test := range []struct {
		endpoint, network string
		want              Endpoint
	}{
		{"", "internet", Endpoint{}},
		{"", "vpc", Endpoint{vpc: true}},
		{"https://slb.aliyuncs.com", "internet", Endpoint{host: "slb.aliyuncs.com"}},
		{"https://slb.aliyuncs.com/", "internet", Endpoint{host: "slb.aliyuncs.com"}},
		{"https://slb.aliyuncs.com:443", "internet", Endpoint{host: "slb.aliyuncs.com:443"}},
		{"HTTPS://slb.aliyuncs.com", "internet", Endpoint{host: "slb.aliyuncs.com"}},
		{"http://127.0.0.1:8888", "internet", Endpoint{plain: true, host: "127.0.0.1:8888"}},
		{"http://[::1]:8888", "internet", Endpoint{plain: true, host: "[::1]:8888"}},
		{"http://[::1]", "internet", Endpoint{plain: true, host: "[::1]"}},
		{"https://slb.cn-hangzhou.aliyuncs.com", "internet", Endpoint{host: "slb.cn-hangzhou.aliyuncs.com"}},
		{"https://slb-vpc.ap-southeast-1.aliyuncs.com", "internet", Endpoint{host: "slb-vpc.ap-southeast-1.aliyuncs.com"}},
		{"https://slb.cn-zhangbei-na61-b01.aliyuncs.com", "internet", Endpoint{host: "slb.cn-zhangbei-na61-b01.aliyuncs.com"}},
		{"https://relay.cn-hangzhou-b.example", "internet", Endpoint{host: "relay.cn-hangzhou-b.example"}},
	} {
		got, err := ParseEndpoint(test.endpoint, test.network)
		if err != nil || got != test.want {
			t.Errorf("ParseEndpoint(%q, %q) = (%+v, %v), want %+v", test.endpoint, test.network, got, err, test.want)
		}
	}
}

func TestParseEndpointMentionsTheFlagAndNoPassword(t *testing.T) {
	for _, test := range []struct{ endpoint, network, flag string }{
		{"", "", "--slb-network"},
		{"", "VPC", "--slb-network"},
		{"", "intranet\n", "--slb-network"},
		{"https://slb.aliyuncs.com", "vpc", "--slb-network"},
		{"slb.aliyuncs.com", "internet", "--slb-endpoint"},
		{"127.0.0.1:8888", "internet", "--slb-endpoint"},
		{"slb.aliyuncs.com:443", "internet", "--slb-endpoint"},
		{"//slb.aliyuncs.com", "internet", "--slb-endpoint"},
		{"ftp://slb.aliyuncs.com", "internet", "--slb-endpoint"},
		{"https://", "internet", "--slb-endpoint"},
		{"https://:443", "internet", "--slb-endpoint"},
		{"https:slb.aliyuncs.com", "internet", "--slb-endpoint"},
		{"https://slb.aliyuncs.com:", "internet", "--slb-endpoint"},
		{"https://slb.aliyuncs.com:0", "internet", "--slb-endpoint"},
		{"https://slb.aliyuncs.com:65536", "internet", "--slb-endpoint"},
		{"https://slb.aliyuncs.com:https", "internet", "--slb-endpoint"},
		{"https://slb.aliyuncs.com/api", "internet", "--slb-endpoint"},
		{"https://slb.aliyuncs.com?a=b", "internet", "--slb-endpoint"},
		{"https://slb.aliyuncs.com#a", "internet", "--slb-endpoint"},
		{"https://user:" + alicloudtest.Secret + "@slb.aliyuncs.com", "internet", "--slb-endpoint"},
		{"https://user:%" + alicloudtest.Secret + "@slb.aliyuncs.com", "internet", "--slb-endpoint"},
		{"https://slb.aliyuncs.com\n", "internet", "--slb-endpoint"},
		{" https://slb.aliyuncs.com", "internet", "--slb-endpoint"},
		{"http://[fe80::1%25eth0]:8888", "internet", "--slb-endpoint"},
		{"https://[fe80::1%25eth0]", "internet", "--slb-endpoint"},
		{"https://slb.cn-hangzhou-b.aliyuncs.com", "internet", "--slb-endpoint"},
		{"https://SLB-VPC.CN-Hangzhou-B.aliyuncs.com:443", "internet", "--slb-endpoint"},
		{"https://slb.ap-southeast-1a.aliyuncs.com", "internet", "--slb-endpoint"},
		{"https://slb-vpc.cn-shanghai-finance-1b.aliyuncs.com", "internet", "--slb-endpoint"},
	} {
		got, err := ParseEndpoint(test.endpoint, test.network)
		if err == nil || got != (Endpoint{}) {
			t.Errorf("ParseEndpoint(%q, %q) = (%+v, %v)", test.endpoint, test.network, got, err)
			continue
		}
		if text := err.Error(); !strings.HasPrefix(text, test.flag+" ") || strings.Contains(text, alicloudtest.Secret) || strings.Contains(text, "\n") {
			t.Errorf("ParseEndpoint(%q, %q): %q", test.endpoint, test.network, text)
		}
	}
}

func TestEndpointOfAProductHasItsFlag(t *testing.T) {
	got, err := ParseProductEndpoint(ProductNLB, "https://nlb.example.com:443")
	if want := (Endpoint{host: "nlb.example.com:443"}); err != nil || got != want {
		t.Errorf("got (%+v, %v), want %+v", got, err, want)
	}
	for _, endpoint := range []string{"", "nlb.example.com", "https://nlb.example.com/api", "http://[fe80::1%25eth0]:8888", "https://nlb.cn-hangzhou-b.aliyuncs.com"} {
		if _, err := ParseProductEndpoint(ProductNLB, endpoint); err == nil || !strings.HasPrefix(err.Error(), "--nlb-endpoint ") {
			t.Errorf("%q: %v", endpoint, err)
		}
	}
}

func TestInvalidRegionIDReachesNoHost(t *testing.T) {
	for _, network := range []string{NetworkInternet, NetworkVPC} {
		for _, region := range []string{
			"", "cn", "cn-", "CN-hangzhou", "cn-a.evil.com", "evil.com/", "cn-a/", "evil.com#", "evil.com?", "cn-a@evil.com", "cn-a:443",
			"cn-a%2f", `evil.com\`, "..", "cn-a\n", "\ncn-a", "cn-a evil.com", "cn-a\x00", "cn-ä", "127.0.0.1/", "[::1]/",
			"100.100.100.200/latest/meta-data#", "<region_id>", "cn-a,cn-b",
			// Their hosts have other owners: slb.oss-cn-hangzhou.aliyuncs.com is the bucket slb.
			"oss-cn-hangzhou", "oss-cn-hangzhou-internal", "oss-accelerate", "img-cn-hangzhou", "mns-cn-a", "fc-a", "vpc-a",
			"cnx-a", "ru-a", "cn-" + strings.Repeat("a", 61),
		} {
			host := ""
			client := clientOver(func(request *http.Request) (*http.Response, error) {
				host = request.URL.Host
				return alicloudtest.Response(request, http.StatusOK, alicloudtest.NoRows), nil
			})
			var err error
			if client.options.Endpoint, err = ParseEndpoint("", network); err != nil {
				t.Fatal(err)
			}
			request := aRequest()
			request.Target.RegionID = region
			observation, err := client.DescribeHealthStatus(t.Context(), request)
			if failed := failure(t, observation, err); failed.Kind != InvalidRequest || !strings.Contains(failed.Message, "spec.regionId") {
				t.Errorf("%q: %v", region, failed)
			}
			if host != "" {
				t.Errorf("%q led to the host %s", region, host)
			}
		}
	}
}

func TestRegionsOfTheSDKAreValid(t *testing.T) {
	for region := range testProduct.EndpointMap {
		if !IsRegionID(region) || checkZone("--slb-endpoint", "slb."+region+".aliyuncs.com") != nil {
			t.Errorf("%s is no region", region)
		}
	}
	for _, region := range []string{"cn-a", "sa-east-1", "af-south-1", "ca-central-1", "na-south-1", "me-central-1", "cn-" + strings.Repeat("a", 60)} {
		if !IsRegionID(region) {
			t.Errorf("%s is no region", region)
		}
	}
}
