// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

// albGroups is an observation of an ALB: each text is a listener port, a server group and
// its servers, such as "443 sgp-1 10.0.0.1:8080 i-1:30080".
func albGroups(t *testing.T, groups ...string) *alicloud.Observation {
	t.Helper()
	observation := &alicloud.Observation{Groups: &alicloud.Groups{}}
	for _, text := range groups {
		words := strings.Fields(text)
		id, _, mirror := strings.Cut(words[1], "/")
		l := alicloud.GroupListener{Listener: alicloud.Listener{Protocol: "https", Status: "running"}, ServerGroupID: id, Mirror: mirror}
		if _, err := fmt.Sscan(words[0], &l.Port); err != nil {
			t.Fatal(err)
		}
		observation.Groups.Listeners = append(observation.Groups.Listeners, l)
		for _, server := range words[2:] {
			id, port, _ := strings.Cut(server, ":")
			b := alicloud.Backend{ServerID: id, Type: "ecs", ListenerPort: l.Port, ListenerProtocol: l.Protocol, ServerHealthStatus: "normal"}
			if !strings.HasPrefix(id, "i-") {
				b.ServerID, b.ServerIP, b.Type = "eni-"+id, id, "eni"
			}
			if _, err := fmt.Sscan(port, &b.Port); err != nil {
				t.Fatal(err)
			}
			observation.Backends = append(observation.Backends, b)
			observation.Groups.Rows = append(observation.Groups.Rows, alicloud.GroupRow{ServerGroupID: l.ServerGroupID})
		}
	}
	return observation
}

func known(ids ...string) (groups []health.OwnGroup) {
	for _, id := range ids {
		groups = append(groups, health.OwnGroup{ID: id})
	}
	return groups
}

// api is a Service with one pod, behind the same Ingress as web.
func api(edits ...edit) *cluster {
	return newCluster(append([]edit{eni, clusterIP, func(c *cluster) {
		c.service.Name, c.slices[0].Labels["kubernetes.io/service-name"] = "api", "api"
		c.service.Spec.Ports[0].TargetPort = intstr.FromInt32(9090)
		c.slices[0].Endpoints = c.slices[0].Endpoints[:1]
		c.slices[0].Endpoints[0].Addresses = []string{"10.0.1.1"}
	}}, edits...)...)
}

func clusterIP(c *cluster) {
	c.service.Spec.Type, c.service.Spec.Ports[0].NodePort = corev1.ServiceTypeClusterIP, 0
}

func nodePorts(c *cluster) { c.service.Spec.Type = corev1.ServiceTypeNodePort }

func withoutEndpoints(c *cluster) { c.slices = nil }

// formatGroups writes the server groups with their Services, and what is not determined.
func formatGroups(expected *health.Expected) string {
	var words []string
	for _, group := range expected.Groups {
		words = append(words, group.ID+"="+strings.Join(group.Services, ","))
	}
	if why := expected.GroupsNotDetermined; why.Reason != "" {
		words = append(words, formatNotDetermined(why))
	}
	return strings.Join(words, " ")
}

