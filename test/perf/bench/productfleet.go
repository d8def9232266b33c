// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/test/harness"
)

// products are what is compared.
var products = []string{alicloud.ProductCLB, alicloud.ProductNLB, alicloud.ProductALB}

// Every load balancer has two listeners with 20 backends each: those of a CLB directly, those
// of an NLB in a server group of its own, and those of an ALB in ten groups of two servers, which
// both listeners forward to by rules, as the Services of an Ingress.
const (
	listenerBackends = usualRows
	albGroups        = 10
)

var listenerPorts = [...]int{80, 443}

// groupShape has the number of server groups of a load balancer, and of the servers of each.
var groupShape = map[string]struct{ groups, servers int }{
	alicloud.ProductNLB: {len(listenerPorts), listenerBackends},
	alicloud.ProductALB: {albGroups, listenerBackends / albGroups},
}

// A productFleet is load balancers of one product, with an object for each, that one program
// observes.
type productFleet struct {
	product string
	// program is part of the names: each program has its own objects.
	program string
	size    fleetSize

	metrics string // address of the program's metrics
	process *harness.Process
	rounds  []productRound
}

func newProductFleets(of []string, program string, size fleetSize) []*productFleet {
	fleets := make([]*productFleet, len(of))
	for i, product := range of {
		fleets[i] = &productFleet{product: product, program: program, size: size}
	}
	return fleets
}

func (f *productFleet) namespace() string { return "bench-" + f.program + "-" + f.product }

func (f *productFleet) id(i int) string {
	prefix := f.product
	if prefix == alicloud.ProductCLB {
		prefix = "lb"
	}
	return fmt.Sprintf("%s-%s%04d", prefix, f.program, i)
}

func (f *productFleet) ids() []string {
	ids := make([]string, f.size.Balancers)
	for i := range ids {
		ids[i] = f.id(i)
	}
	return ids
}

// open creates the load balancers, and the objects in a namespace.
func (f *productFleet) open(ctx context.Context, s *env) error {
	if err := s.api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: f.namespace()}}); err != nil {
		return err
	}
	return parallel(setupConcurrency, f.ids(), func(_ int, id string) error {
		if err := f.put(ctx, s.simulator, id); err != nil {
			return err
		}
		object := newObject(id, 0, f.size.Interval)
		object.Namespace = f.namespace()
		return s.api.Create(ctx, object)
	})
}

// put creates a load balancer whose backends are all normal.
func (f *productFleet) put(ctx context.Context, s *simulator, id string) error {
	for _, d := range f.definitions(id) {
		if err := s.Admin(ctx, http.MethodPut, d.path, d.body, nil); err != nil {
			return err
		}
	}
	return nil
}

// A definition is a body for the simulator's admin API.
type definition struct {
	path string
	body map[string]any
}

// definitions are those of a load balancer, after those of its server groups.
func (f *productFleet) definitions(id string) []definition {
	if f.product == alicloud.ProductCLB {
		return []definition{{"loadbalancers/" + id, map[string]any{"regionId": region, "backends": clbBackends(id)}}}
	}
	var all []definition
	for _, group := range f.groupIDs(id) {
		body := map[string]any{"regionId": region, "servers": servers(group, groupShape[f.product].servers)}
		all = append(all, definition{f.product + "/servergroups/" + group, body})
	}
	return append(all, definition{f.product + "/loadbalancers/" + id, map[string]any{"regionId": region, "listeners": f.listeners(id)}})
}

// remove deletes a load balancer and its server groups.
func (f *productFleet) remove(ctx context.Context, s *simulator, id string) error {
	for _, d := range slices.Backward(f.definitions(id)) {
		if err := s.Admin(ctx, http.MethodDelete, d.path, nil, nil); err != nil {
			return err
		}
	}
	return nil
}

func clbBackends(id string) []map[string]any {
	backends := make([]map[string]any, 0, len(listenerPorts)*listenerBackends)
	for _, port := range listenerPorts {
		for _, backend := range servers(id, listenerBackends) {
			backend["type"], backend["listenerPort"], backend["listenerProtocol"] = "ecs", port, "tcp"
			backends = append(backends, backend)
		}
	}
	return backends
}

// servers have ids that no others have.
func servers(of string, n int) []map[string]any {
	all := make([]map[string]any, n)
	for i := range all {
		all[i] = map[string]any{"serverId": serverID(of, i), "serverIp": fmt.Sprintf("10.0.0.%d", i+1), "port": 8080}
	}
	return all
}

func serverID(of string, i int) string { return fmt.Sprintf("i-%s-%03d", of, i) }

func (f *productFleet) groupIDs(id string) []string {
	ids := make([]string, groupShape[f.product].groups)
	for i := range ids {
		ids[i] = fmt.Sprintf("sgp-%s-%d", id, i)
	}
	return ids
}

func (f *productFleet) listeners(id string) []map[string]any {
	groups := f.groupIDs(id)
	listeners := make([]map[string]any, len(listenerPorts))
	for i, port := range listenerPorts {
		if f.product == alicloud.ProductNLB {
			listeners[i] = map[string]any{"listenerPort": port, "listenerProtocol": "TCP", "serverGroupIds": groups[i : i+1]}
			continue
		}
		rules := make([]map[string]any, 0, len(groups)-1)
		for n, group := range groups[1:] {
			rules = append(rules, map[string]any{"ruleId": fmt.Sprintf("rule-%s-%d-%d", id, port, n), "serverGroupIds": []string{group}})
		}
		protocol := [...]string{"HTTP", "HTTPS"}[i]
		listeners[i] = map[string]any{"listenerPort": port, "listenerProtocol": protocol, "serverGroupIds": groups[:1], "rules": rules}
	}
	return listeners
}

// flip makes the first backend of a load balancer abnormal, or normal again.
func (f *productFleet) flip(ctx context.Context, s *simulator, id string, abnormal bool) error {
	d := f.flipped(id, abnormal)
	return s.Admin(ctx, http.MethodPatch, d.path, d.body, nil)
}

func (f *productFleet) flipped(id string, abnormal bool) definition {
	word := func(normal, other string) string {
		if abnormal {
			return other
		}
		return normal
	}
	if f.product == alicloud.ProductCLB {
		return definition{"loadbalancers/" + id + "/backends", map[string]any{
			"serverId": serverID(id, 0), "serverHealthStatus": word(v1alpha1.StatusNormal, v1alpha1.StatusAbnormal),
		}}
	}
	group := f.groupIDs(id)[0]
	return definition{f.product + "/servergroups/" + group + "/servers", map[string]any{
		"serverId": serverID(group, 0), "healthStatus": word("Normal", "Unhealthy"),
	}}
}

// isListing reports whether a call lists listeners.
func (c *call) isListing() bool { return strings.HasSuffix(c.Action, "Listeners") }
