// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"net/http"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// groupServer is a server of a server group of NLB or ALB, or an edit of one, in the format of the admin API.
type groupServer struct {
	ServerID     string `json:"serverId,omitempty"`
	ServerIP     string `json:"serverIp,omitempty"`
	ServerType   string `json:"serverType,omitempty"`
	Port         int    `json:"port,omitempty"`
	Status       string `json:"status,omitempty"`
	HealthStatus string `json:"healthStatus,omitempty"`
	ReasonCode   string `json:"reasonCode,omitempty"`
}

// podServer is a pod as a server.
func podServer(ip string) groupServer {
	return groupServer{ServerID: "eni-" + ip, ServerIP: ip, ServerType: "Eni", Port: 8080}
}

func failingPod(ip string) groupServer {
	server := podServer(ip)
	server.HealthStatus, server.ReasonCode = "Unhealthy", "CONNECT_FAILED"
	return server
}

// putGroup creates a server group of a product, or replaces it.
func (s *simulator) putGroup(t *testing.T, product, id string, servers ...groupServer) {
	t.Helper()
	if servers == nil {
		servers = []groupServer{}
	}
	s.do(t, http.MethodPut, product+"/servergroups/"+id, map[string]any{"regionId": region, "servers": servers}, nil)
}

func (s *simulator) setServer(t *testing.T, product, group string, edit groupServer) {
	t.Helper()
	s.do(t, http.MethodPatch, product+"/servergroups/"+group+"/servers", edit, nil)
}

// putALB creates an ALB whose HTTPS listener has one rule for each server group.
func (s *simulator) putALB(t *testing.T, id string, groups ...string) {
	t.Helper()
	listener := map[string]any{"listenerPort": 443, "listenerProtocol": "HTTPS", "serverGroupIds": groups[:1]}
	rules := []map[string]any{}
	for _, group := range groups[1:] {
		rules = append(rules, map[string]any{"ruleId": "rule-" + group, "serverGroupIds": []string{group}})
	}
	listener["rules"] = rules
	s.do(t, http.MethodPut, "alb/loadbalancers/"+id, map[string]any{"regionId": region, "listeners": []any{listener}}, nil)
}

// createEndpoints creates a Service with the port 80, and ready endpoints on 8080.
func (w *env) createEndpoints(t *testing.T, service *corev1.Service, addresses ...string) {
	t.Helper()
	service.Spec.Ports = []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}}
	w.create(t, service)
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: service.Namespace, Name: service.Name, Labels: map[string]string{discoveryv1.LabelServiceName: service.Name}},
		AddressType: discoveryv1.AddressTypeIPv4,
	}
	for _, address := range addresses {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{address}, Conditions: discoveryv1.EndpointConditions{Ready: new(true)}})
	}
	w.create(t, slice)
}

// createIngress creates an Ingress with the ALB and a path to each Service, and an object for it.
func (w *env) createIngress(t *testing.T, name, alb string, services ...string) *v1alpha1.LoadBalancerHealth {
	t.Helper()
	rule := &networkingv1.HTTPIngressRuleValue{}
	for _, service := range services {
		rule.Paths = append(rule.Paths, networkingv1.HTTPIngressPath{
			Path: "/" + service, PathType: new(networkingv1.PathTypePrefix),
			Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: service, Port: networkingv1.ServiceBackendPort{Number: 80}}},
		})
	}
	ingress := &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Namespace: mainNamespace, Name: name},
		Spec:       networkingv1.IngressSpec{IngressClassName: new("alb"), Rules: []networkingv1.IngressRule{{IngressRuleValue: networkingv1.IngressRuleValue{HTTP: rule}}}},
	}
	w.create(t, ingress)
	ingress.Status.LoadBalancer.Ingress = []networkingv1.IngressLoadBalancerIngress{{Hostname: alb + "." + region + ".alb.aliyuncs.com"}}
	if err := w.admin.Status().Update(w.ctx, ingress); err != nil {
		t.Fatal(err)
	}
	object := named(mainNamespace, name, ofIngress(name))
	w.create(t, object)
	return object
}

