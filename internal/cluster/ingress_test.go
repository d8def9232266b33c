// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// newIngress is an Ingress of prod/shop with one path to each backend, such as web:80 or web:http.
func newIngress(backends ...string) *networkingv1.Ingress {
	ingress := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: "shop", UID: "u", Annotations: map[string]string{}}}
	rule := &networkingv1.HTTPIngressRuleValue{}
	for _, text := range backends {
		rule.Paths = append(rule.Paths, networkingv1.HTTPIngressPath{Path: "/" + text, Backend: *ingressBackend(text)})
	}
	ingress.Spec.Rules = []networkingv1.IngressRule{{Host: "shop.example.com", IngressRuleValue: networkingv1.IngressRuleValue{HTTP: rule}}, {Host: "without.paths.example.com"}}
	return ingress
}

func ingressBackend(text string) *networkingv1.IngressBackend {
	service, port, _ := strings.Cut(text, ":")
	backend := &networkingv1.IngressServiceBackend{Name: service, Port: networkingv1.ServiceBackendPort{Name: port}}
	if port >= "0" && port <= "9999" {
		backend.Port = networkingv1.ServiceBackendPort{}
		for _, digit := range port {
			backend.Port.Number = backend.Port.Number*10 + digit - '0'
		}
	}
	return &networkingv1.IngressBackend{Service: backend}
}

func withAddress(ingress *networkingv1.Ingress, addresses ...networkingv1.IngressLoadBalancerIngress) *networkingv1.Ingress {
	ingress.Status.LoadBalancer.Ingress = addresses
	return ingress
}

func hosts(names ...string) []networkingv1.IngressLoadBalancerIngress {
	var addresses []networkingv1.IngressLoadBalancerIngress
	for _, name := range names {
		addresses = append(addresses, networkingv1.IngressLoadBalancerIngress{Hostname: name})
	}
	return addresses
}

func TestIngressLoadBalancer(t *testing.T) {
	const found = ""
	one := []string{"cn-hangzhou"}
	for name, test := range map[string]struct {
		addresses []networkingv1.IngressLoadBalancerIngress
		config    AlbConfig
		regions   []string
		kind      alicloud.Kind
		want      string // id and region, or the message
	}{
		"a host name":              {hosts("alb-1x.cn-beijing.alb.aliyuncs.com"), AlbConfig{}, nil, found, "alb-1x cn-beijing"},
		"of the newer domain":      {hosts("alb-1x.cn-beijing.alb.aliyuncsslb.com"), AlbConfig{}, nil, found, "alb-1x cn-beijing"},
		"outside of China":         {hosts("alb-1x.ap-southeast-1.alb.aliyuncsslbintl.com"), AlbConfig{}, nil, found, "alb-1x ap-southeast-1"},
		"of two controllers":       {hosts("lb.example.com", "alb-1x.cn-beijing.alb.aliyuncs.com"), AlbConfig{}, nil, found, "alb-1x cn-beijing"},
		"not the AlbConfig":        {hosts("alb-1x.cn-beijing.alb.aliyuncs.com"), AlbConfig{LoadBalancerID: "alb-2"}, one, found, "alb-1x cn-beijing"},
		"only an AlbConfig":        {nil, AlbConfig{LoadBalancerID: "alb-2"}, one, found, "alb-2 cn-hangzhou"},
		"AlbConfig without region": {nil, AlbConfig{LoadBalancerID: "alb-2"}, nil, alicloud.LoadBalancerNotFound, "no node has a region: set --region-id"},
		"AlbConfig, two regions": {nil, AlbConfig{LoadBalancerID: "alb-2"}, []string{"cn-beijing", "cn-hangzhou"}, alicloud.InvalidRequest,
			"set --region-id, or replace ingressRef by loadBalancerId and regionId"},
		"none yet":        {nil, AlbConfig{Problem: "its AlbConfig alb has no load balancer yet"}, one, alicloud.LoadBalancerNotFound, "has no load balancer yet: its status has no host name, and its AlbConfig alb has no load balancer yet"},
		"no id of an ALB": {nil, AlbConfig{LoadBalancerID: "nlb-2"}, one, alicloud.InvalidRequest, "whose load balancer is not an ALB instance"},
		"an address":      {[]networkingv1.IngressLoadBalancerIngress{{IP: "192.0.2.1"}}, AlbConfig{}, one, alicloud.InvalidRequest, "has the address 192.0.2.1, which is not that of an ALB instance: replace ingressRef by serviceRef"},
		"an NLB":          {hosts("nlb-1.cn-beijing.nlb.aliyuncs.com"), AlbConfig{}, one, alicloud.InvalidRequest, "not that of an ALB"},
		"a foreign host":  {hosts("alb-1.cn-beijing.alb.example.com"), AlbConfig{}, one, alicloud.InvalidRequest, "not that of an ALB"},
		"no region":       {hosts("alb-1.evil.alb.aliyuncs.com"), AlbConfig{}, one, alicloud.InvalidRequest, "not that of an ALB"},
	} {
		t.Run(name, func(t *testing.T) {
			ingress := withAddress(newIngress(), test.addresses...)
			d := IngressLoadBalancer(slimIngress(ingress), test.config, test.regions)
			if test.kind != found {
				if d.Found != nil || d.Failure.Kind != test.kind || !strings.HasPrefix(d.Failure.Message, "Ingress prod/shop ") || !strings.Contains(d.Failure.Message, test.want) {
					t.Errorf("got %v, %v", d.Found, d.Failure)
				}
				return
			}
			if d.Found == nil || d.Found.LoadBalancerID+" "+d.Found.RegionID != test.want || d.Found.Reference != (v1alpha1.Reference{Kind: v1alpha1.ReferenceIngress, Name: "shop"}) {
				t.Errorf("got %v, %v", d.Found, d.Failure)
			}
		})
	}
}

