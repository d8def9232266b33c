// SPDX-License-Identifier: Apache-2.0

package alicloud

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
)

// Networks that Alibaba Cloud serves its endpoints on.
const (
	NetworkInternet = "internet"
	NetworkVPC      = "vpc"
)

// Endpoint says where the API is. The zero value is the region's own, over HTTPS.
type Endpoint struct {
	// plain selects HTTP instead of HTTPS.
	plain bool
	// host is host or host:port for every region, or "" for the region's own endpoint.
	host string
	// vpc selects the region's endpoint inside a VPC.
	vpc bool
}

// ParseEndpoint reads the flags --slb-endpoint (http:// or https:// and
// host:port, or "" for the region's own, over HTTPS) and --slb-network
// (internet or vpc), which are for every product. Its errors name the flag and
// what to write instead.
func ParseEndpoint(endpoint, network string) (Endpoint, error) {
	if network != NetworkInternet && network != NetworkVPC {
		return Endpoint{}, fmt.Errorf("--slb-network %q is not known: write internet or vpc", network)
	}
	if endpoint == "" {
		return Endpoint{vpc: network == NetworkVPC}, nil
	}
	if network == NetworkVPC {
		return Endpoint{}, errors.New("--slb-network vpc chooses among the regions' own endpoints, which --slb-endpoint replaces: set only one of them")
	}
	return parseAddress("--slb-endpoint", "https://slb.aliyuncs.com:443", endpoint)
}

// ParseProductEndpoint reads the flag with the endpoint of one product, such as
// --nlb-endpoint for ProductNLB: http:// or https:// and host:port.
func ParseProductEndpoint(product, endpoint string) (Endpoint, error) {
	return parseAddress("--"+product+"-endpoint", "https://"+product+".cn-hangzhou.aliyuncs.com:443", endpoint)
}

// parseAddress reads the value of a flag; example is one that it could have.
func parseAddress(flag, example, endpoint string) (Endpoint, error) {
	parsed, err := url.Parse(endpoint)
	if err != nil || parsed.Hostname() == "" || (parsed.Scheme != "http" && parsed.Scheme != "https") || !validPort(parsed) ||
		parsed.User != nil || strings.Trim(parsed.Path, "/") != "" || parsed.RawQuery != "" || parsed.Fragment != "" {
		return Endpoint{}, fmt.Errorf("%s must be http:// or https:// and host:port, such as %s, and nothing else", flag, example)
	}
	if err := checkZone(flag, strings.ToLower(parsed.Hostname())); err != nil {
		return Endpoint{}, err
	}
	return Endpoint{plain: parsed.Scheme == "http", host: parsed.Host}, nil
}

// regionID is the form of region ids, as in the CRD. The first parts are those
// that Alibaba Cloud uses: the id becomes a part of the host name
// slb.<region>.aliyuncs.com, which for oss-cn-hangzhou is that of a bucket
// which anyone may own.
var regionID = regexp.MustCompile(`^(cn|ap|us|eu|me|na|sa|af|ca|rus)(-[a-z0-9]+)+$`)

// maxRegionID is the CRD's bound: a region id is one label of a host name.
const maxRegionID = 63

// IsRegionID reports whether an id could be that of a region. No other id becomes
// a part of a host name: a slash or a dot would name any host.
func IsRegionID(id string) bool { return len(id) <= maxRegionID && regionID.MatchString(id) }

// zoneID is the form of zone ids: that of their region, and a letter.
var zoneID = regexp.MustCompile(`^[a-z]+-[a-z]+(-[a-z]+)*(-\d+[a-z]|-[a-z])$`)

// checkZone refuses the host of a flag where it names a zone: an IPv6 zone, or a
// zone of a region, because Alibaba Cloud's host names have the region.
func checkZone(flag, host string) error {
	if strings.Contains(host, "%") {
		return errors.New(flag + " has an IPv6 zone id, which no request can carry: write the address without %")
	}
	if !strings.HasSuffix(host, ".aliyuncs.com") {
		return nil
	}
	for part := range strings.SplitSeq(host, ".") {
		if IsRegionID(part) && zoneID.MatchString(part) {
			return fmt.Errorf("%s names the zone %s, and endpoints are of regions: write the region", flag, part)
		}
	}
	return nil
}

// validPort reports whether a URL has a port that can be dialled, or none.
func validPort(u *url.URL) bool {
	if !strings.HasSuffix(u.Host, ":"+u.Port()) {
		return true
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	return err == nil && port > 0
}

// scheme is the protocol as the SDK spells it.
func (e Endpoint) scheme() string {
	if e.plain {
		return requests.HTTP
	}
	return requests.HTTPS
}

func (e Endpoint) apply(client *sdk.Client, product *Product) {
	client.Domain = e.host
	client.EndpointMap = product.EndpointMap
	client.EndpointType = product.EndpointType
	if e.vpc {
		client.Network = NetworkVPC
	}
}