func TestServerGroupsOfAnIngress(t *testing.T) {
	const (
		web   = "443 sgp-web 10.0.0.1:8080 10.0.0.2:8080"
		other = "443 sgp-other 10.7.0.1:8080 10.7.0.2:8080"
		empty = "443 sgp-empty"
	)
	both := newIngress("web:80", "api:80")
	for name, test := range map[string]struct {
		backends  []string
		web, api  *cluster
		groups    []string
		known     []health.OwnGroup
		want      string
		listeners string // "*": not compared
	}{
		"its own, and that of another team": {
			[]string{"web:80"}, newCluster(eni, clusterIP), nil, []string{web, other}, nil,
			"sgp-web=web", "443/https: 10.0.0.1:8080 10.0.0.2:8080",
		},
		"behind two listeners": {
			[]string{"web:http"}, newCluster(eni, clusterIP), nil, []string{web, strings.Replace(web, "443", "8443", 1), other}, nil,
			"sgp-web=web", "443/https: 10.0.0.1:8080 10.0.0.2:8080; 8443/https: 10.0.0.1:8080 10.0.0.2:8080",
		},
		"nodes": {
			[]string{"web:80"}, newCluster(allNodes, nodePorts), nil, []string{"443 sgp-web i-1:30080 i-2:30080", "443 sgp-other i-1:30081 i-2:30081"}, nil,
			"sgp-web=web", "443/https: i-1:30080 i-2:30080 i-3:30080",
		},
		"the nodePort of another cluster": {
			[]string{"web:80"}, newCluster(allNodes, nodePorts), nil, []string{"443 sgp-other i-8:30080 i-9:30080"}, nil,
			"? ServerGroupUnknown(port 80 of Service web)", "",
		},
		"nodes that may not be read": {
			[]string{"web:80"}, newCluster(allNodes, nodePorts, func(c *cluster) { c.noNodes = true }), nil, []string{"443 sgp-web i-1:30080", other}, nil,
			"sgp-web=web", "443/https: ? NodesUnknown()",
		},
		"another port of the same pods": {
			[]string{"web:80"}, newCluster(eni, clusterIP), nil, []string{web, "443 sgp-admin 10.0.0.1:9000 10.0.0.2:9000"}, nil,
			"sgp-web=web", "443/https: 10.0.0.1:8080 10.0.0.2:8080",
		},
		"a pod that is not ready or terminates": {
			[]string{"web:80"}, newCluster(eni, clusterIP, notReady(1), notReady(2)), nil, []string{web, other}, nil, "sgp-web=web", "443/https:",
		},
		"half of the pods are gone": {
			[]string{"web:80"}, newCluster(eni, clusterIP), nil, []string{"443 sgp-web 10.0.0.1:8080 10.0.0.9:8080", other}, nil,
			"sgp-web=web", "443/https: 10.0.0.1:8080 10.0.0.2:8080",
		},
		"a group of another team with the address of a pod": {
			[]string{"web:80"}, newCluster(eni, clusterIP), nil, []string{web, "443 sgp-other 10.7.0.1:8080 10.7.0.2:8080 10.0.0.1:8080"}, nil,
			"sgp-web=web", "443/https: 10.0.0.1:8080 10.0.0.2:8080",
		},
		"no group has the pods": {
			[]string{"web:80"}, newCluster(eni, clusterIP), nil, []string{other, empty}, nil, "? ServerGroupUnknown(port 80 of Service web)", "",
		},
		"no pods": {
			[]string{"web:80"}, newCluster(eni, clusterIP, withoutEndpoints), nil, []string{other, empty}, nil, "? ServerGroupUnknown(port 80 of Service web)", "",
		},
		"no pods any more": {
			[]string{"web:80"}, newCluster(eni, clusterIP, withoutEndpoints), nil, []string{other, empty}, known("sgp-empty"), "sgp-empty=web", "443/https:",
		},
		"all pods were replaced, and the controller lags": {
			[]string{"web:80"}, newCluster(eni, clusterIP), nil, []string{"443 sgp-web 10.0.0.8:8080 10.0.0.9:8080", other}, known("sgp-web"),
			"sgp-web=web", "443/https: 10.0.0.1:8080 10.0.0.2:8080",
		},
		"a group that was its own by mistake": {
			[]string{"web:80"}, newCluster(eni, clusterIP), nil, []string{web, other}, known("sgp-other", "sgp-web"), "sgp-web=web", "*",
		},
		"a known group that was removed": {
			[]string{"web:80"}, newCluster(eni, clusterIP, withoutEndpoints), nil, []string{other}, known("sgp-web"), "? ServerGroupUnknown(port 80 of Service web)", "",
		},
		"two Services": {
			[]string{"web:80", "api:80"}, newCluster(eni, clusterIP), api(), []string{web, "443 sgp-api 10.0.1.1:9090", other}, nil,
			"sgp-api=api sgp-web=web", "443/https: 10.0.1.1:9090; 443/https: 10.0.0.1:8080 10.0.0.2:8080",
		},
		"one of two Services has no pods": {
			[]string{"web:80", "api:80"}, newCluster(eni, clusterIP), api(withoutEndpoints), []string{web, empty, other}, nil,
			"sgp-web=web ? ServerGroupUnknown(port 80 of Service api)", "*",
		},
		"one of two Services has none any more": {
			[]string{"web:80", "api:80"}, newCluster(eni, clusterIP), api(withoutEndpoints), []string{web, empty, other}, known("sgp-empty", "sgp-web"),
			"sgp-empty=api sgp-web=web", "*",
		},
		"an empty group comes before one that was its own by mistake": {
			[]string{"web:80", "api:80"}, newCluster(eni, clusterIP), api(withoutEndpoints), []string{web, empty, other}, known("sgp-other", "sgp-empty", "sgp-web"),
			"sgp-empty=api sgp-web=web", "*",
		},
		"a Service that does not exist": {
			[]string{"web:80", "api:80"}, newCluster(eni, clusterIP), nil, []string{web}, nil, "sgp-web=web ? ServerGroupUnknown(port 80 of Service api)", "*",
		},
		"a port that does not exist": {
			[]string{"web:81"}, newCluster(eni, clusterIP), nil, []string{web}, nil, "? ServerGroupUnknown(port 81 of Service web)", "",
		},
		"a ClusterIP Service has pods as backends": {
			[]string{"web:80"}, newCluster(clusterIP), nil, []string{web}, nil, "sgp-web=web", "443/https: 10.0.0.1:8080 10.0.0.2:8080",
		},
		"waits for the gate of the ALB Ingress controller": {
			[]string{"web:80"}, newCluster(eni, clusterIP, notReady(1), gate(1, "target-health.alb.k8s.alicloud/shop")), nil, []string{web}, nil,
			"sgp-web=web", "443/https: 10.0.0.1:8080 10.0.0.2:8080",
		},
		"waits for the gate of the documentation": {
			[]string{"web:80"}, newCluster(eni, clusterIP, notReady(1), gate(1, "target-health.alb.k8s.alibabacloud")), nil, []string{web}, nil,
			"sgp-web=web", "443/https: 10.0.0.1:8080 10.0.0.2:8080",
		},
		"only copies of requests": {
			[]string{"web:80"}, newCluster(eni, clusterIP), nil, []string{"443 sgp-web/mirror 10.0.0.1:8080 10.0.0.2:8080", other}, nil,
			"sgp-web=web ? ServerGroupUnknown(port 80 of Service web)", "",
		},
		"a known group gets only copies of requests": {
			[]string{"web:80"}, newCluster(eni, clusterIP, withoutEndpoints), nil, []string{"443 sgp-empty/mirror", other}, known("sgp-empty"),
			"? ServerGroupUnknown(port 80 of Service web)", "",
		},
		"waits for the gate of a Service": {
			[]string{"web:80"}, newCluster(eni, clusterIP, notReady(1), gate(1, registering)), nil, []string{web}, nil, "sgp-web=web", "443/https: 10.0.0.2:8080",
		},
	} {
		t.Run(name, func(t *testing.T) {
			state := &IngressState{
				Ingress: newIngress(test.backends...), Services: map[string]*ServiceState{"web": test.web.input(true)},
				Observation: albGroups(t, test.groups...), Known: test.known,
			}
			if test.api != nil {
				state.Services["api"] = test.api.input(true)
			}
			got := ExpectIngress(state)
			equal(t, "the groups", formatGroups(&got), test.want)
			if test.listeners != "*" {
				equal(t, "the backends", format(&got), test.listeners)
			}
			slices.Reverse(state.Observation.Groups.Listeners)
			slices.Reverse(state.Known)
			if again := ExpectIngress(state); !reflect.DeepEqual(again, got) {
				t.Errorf("in another order: %s, %s", formatGroups(&again), format(&again))
			}
		})
	}
	both.Annotations[annotationAction+"split"] = "{"
	both.Spec.DefaultBackend = ingressBackend("split:use-annotation")
	got := ExpectIngress(&IngressState{Ingress: both, Services: map[string]*ServiceState{"web": newCluster(eni).input(true)}, Observation: albGroups(t, web, other)})
	equal(t, "with an action that cannot be read", formatGroups(&got), "sgp-web=web ? InvalidAction(alb.ingress.kubernetes.io/actions.split)")
}