// TestIngresses runs the operator with Ingresses that share an ALB with another team, and with a Service of an NLB.
func TestIngresses(t *testing.T) {
	w := newEnv(t, envOptions{})
	w.addSimulator(t)
	w.bind(t, w.operator, "", "../service-discovery/role.yaml")
	w.bind(t, w.operator, "", "../readiness-gates/role.yaml")
	w.createNamespace(t, mainNamespace)
	w.simulator.putGroup(t, "alb", "sgp-other", failingPod("10.7.0.1"))
	w.simulator.putGroup(t, "alb", "sgp-shop", podServer("10.9.1.1"), podServer("10.9.1.2"))
	w.simulator.putALB(t, "alb-1", "sgp-other", "sgp-shop")
	w.createEndpoints(t, aService("shop", nil, nil), "10.9.1.1", "10.9.1.2")
	w.startOperator(t, operatorOptions{
		name: "ingresses", namespaces: []string{mainNamespace}, endpoint: w.simulator.URL, account: w.mainAccount,
		args: []string{"--service-discovery", "--readiness-gates", "--region-id=" + region, "--slb-qps=100", "--slb-burst=100"},
	})
	t.Run("each", func(t *testing.T) {
		for name, check := range map[string]func(*testing.T){
			"an Ingress whose ALB has a failing group of another team": w.ownGroupsOnly,
			"an Ingress whose health checks are off":                   w.checksOffIsSaid,
			"an Ingress whose server group is not known":               w.unknownGroupIsSaid,
			"a pod with a readiness gate behind an Ingress":            w.gateBehindIngress,
			"a Service with an NLB":                                    w.serviceOfNLB,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				check(t)
			})
		}
	})
	noRaceOrPanic(t, w)
}

func (w *env) ownGroupsOnly(t *testing.T) {
	g := NewWithT(t)
	object := w.createIngress(t, "shop", "alb-1", "shop")
	found := w.await(t, object, with(good("AllBackendsNormal"), states{"Registered": "True AllRegistered"}))
	g.Expect(found.Status.IngressLoadBalancer).To(HaveValue(Equal(v1alpha1.IngressLoadBalancer{IngressName: "shop", LoadBalancerID: "alb-1", RegionID: region})))
	g.Expect(found.Status.ObservedTarget.IngressName).To(Equal("shop"))
	g.Expect(found.Status.Listeners).To(HaveExactElements(And(
		HaveField("ServerGroupID", "sgp-shop"), HaveField("Normal", BeEquivalentTo(2)), HaveField("Expected", HaveValue(BeEquivalentTo(2))))))
	g.Expect(found.Status.Backends).To(HaveEach(HaveField("ServerGroupID", "sgp-shop")))

	whole := named(mainNamespace, "alb-1")
	w.create(t, whole)
	w.await(t, whole, bad("BelowMinHealthy"))

	for _, ip := range []string{"10.9.1.1", "10.9.1.2"} {
		w.simulator.setServer(t, "alb", "sgp-shop", groupServer{ServerIP: ip, HealthStatus: "Unhealthy", ReasonCode: "CONNECT_FAILED"})
	}
	found = w.await(t, object, bad("BelowMinHealthy"))
	g.Expect(conditionOf(found, "Ready").Message).To(ContainSubstring("listener 443/https has 0 normal of 2 backends"))
	g.Expect(found.Status.Backends).To(HaveEach(HaveField("Reason", HavePrefix("CONNECT_FAILED"))))
	w.simulator.setServer(t, "alb", "sgp-shop", groupServer{ServerIP: "10.9.1.1", HealthStatus: "Normal"})
	w.await(t, object, good("MinHealthyMet"))
}

func (w *env) checksOffIsSaid(t *testing.T) {
	w.simulator.putGroup(t, "alb", "sgp-off", podServer("10.9.2.1"))
	w.simulator.do(t, http.MethodPatch, "alb/servergroups/sgp-off", map[string]string{"healthCheck": "off"}, nil)
	w.simulator.putALB(t, "alb-2", "sgp-off", "sgp-other")
	w.createEndpoints(t, aService("off", nil, nil), "10.9.2.1")
	object := w.createIngress(t, "off", "alb-2", "off")
	found := w.await(t, object, with(unknown("HealthCheckUnavailable"), states{"Registered": "True AllRegistered"}))
	g := NewWithT(t)
	g.Expect(conditionOf(found, "Ready").Message).To(And(ContainSubstring("whose health check is off"), ContainSubstring("set healthPolicy.unavailable to Healthy")))
	g.Expect(found.Status.Listeners).To(HaveExactElements(HaveField("HealthCheck", v1alpha1.HealthCheckDisabled)))
	w.requestObservation(t, object, "again")
	w.eventually(t, func(g Gomega) { g.Expect(w.get(g, object).Status.LastHandledObserveRequest).To(Equal("again")) })
	g.Expect(w.events(g, object).reasons()).NotTo(Or(HaveKey("Warning LoadBalancerUnhealthy"), HaveKey("Warning LoadBalancerHealthUnknown")))
}

