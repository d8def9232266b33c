// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

const groupsFile = `nlb:
  loadBalancers:
  - loadBalancerId: nlb-web
    regionId: cn-hangzhou
    listeners:
    - {listenerPort: 80, listenerProtocol: TCP, serverGroupIds: [sgp-web]}
  serverGroups:
  - serverGroupId: sgp-web
    regionId: cn-hangzhou
    servers:
    - {serverId: i-1, serverIp: 10.0.0.1, port: 8080}
    - {serverId: i-2, serverIp: 10.0.0.2, port: 8080, weight: 0}
alb:
  loadBalancers:
  - loadBalancerId: alb-web
    regionId: cn-hangzhou
    listeners:
    - listenerPort: 443
      listenerProtocol: HTTPS
      serverGroupIds: [sgp-web]
      rules:
      - {ruleId: rule-1, mirrorServerGroupIds: [sgp-web]}
  serverGroups:
  - {serverGroupId: sgp-web, regionId: cn-hangzhou, servers: []}
`

func TestConfigOfNLBAndALB(t *testing.T) {
	cfg, err := ParseConfig([]byte(groupsFile))
	if err != nil {
		t.Fatal(err)
	}
	sim := New(cfg, Options{})
	defer sim.Close()
	lb, known := sim.NLB().LoadBalancer("nlb-web")
	group, found := sim.NLB().ServerGroup("sgp-web")
	if !known || lb.Listeners[0].ListenerID != "lsn-web-tcp@80" || !found || *group.Servers[0].Weight != 100 || *group.Servers[1].Weight != 0 {
		t.Errorf("got %+v and %+v", lb, group)
	}
	if group, found = sim.ALB().ServerGroup("sgp-web"); !found || len(group.Servers) != 0 {
		t.Errorf("got %+v: each product has server groups of its own", group)
	}
}

