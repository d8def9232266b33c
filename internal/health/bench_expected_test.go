// SPDX-License-Identifier: Apache-2.0

package health

import (
	"testing"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// BenchmarkUnchangedOfService is BenchmarkUnchanged for an object of a Service, all
// of whose backends are registered, behind one listener.
func BenchmarkUnchangedOfService(b *testing.B) {
	for name, ofService := range map[string]bool{"without": false, "with": true} {
		b.Run(name, func(b *testing.B) {
			env := newEnv(b)
			backends := fleetOf(20)
			l := ExpectedListener{ServicePort: ServicePort{Port: 443, Protocol: "https"}, Policy: PolicyENI, TargetPorts: []int32{8443}}
			for i := range backends {
				row := &backends[i]
				row.ListenerPort, row.Type, row.ServerIP = 443, TypeENI, Address("10.0.0."+string(rune('1'+i%9))+string(rune('0'+i/9)))
				l.Backends = append(l.Backends, ExpectedBackend{Type: TypeENI, ServerIP: row.ServerIP, Port: 8443, Origin: FromReadyEndpoint})
			}
			input := Input{Observation: &alicloud.Observation{RequestID: "first", At: env.now, Backends: backends}}
			if ofService {
				env.object.Spec.ServiceRef = &v1alpha1.ServiceReference{Name: "web"}
				env.object.Spec.LoadBalancerID, env.object.Spec.RegionID = "", ""
				env.object.Status.ServiceLoadBalancer = &v1alpha1.ServiceLoadBalancer{ServiceName: "web", LoadBalancerID: "lb-1", RegionID: "cn-hangzhou"}
				input.Expected = &Expected{Listeners: []ExpectedListener{l}}
			}
			env.object.Status = stored(b, Evaluate(env.object, input, env.now, env.options).Status)
			env.after(DefaultInterval)
			input.Observation = &alicloud.Observation{RequestID: "next", At: env.now, Backends: backends}
			input.LastObservedAt = env.now
			b.ReportAllocs()
			for b.Loop() {
				if Evaluate(env.object, input, env.now, env.options).Write {
					b.Fatal("Write is true")
				}
			}
		})
	}
}