func TestBackendsOfIngress(t *testing.T) {
	const forward, redirect = "alb.ingress.kubernetes.io/actions.split", "alb.ingress.kubernetes.io/actions.away"
	ingress := newIngress("web:80", "web:80", "api:http", "split:use-annotation", "away:use-annotation")
	ingress.Spec.DefaultBackend = ingressBackend("errors:8080")
	ingress.Spec.Rules[0].HTTP.Paths = append(ingress.Spec.Rules[0].HTTP.Paths, networkingv1.HTTPIngressPath{Path: "/static"}) // a resource
	ingress.Annotations = map[string]string{
		forward:  `[{"type":"ForwardGroup","ForwardConfig":{"ServerGroups":[{"ServiceName":"canary","ServicePort":80,"Weight":20},{"ServerGroupID":"sgp-x"}]}}]`,
		redirect: `[{"type":"Redirect","RedirectConfig":{"host":"example.com"}}]`,
		"alb.ingress.kubernetes.io/actions.unused": "{",
	}
	want := ingressBackends{
		ports:  []ingressPort{{"api", 0, "http"}, {"canary", 80, ""}, {"errors", 8080, ""}, {"web", 80, ""}},
		groups: []string{"sgp-x"},
	}
	if got := backendsOf(ingress); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if services := IngressServices(slimIngress(ingress)); !slices.Equal(services, []string{"api", "canary", "errors", "web"}) {
		t.Errorf("the Services are %q", services)
	}
	kept, err := Slim(ingress.DeepCopy())
	if err != nil {
		t.Fatal(err)
	}
	if slim := backendsOf(kept.(*networkingv1.Ingress)); !reflect.DeepEqual(slim, want) {
		t.Errorf("the cache has %+v", slim)
	}
	for _, broken := range []string{"", "{", `[{"ForwardConfig":{"ServerGroups":[{"ServicePort":"http"}]}}]`} {
		ingress.Annotations[forward] = broken
		if got := backendsOf(ingress); got.unknown != forward {
			t.Errorf("the action %s: got %+v", broken, got)
		}
	}
}
