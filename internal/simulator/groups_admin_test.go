// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
)

func TestAdminServerGroups(t *testing.T) {
	_, base := start(t, Config{}, Options{})
	const (
		group   = "/nlb/servergroups/sgp-1"
		servers = group + "/servers"
		one     = `{"regionId":"cn-hangzhou","servers":[{"serverId":"i-1","serverIp":"10.0.0.1","port":80},{"serverId":"i-2","port":80,"weight":0}]}`
	)
	runSteps(t, base, []adminStep{
		{"GET", "/nlb/servergroups", "", 200, `{"serverGroups":[]}`},
		{"GET", group, "", 404, `{"message":"serverGroupId: no such server group: \"sgp-1\""}`},
		{"PUT", group, one, 201, `"serverGroupId":"sgp-1","serverGroupType":"Instance","servers":[{"healthStatus":"Normal","port":80,"serverId":"i-1","serverIp":"10.0.0.1","serverType":"Ecs","status":"Available","weight":100},`},
		{"PUT", group, one, 200, `"serverId":"i-2","serverType":"Ecs","status":"Available","weight":0}`},
		{"PUT", group, `{"serverGroupId":"sgp-2","regionId":"cn-x"}`, 400, `serverGroupId: \"sgp-2\" is not the \"sgp-1\" of the URL`},
		{"PUT", group, `{"regionID":"cn-x"}`, 400, `body: unknown field \"regionID\"`},
		{"PUT", group, `{"regionId":"cn-x","serverGroupType":"Fc"}`, 400, `serverGroupType: \"Fc\" is not known: write one of Instance, Ip`},
		{"GET", "/alb/servergroups", "", 200, `{"serverGroups":[]}`},
		{"PATCH", group, `{"healthCheck":"off"}`, 200, `{"healthCheck":"off"}`},
		{"PATCH", group, `{"healthCheck":"of"}`, 400, `healthCheck: \"of\" is not known: write one of on, off`},
		{"PATCH", group, `{}`, 400, "healthCheck: missing: write on or off"},
		{"PATCH", servers, `{"serverId":"i-1","healthStatus":"Unhealthy","reasonCode":"CONNECT_TIMEOUT"}`, 200, `{"matched":1}`},
		{"PATCH", servers, `{"port":80,"status":"Removing"}`, 200, `{"matched":2}`},
		{"PATCH", servers, `{"serverIp":"10.0.0.1","weight":0}`, 200, `{"matched":1}`},
		{"GET", group, "", 200, `"healthCheck":"off","regionId":"cn-hangzhou","serverGroupId":"sgp-1","serverGroupType":"Instance","servers":[{"healthStatus":"Unhealthy","port":80,"reasonCode":"CONNECT_TIMEOUT",` +
			`"serverId":"i-1","serverIp":"10.0.0.1","serverType":"Ecs","status":"Removing","weight":0}`},
		{"PATCH", servers, `{"serverId":"i-1","healthStatus":"Normal"}`, 200, `{"matched":1}`},
		{"GET", group, "", 200, `[{"healthStatus":"Normal","port":80,"serverId":"i-1",`}, // without its reason
		{"PATCH", servers, `{"serverId":"i-9","healthStatus":"Normal"}`, 404, `{"message":"selector: no server matches: {\"serverId\":\"i-9\"}"}`},
		{"PATCH", servers, `{"serverId":"i-1"}`, 400, "body: nothing to set: write healthStatus, status, weight or reasonCode"},
		{"PATCH", servers, `{"healthStatus":"normal"}`, 400, `servers[0].healthStatus: \"normal\" is not known: write one of Normal, Initial,`},
		{"PATCH", servers, `{"weight":101}`, 400, `weight: 101 is out of range: write 0 to 100`},
		{"PATCH", servers, `{"port":0,"weight":1}`, 400, "port: 0 is too low"},
		{"PATCH", "/nlb/servergroups/sgp-9/servers", `{"weight":1}`, 404, "no such server group"},
		{"POST", servers, `{"serverId":"i-3","port":81,"status":"Adding"}`, 201, `"serverId":"i-3","serverType":"Ecs","status":"Adding","weight":100}`},
		{"POST", servers, `{"serverId":"i-3","port":81}`, 409, "the server group already has this server"},
		{"POST", servers, `{"port":81}`, 400, "serverId: missing"},
		{"DELETE", servers + "?serverId=i-3&port=81", "", 200, `{"removed":1}`},
		{"DELETE", servers + "?serverId=i-3", "", 404, "no server matches"},
		{"DELETE", servers + "?listenerPort=1", "", 400, "listenerPort: unknown query parameter: write one of serverId, serverIp, port"},
		{"DELETE", servers + "?port=x", "", 400, `port: \"x\" is no number above 0`},
		{"DELETE", servers, "", 200, `{"removed":2}`},
		{"DELETE", group, "", 204, ""},
		{"DELETE", group, "", 404, "no such server group"},
		{"PUT", "/nlb/servergroups", "", 405, "write one of GET"},
		{"GET", "/gwlb/servergroups", "", 404, "no such endpoint"},
	})
}

