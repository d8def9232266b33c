// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

const (
	namespace = "soak"
	region    = "cn-hangzhou"
	// interval is the shortest that the API accepts; all objects have it.
	interval = 5 * time.Second
	maxRows  = 8
)

// A row is a backend in the format of the simulator's admin API.
type row struct {
	ServerID           string `json:"serverId"`
	ServerIP           string `json:"serverIp"`
	Type               string `json:"type"`
	ListenerPort       int32  `json:"listenerPort"`
	ListenerProtocol   string `json:"listenerProtocol"`
	Port               int32  `json:"port"`
	ServerHealthStatus string `json:"serverHealthStatus"`
}

type balancer struct {
	ID      string `json:"loadBalancerId"`
	Rows    []row  `json:"backends"`
	deleted bool   // in the simulator
}

var states = []string{v1alpha1.StatusNormal, v1alpha1.StatusAbnormal, v1alpha1.StatusUnavailable}

// newRow returns a backend of the first or of the second listener.
func (s *soak) newRow(id string) row {
	s.servers++
	r := row{
		ServerID: fmt.Sprintf("i-%s-%06d", id[3:], s.servers), ServerIP: fmt.Sprintf("10.0.%d.%d", s.servers/250%250, s.servers%250+1),
		Type: "ecs", ListenerPort: 443, ListenerProtocol: "https", Port: 8443, ServerHealthStatus: states[0],
	}
	if s.random.IntN(2) == 0 {
		r.ListenerPort, r.ListenerProtocol = 80, "http"
	}
	return r
}

func (s *soak) newBalancer(i int) *balancer {
	b := &balancer{ID: fmt.Sprintf("lb-soak%06d", i)}
	for range 1 + s.random.IntN(maxRows) {
		b.Rows = append(b.Rows, s.newRow(b.ID))
	}
	return b
}

// put creates or replaces a load balancer in the simulator.
func (s *soak) put(ctx context.Context, b *balancer) error {
	b.deleted = false
	return s.Simulator.Admin(ctx, http.MethodPut, "loadbalancers/"+b.ID, map[string]any{"regionId": region, "backends": append([]row{}, b.Rows...)}, nil)
}

// newObject returns an object for a random load balancer, with the operator's own
// key or with a Secret's.
func (s *soak) newObject() *v1alpha1.LoadBalancerHealth {
	s.numbers++
	o := &v1alpha1.LoadBalancerHealth{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("o-%06d", s.numbers)},
		Spec: v1alpha1.LoadBalancerHealthSpec{
			LoadBalancerID: choose(s, s.balancers).ID, RegionID: region, Interval: metav1.Duration{Duration: interval},
		},
	}
	if i := s.random.IntN(2 * len(s.secrets)); i < len(s.secrets) {
		o.Spec.Credentials = &v1alpha1.Credentials{SecretRef: v1alpha1.SecretReference{Name: s.secrets[i].name}}
	}
	s.editPolicy(o)
	return o
}

// editPolicy chooses another listener and another health policy.
func (s *soak) editPolicy(o *v1alpha1.LoadBalancerHealth) {
	o.Spec.ListenerPort, o.Spec.ListenerProtocol = nil, ""
	switch s.random.IntN(4) {
	case 0:
		o.Spec.ListenerPort = new(int32(443))
	case 1:
		o.Spec.ListenerPort, o.Spec.ListenerProtocol = new(int32(80)), "http"
	}
	o.Spec.HealthPolicy = choose(s, []*v1alpha1.HealthPolicy{
		nil,
		{MinHealthy: new(intstr.FromInt32(2))},
		{MinHealthy: new(intstr.FromString("50%")), Unavailable: v1alpha1.Healthy},
		{MinHealthy: new(intstr.FromString("100%")), Unavailable: v1alpha1.Unhealthy},
	})
}

func (s *soak) randomObject() *v1alpha1.LoadBalancerHealth {
	names := slices.Sorted(maps.Keys(s.objects)) // sorted, so that the choice follows from the seed
	return s.objects[choose(s, names)]
}

func choose[T any](s *soak, from []T) T { return from[s.random.IntN(len(from))] }