func (w *env) unknownGroupIsSaid(t *testing.T) {
	w.simulator.putGroup(t, "alb", "sgp-new")
	w.simulator.putALB(t, "alb-3", "sgp-other", "sgp-new")
	w.createEndpoints(t, aService("new", nil, nil))
	object := w.createIngress(t, "new", "alb-3", "new")
	found := w.await(t, object, with(unknown("NotDetermined"), states{"Registered": "Unknown NotDetermined"}))
	g := NewWithT(t)
	g.Expect(conditionOf(found, "Registered").Message).To(ContainSubstring("no server group has the backends of port 80 of Service new"))
	g.Expect(found.Status.Backends).To(BeEmpty())
}

func (w *env) gateBehindIngress(t *testing.T) {
	w.simulator.putGroup(t, "alb", "sgp-gated", podServer("10.9.4.1"))
	w.simulator.putALB(t, "alb-4", "sgp-other", "sgp-gated")
	w.createEndpoints(t, aService("gated", nil, nil), "10.9.4.1", "10.9.4.2")
	object := w.createIngress(t, "gated", "alb-4", "gated")
	w.await(t, object, good("AllBackendsNormal"))
	const gate = v1alpha1.ReadinessGatePrefix + "gated"
	pod := w.createGatedPod(t, mainNamespace, "gated", "10.9.4.2", gate)
	w.awaitGate(t, pod, gate, "False NotRegistered")
	adding := podServer("10.9.4.2")
	adding.Status = "Adding"
	w.simulator.do(t, http.MethodPost, "alb/servergroups/sgp-gated/servers", adding, nil)
	w.awaitGate(t, pod, gate, "False HealthCheckPending")
	w.simulator.setServer(t, "alb", "sgp-gated", groupServer{ServerIP: "10.9.4.2", Status: "Available"})
	w.awaitGate(t, pod, gate, "True BackendNormal")
}

func (w *env) serviceOfNLB(t *testing.T) {
	w.simulator.putGroup(t, "nlb", "sgp-nlb", podServer("10.9.5.1"), podServer("10.9.5.2"))
	w.simulator.do(t, http.MethodPut, "nlb/loadbalancers/nlb-1", map[string]any{"regionId": region, "listeners": []any{
		map[string]any{"listenerPort": 80, "listenerProtocol": "TCPSSL", "serverGroupIds": []string{"sgp-nlb"}},
	}}, nil)
	service := balanced("nlb", "nlb-1", func(s *corev1.Service) {
		s.Spec.LoadBalancerClass = new("alibabacloud.com/nlb")
		s.Annotations = map[string]string{
			v1alpha1.MonitorAnnotation:                                            "true",
			"service.beta.kubernetes.io/backend-type":                             "eni",
			"service.beta.kubernetes.io/alibaba-cloud-loadbalancer-protocol-port": "tcpssl:80",
		}
	})
	w.createEndpoints(t, service, "10.9.5.1", "10.9.5.2")
	found := w.await(t, objectOf("nlb"), with(good("AllBackendsNormal"), states{"Registered": "True AllRegistered"}))
	g := NewWithT(t)
	g.Expect(found.Status.ServiceLoadBalancer.LoadBalancerID).To(Equal("nlb-1"))
	g.Expect(found.Status.Listeners).To(HaveExactElements(And(HaveField("Protocol", "tcpssl"), HaveField("Expected", HaveValue(BeEquivalentTo(2))))))

	const gate = v1alpha1.ReadinessGatePrefix + "nlb"
	pod := w.createGatedPod(t, mainNamespace, "nlb", "10.9.5.2", gate)
	w.awaitGate(t, pod, gate, "True BackendNormal")
	w.simulator.do(t, http.MethodDelete, "nlb/servergroups/sgp-nlb/servers?serverIp=10.9.5.1", nil, nil)
	found = w.await(t, objectOf("nlb"), with(good("AllBackendsNormal"), states{"Registered": "False BackendsMissing"}))
	g.Expect(found.Status.MissingBackends).To(HaveExactElements(And(HaveField("ServerIP", "10.9.5.1"), HaveField("Port", BeEquivalentTo(8080)))))
}