func TestAdminLoadBalancersOfALB(t *testing.T) {
	sim, base := start(t, Config{}, Options{})
	const (
		balancer  = "/alb/loadbalancers/alb-1"
		listeners = balancer + "/listeners"
		group     = `{"regionId":"cn-hangzhou","servers":[]}`
		one       = `{"regionId":"cn-hangzhou","listeners":[{"listenerPort":80,"listenerProtocol":"HTTP","serverGroupIds":["sgp-1"],"rules":[{"ruleId":"rule-1","serverGroupIds":["sgp-2"]}]}]}`
	)
	runSteps(t, base, []adminStep{
		{"PUT", balancer, one, 404, `listeners[0]: no such server group in cn-hangzhou: \"sgp-1\"`},
		{"PUT", "/alb/servergroups/sgp-1", group, 201, `"servers":[]`},
		{"PUT", balancer, one, 404, `no such server group in cn-hangzhou: \"sgp-2\"`}, // of the rule
		{"PUT", "/alb/servergroups/sgp-2", group, 201, `"servers":[]`},
		{"PUT", balancer, one, 201, `"listenerId":"lsn-1-http-80","listenerPort":80,"listenerProtocol":"HTTP","listenerStatus":"Running"`},
		{"PUT", balancer, one, 200, `"loadBalancerId":"alb-1"`},
		{"PUT", "/alb/loadbalancers/nlb-1", `{"regionId":"cn-x","listeners":[]}`, 400, `loadBalancerId: \"nlb-1\" is no id of this product: write one that begins with alb-`},
		{"PUT", "/alb/loadbalancers/alb-2", strings.Replace(one, `{"listenerPort"`, `{"listenerId":"lsn-1-http-80","listenerPort"`, 1), 409, `listeners: another load balancer already has this id: \"lsn-1-http-80\" of alb-1`},
		{"PUT", "/alb/loadbalancers/alb-2", one, 409, `already has this id: \"rule-1\" of alb-1`},
		{"PUT", balancer, strings.Replace(one, "cn-hangzhou", "cn-beijing", 1), 404, "no such server group in cn-beijing"},
		{"GET", "/alb/loadbalancers", "", 200, `{"loadBalancers":[{"listeners":[{`},
		{"GET", "/nlb/loadbalancers", "", 200, `{"loadBalancers":[]}`},
		{"GET", "/loadbalancers", "", 200, `{"loadBalancers":[]}`},
		{"DELETE", "/alb/servergroups/sgp-2", "", 409, "serverGroupId: the server group is in use by alb-1"},
		{"PATCH", listeners, `{"listenerPort":80,"listenerStatus":"Stopped"}`, 200, `{"matched":1}`},
		{"PATCH", listeners, `{"listenerPort":80}`, 400, "listenerStatus: missing"},
		{"PATCH", listeners, `{"listenerStatus":"Stopping"}`, 400, `listenerStatus: \"Stopping\" is not known`},
		{"PATCH", listeners, `{"listenerPort":81,"listenerStatus":"Stopped"}`, 404, `selector: no listener matches: {\"listenerPort\":81}`},
		{"PATCH", "/alb/loadbalancers/alb-9/listeners", `{"listenerStatus":"Stopped"}`, 404, "no such load balancer"},
		{"POST", listeners, `{"listenerPort":443,"listenerProtocol":"HTTPS","serverGroupIds":["sgp-1"]}`, 201, `"listenerId":"lsn-1-https-443"`},
		{"POST", listeners, `{"listenerPort":443,"listenerProtocol":"HTTPS","serverGroupIds":["sgp-1"]}`, 409, "the load balancer already has this listener: 443 HTTPS"},
		{"POST", listeners, `{"listenerPort":444,"listenerProtocol":"HTTPS","serverGroupIds":["sgp-9"]}`, 404, "no such server group"},
		{"POST", listeners, `{"listenerPort":444,"serverGroupIds":["sgp-1"]}`, 400, "listenerProtocol: missing: write one of HTTP, HTTPS, QUIC"},
		{"GET", balancer, "", 200, `"listenerStatus":"Stopped"`},
		{"DELETE", listeners + "?listenerId=lsn-1-http-80", "", 200, `{"removed":1}`},
		{"DELETE", listeners + "?listenerProtocol=HTTP", "", 404, "no listener matches"},
		{"DELETE", "/alb/servergroups/sgp-2", "", 204, ""}, // its rule was removed
		{"DELETE", balancer, "", 204, ""},
		{"DELETE", balancer, "", 404, "no such load balancer"},
		{"GET", balancer, "", 404, "no such load balancer"},
		{"DELETE", "/alb/servergroups/sgp-1", "", 204, ""},
	})
	if left := len(sim.ALB().owners) + len(sim.ALB().related); left != 0 {
		t.Errorf("%d ids are left of a deleted load balancer", left)
	}
}

