// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"sigs.k8s.io/yaml"
)

// Config is the content of a configuration file. Field names in YAML and JSON are the tags'.
type Config struct {
	// accounts that may call. Absent: any key is accepted and signatures are not checked.
	Accounts []Account `json:"accounts,omitempty"`
	// loadBalancers of CLB that exist; an id may occur once.
	LoadBalancers []LoadBalancer `json:"loadBalancers,omitempty"`
	// nlb and alb have the load balancers and server groups of these products.
	NLB ProductConfig `json:"nlb,omitzero"`
	ALB ProductConfig `json:"alb,omitzero"`
}

// Account is one access key, what it may see and how many calls it may make.
type Account struct {
	AccessKeyID     string `json:"accessKeyId"`
	AccessKeySecret string `json:"accessKeySecret"`
	// securityToken makes this a temporary (STS) key: each request must then carry the token.
	SecurityToken string `json:"securityToken,omitempty"`
	// qps is how many calls a second pass before Throttling.User; absent: no limit.
	QPS float64 `json:"qps,omitempty"`
	// burst is how many calls may arrive at once; absent: qps rounded up.
	Burst int `json:"burst,omitempty"`
	// allow lists the load balancers that this key may see, each an id or a pattern such as "lb-web-*"; every other one
	// gets Forbidden.RAM. Absent: all; empty: none. For NLB and ALB it also lists server groups.
	Allow []string `json:"allow,omitempty"`
	// allowListeners is false where this key may not call DescribeLoadBalancerListeners; absent: it may, for the load
	// balancers that it may see.
	AllowListeners *bool `json:"allowListeners,omitempty"`
}

// LoadBalancer is one instance with the rows that DescribeHealthStatus returns for it, and the listeners that
// DescribeLoadBalancerListeners returns.
type LoadBalancer struct {
	LoadBalancerID string    `json:"loadBalancerId"`
	RegionID       string    `json:"regionId"`
	Backends       []Backend `json:"backends"`
	// listeners need to have only those with other settings: each listener of a backend is one of them, running
	// and with a health check by default.
	Listeners []Listener `json:"listeners,omitempty"`
}

// Backend is one row: one server behind one listener. A field that is absent here is absent in the response, as in
// responses of the real API, except for the health status, whose default is normal.
type Backend struct {
	ServerID string `json:"serverId"`
	ServerIP string `json:"serverIp,omitempty"`
	EniHost  string `json:"eniHost,omitempty"`
	// type is ecs or eni.
	Type string `json:"type,omitempty"`
	// listenerPort is the front-end port, 1-65535.
	ListenerPort int `json:"listenerPort,omitempty"`
	// listenerProtocol is tcp, udp, http or https.
	ListenerProtocol string `json:"listenerProtocol,omitempty"`
	// port is the back-end port, 1-65535.
	Port int `json:"port,omitempty"`
	// serverHealthStatus is normal, abnormal or unavailable.
	ServerHealthStatus string `json:"serverHealthStatus,omitempty"`
}

// LoadConfig reads and checks a file. The error has the file, the field and what to write there.
func LoadConfig(path string) (Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Config{}, err
	}
	cfg, err := ParseConfig(data)
	if err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return cfg, nil
}

// ParseConfig reads and checks YAML or JSON. Unknown fields, duplicate keys and values that
// the API could not return are refused: a typing error must not become a test that passes
// for the wrong reason. So is a file without content: it is probably incomplete, and would
// disable the verification of signatures.
func ParseConfig(data []byte) (Config, error) {
	if hasSecondDocument(string(data)) {
		return Config{}, errors.New("a second YAML document follows ---: write one document")
	}
	asJSON, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return Config{}, fmt.Errorf("not valid YAML: %s", strings.TrimPrefix(oneLine(err), "yaml: "))
	}
	if text := string(asJSON); text == "null" || text == "{}" {
		return Config{}, errors.New("the document is empty: write accounts or loadBalancers; loadBalancers: [] for none")
	}
	var cfg Config
	if err := decodeStrict(asJSON, &cfg); err != nil {
		return Config{}, err
	}
	if err := cfg.Validate(); err != nil {
		return Config{}, err
	}
	return cfg, nil
}

// hasSecondDocument reports whether a text has a second document, which the YAML reader would ignore.
func hasSecondDocument(text string) bool {
	content := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\r\n")
		if line == "---" || strings.HasPrefix(line, "--- ") {
			if content {
				return true
			}
			continue
		}
		content = content || line != "" && !strings.HasPrefix(line, "#")
	}
	return false
}
