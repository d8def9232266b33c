// SPDX-License-Identifier: Apache-2.0

package slb

import (
	"fmt"
	"net/url"
	"strings"

	sdkslb "github.com/aliyun/alibaba-cloud-sdk-go/services/slb"
)

// Networks that Alibaba Cloud serves its endpoints on.
const (
	NetworkInternet = "internet"
	NetworkVPC      = "vpc"
)

// Endpoint says where the SLB API is.
type Endpoint struct {
	// scheme is HTTP or HTTPS, as the SDK spells it.
	scheme string
	// host is host or host:port for every region, or "" for the region's own endpoint.
	host string
	// vpc asks for the region's endpoint inside a VPC.
	vpc bool
}

// ParseEndpoint reads the flags --slb-endpoint (http:// or https:// and
// host:port, or "" for the region's own, over HTTPS) and --slb-network
// (internet or vpc). Its errors name the flag and what to write instead.
func ParseEndpoint(endpoint, network string) (Endpoint, error) {
	if network != NetworkInternet && network != NetworkVPC {
		return Endpoint{}, fmt.Errorf("--slb-network %q is not known: write internet or vpc", network)
	}
	if endpoint == "" {
		return Endpoint{scheme: "HTTPS", vpc: network == NetworkVPC}, nil
	}
	parsed, err := url.Parse(endpoint)
	if err != nil || parsed.Hostname() == "" || (parsed.Scheme != "http" && parsed.Scheme != "https") ||
		parsed.User != nil || strings.Trim(parsed.Path, "/") != "" || parsed.RawQuery != "" || parsed.Fragment != "" {
		return Endpoint{}, fmt.Errorf("--slb-endpoint must be http:// or https:// and host:port, such as https://slb.aliyuncs.com:443, and nothing else")
	}
	return Endpoint{scheme: strings.ToUpper(parsed.Scheme), host: parsed.Host}, nil
}

// The SDK fills these tables lazily and unguarded, so it is done once, before
// any client is built.
var (
	endpointMap  = sdkslb.GetEndpointMap()
	endpointType = sdkslb.GetEndpointType()
)

func (e Endpoint) apply(client *sdkslb.Client) {
	client.Domain = e.host
	client.EndpointMap = endpointMap
	client.EndpointType = endpointType
	if e.vpc {
		client.Network = NetworkVPC
	}
}