// What the file has is replaced with it, what the admin API created stays, as for CLB.
func TestReloadOfServerGroups(t *testing.T) {
	cfg := openGroups()
	sim, base := start(t, cfg, Options{})
	if _, err := sim.NLB().PutServerGroup(ServerGroup{ServerGroupID: "sgp-mine", RegionID: "cn-hangzhou"}); err != nil {
		t.Fatal(err)
	}
	mine := GroupLoadBalancer{LoadBalancerID: "nlb-mine", RegionID: "cn-hangzhou", Listeners: []GroupListener{
		{ListenerPort: 1, ListenerProtocol: "TCP", ServerGroupIDs: []string{"sgp-mine"}}, {ListenerPort: 2, ListenerProtocol: "TCP", ServerGroupIDs: []string{"sgp-web"}},
	}}
	if _, err := sim.NLB().PutLoadBalancer(mine); err != nil {
		t.Fatal(err)
	}
	if err := sim.NLB().SetHealthCheck("sgp-off", HealthCheckOn); err != nil { // an edit keeps a group the file's
		t.Fatal(err)
	}
	cfg.NLB = ProductConfig{}
	sim.Load(cfg)
	if got, want := listed(t, base+bareNLB+"ListServerGroups"), []string{"sgp-mine"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got, want := listed(t, base+bareNLB+"ListListeners"), []string{"lsn-mine-tcp@1", "lsn-mine-tcp@2"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := body(t, base+bareNLB+"GetListenerHealthStatus&ListenerId=lsn-mine-tcp%402", http.StatusOK); !strings.Contains(got, `"ListenerHealthStatus":[]`) {
		t.Errorf("of a group that was removed: got %s", got)
	}
}

// Calls see one state or the next while tests edit: the race detector watches.
func TestEditsDuringCalls(t *testing.T) {
	sim, base := start(t, openGroups(), Options{})
	var edits sync.WaitGroup
	edits.Go(func() {
		for i := range 50 {
			if _, err := sim.NLB().SetServers("sgp-web", ServerSelector{}, ServerPatch{Weight: new(i), HealthStatus: HealthInitial}); err != nil {
				t.Error(err)
			}
			if _, err := sim.NLB().SetListeners("nlb-web", GroupListenerSelector{}, GroupListenerStopped); err != nil {
				t.Error(err)
			}
		}
	})
	for range 20 {
		for _, url := range []string{nlbHealth, nlbServers, bareNLB + "ListListeners", bareNLB + "ListServerGroups"} {
			body(t, base+url, http.StatusOK)
		}
		_, _ = sim.NLB().LoadBalancers(), sim.NLB().ServerGroups()
	}
	edits.Wait()
}