// A gate must not open while a port of its Service has no group.
func TestServicesWithoutServerGroup(t *testing.T) {
	const web = "443 sgp-web 10.0.0.1:8080 10.0.0.2:8080"
	for name, test := range map[string]struct {
		backends []string
		groups   []string
		known    []health.OwnGroup
		want     string
	}{
		"none":                          {[]string{"web:80"}, []string{web}, nil, ""},
		"one of two ports":              {[]string{"web:80", "web:81"}, []string{web, "443 sgp-empty"}, nil, "web"},
		"one of two, which has another": {[]string{"web:80", "web:81"}, []string{web, "443 sgp-empty"}, known("sgp-web", "sgp-empty"), ""},
		"two that share what is known":  {[]string{"web:81", "api:80"}, []string{"443 sgp-a", "443 sgp-b"}, known("sgp-a", "sgp-b"), "api web"},
		"two ports of one Service":      {[]string{"web:81", "web:82"}, nil, nil, "web"},
	} {
		expected := ExpectIngress(&IngressState{
			Ingress: newIngress(test.backends...), Services: map[string]*ServiceState{"web": newCluster(eni, clusterIP).input(true)},
			Observation: albGroups(t, test.groups...), Known: test.known,
		})
		equal(t, name, strings.Join(expected.ServicesWithoutGroup, " "), test.want)
	}
}