// Each edit of the file makes one value impossible; the error names it by its path.
func TestInvalidConfigOfNLBAndALB(t *testing.T) {
	for _, tc := range []struct{ old, new, want string }{
		{"loadBalancerId: nlb-web", "loadBalancerId: lb-web", `nlb.loadBalancers[0].loadBalancerId: "lb-web" is no id of this product: write one that begins with nlb-`},
		{"loadBalancerId: nlb-web", "loadBalancerId: nlb web", `nlb.loadBalancers[0].loadBalancerId: "nlb web" is no id`},
		{"  serverGroups:\n", "  serverGroup:\n", `unknown field "nlb.serverGroup"`},
		{"listenerPort: 80,", "listenerPort: 0,", "nlb.loadBalancers[0].listeners[0].listenerPort: 0 is too low"},
		{"listenerPort: 80,", "listenerPort: 65536,", "nlb.loadBalancers[0].listeners[0].listenerPort: 65536 is no port"},
		{"listenerPort: 80, ", "", "nlb.loadBalancers[0].listeners[0].listenerPort: 0 is no port"},
		{"listenerPort: 80, ", "startPort: 90, endPort: 80, ", "listeners[0].startPort, endPort: 90 to 80 is no range"},
		{"listenerPort: 80, ", "listenerPort: 80, startPort: 80, endPort: 90, ", "listeners[0].listenerPort: a listener with a range has none"},
		{"listenerPort: 80, ", "listenerPort: 80, listenerId: 'lsn 1', ", `listeners[0].listenerId: "lsn 1" is no listener id`},
		{"listenerPort: 443\n", "startPort: 443\n      endPort: 444\n", "alb.loadBalancers[0].listeners[0].startPort: a listener of ALB has no range"},
		{"listenerProtocol: TCP", "listenerProtocol: tcp", `listenerProtocol: "tcp" is not known: write one of TCP, UDP, TCPSSL`},
		{"listenerProtocol: TCP, ", "", "listenerProtocol: missing: write one of TCP, UDP, TCPSSL"},
		{"listenerProtocol: HTTPS", "listenerProtocol: TCP", `listenerProtocol: "TCP" is not known: write one of HTTP, HTTPS, QUIC`},
		{"TCP, serverGroupIds: [sgp-web]", "TCP, serverGroupIds: [sgp-web, sgp-web]", "serverGroupIds: a listener of NLB has one"},
		{"TCP, serverGroupIds: [sgp-web]", "TCP", "listeners[0].serverGroupIds: missing"},
		{"TCP, serverGroupIds: [sgp-web]", "TCP, serverGroupIds: [sgp-we]", `nlb.loadBalancers[0].listeners[0]: no such server group in cn-hangzhou: "sgp-we": write it under serverGroups, too`},
		{"TCP, serverGroupIds: [sgp-web]", "TCP, serverGroupIds: [sgp-web], rules: [{ruleId: rule-2}]", "listeners[0].rules: a listener of NLB has none"},
		{"mirrorServerGroupIds: [sgp-web]", "mirrorServerGroupIds: [sgp-we]", "alb.loadBalancers[0].listeners[0]: no such server group"},
		{"ruleId: rule-1, ", "", `alb.loadBalancers[0].listeners[0].rules[0].ruleId: "" is no id`},
		{"- {ruleId: rule-1", "- {ruleId: rule-1}\n      - {ruleId: rule-1", `alb.loadBalancers[0].listeners[0].rules[1].ruleId: "rule-1" stands twice`},
		{"    - {listenerPort: 80,", "    - {listenerPort: 80, listenerProtocol: TCP, serverGroupIds: [sgp-web]}\n    - {listenerPort: 80,", `listeners[1].listenerId: "lsn-web-tcp@80" stands twice`},
		{"port: 8080}", "port: 8080, weight: 101}", "nlb.serverGroups[0].servers[0].weight: 101 is out of range"},
		{"port: 8080}", "port: 8080, weight: -1}", "weight: -1 is out of range"},
		{"port: 8080}", "port: 0}", "nlb.serverGroups[0].servers[0].port: 0 is too low"},
		{"port: 8080}", "port: 8080, status: available}", `status: "available" is not known: write one of Available, Adding, Configuring, Removing`},
		{"port: 8080}", "port: 8080, healthStatus: Healthy}", `healthStatus: "Healthy" is not known: write one of Normal, Initial, Unhealthy, Unused, Unavailable`},
		{"port: 8080}", "port: 8080, serverType: Fc}", `serverType: "Fc" is not known: write one of Ecs, Eni, Eci, Ip`},
		{"port: 8080}", "port: 8080, actualResponse: '302'}", "actualResponse, expectedResponse: NLB returns none"},
		{"serverId: i-1, serverIp: 10.0.0.1, ", "", "nlb.serverGroups[0].servers[0].serverId: missing"},
		{"serverId: i-1,", "serverId: i 1,", `serverId: "i 1" is no id`},
		{"serverIp: 10.0.0.1", "serverIp: 10.0.0", `serverIp: "10.0.0" is no IP address`},
		{"serverId: i-2, serverIp: 10.0.0.2", "serverId: i-1, serverIp: 10.0.0.1", `servers[1].serverId: "i-1" stands twice in this group`},
		{"{serverGroupId: sgp-web, regionId: cn-hangzhou,", "{serverGroupId: sgp-web, regionId: hangzhou,", `alb.serverGroups[0].regionId: "hangzhou" is no region`},
		{"{serverGroupId: sgp-web, regionId: cn-hangzhou,", "{serverGroupId: sgp@web, regionId: cn-hangzhou,", `alb.serverGroups[0].serverGroupId: "sgp@web" is no id`},
		{"{serverGroupId: sgp-web, regionId: cn-hangzhou,", "{serverGroupId: sgp-web, regionId: cn-hangzhou, healthCheck: off,", "healthCheck: got bool, want string"},
		{"{serverGroupId: sgp-web, regionId: cn-hangzhou,", "{serverGroupId: sgp-web, regionId: cn-hangzhou, serverGroupType: Ecs,", `serverGroupType: "Ecs" is not known: write one of Instance, Ip, Fc`},
		{"  - {serverGroupId: sgp-web", "  - {serverGroupId: sgp-web, regionId: cn-x, servers: []}\n  - {serverGroupId: sgp-web", `alb.serverGroups[1].serverGroupId: "sgp-web" stands twice`},
	} {
		text := strings.Replace(groupsFile, tc.old, tc.new, 1)
		if text == groupsFile {
			t.Fatalf("%q is not in the file", tc.old)
		}
		if _, err := ParseConfig([]byte(text)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q for %q: got %v, want %s", tc.new, tc.old, err, tc.want)
		}
	}
}

// Each file of the documentation is one that the simulator reads.
func TestDocumentedFiles(t *testing.T) {
	page, err := os.ReadFile("../../docs/simulator.md")
	if err != nil {
		t.Fatal(err)
	}
	files := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(files) != 2 {
		t.Fatalf("found %d files", len(files))
	}
	for _, file := range files {
		if _, err := ParseConfig([]byte(file[1])); err != nil {
			t.Errorf("%v in\n%s", err, file[1])
		}
	}
}
