// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

// Annotations of an Ingress that Alibaba Cloud's ALB Ingress controller reads.
const (
	// annotationIngressClass is from before spec.ingressClassName.
	annotationIngressClass = "kubernetes.io/ingress.class"
	// annotationAlbConfig names the AlbConfig where no IngressClass does.
	annotationAlbConfig = "alb.ingress.kubernetes.io/albconfig.name"
	// annotationAction precedes the name of an action: a backend of the name whose port
	// is portAction stands for what the action does.
	annotationAction = "alb.ingress.kubernetes.io/actions."
	portAction       = "use-annotation"
)

// albDomains are the domains of the host names of ALB instances. Those created since
// November 2024 have the second one in China, and the third one elsewhere.
var albDomains = []string{"alb.aliyuncs.com", "alb.aliyuncsslb.com", "alb.aliyuncsslbintl.com"}

// AlbConfig is what the AlbConfig of an Ingress says of its load balancer.
type AlbConfig struct {
	// LoadBalancerID is the id of the ALB instance; "": none, or not known.
	LoadBalancerID string
	// Problem is why no id is known.
	Problem string
}

// IngressLoadBalancer finds the ALB instance of an Ingress: by the host name in the
// status of the Ingress, which has the region, too; or else by its AlbConfig, in the
// region of the cluster. A failure says what is missing, and what to do.
func IngressLoadBalancer(ingress *networkingv1.Ingress, config AlbConfig, regions []string) health.Discovery {
	f := reference{v1alpha1.ReferenceIngress, types.NamespacedName{Namespace: ingress.Namespace, Name: ingress.Name}}
	if id, region := albOf(ingress); id != "" {
		return f.found(id, []string{region})
	}
	switch other := addressOf(ingress); {
	case other != "":
		return f.refused("has the address %s, which is not that of an ALB instance: replace ingressRef by serviceRef with the Service of its controller, or by loadBalancerId and regionId", alicloud.CleanText(other))
	case config.LoadBalancerID == "":
		return f.notFound("has no load balancer yet: its status has no host name, and %s", cmp.Or(config.Problem, "it has no AlbConfig"))
	case alicloud.ProductOf(config.LoadBalancerID) != alicloud.ProductALB || !loadBalancerID.MatchString(config.LoadBalancerID):
		return f.refused("has an AlbConfig whose load balancer is not an ALB instance: fix it")
	default:
		return f.found(config.LoadBalancerID, regions)
	}
}

// HasAddress reports whether the status of an Ingress has an address: then its AlbConfig
// is not needed.
func HasAddress(ingress *networkingv1.Ingress) bool { return addressOf(ingress) != "" }

// albOf returns the ALB instance and the region in the first host name of the status
// that has them: alb-….cn-hangzhou.alb.aliyuncs.com.
func albOf(ingress *networkingv1.Ingress) (id, region string) {
	for i := range ingress.Status.LoadBalancer.Ingress {
		host := strings.TrimSuffix(ingress.Status.LoadBalancer.Ingress[i].Hostname, ".")
		id, rest, _ := strings.Cut(host, ".")
		region, domain, _ := strings.Cut(rest, ".")
		if alicloud.ProductOf(id) == alicloud.ProductALB && loadBalancerID.MatchString(id) && alicloud.IsRegionID(region) && slices.Contains(albDomains, domain) {
			return id, region
		}
	}
	return "", ""
}

// addressOf is the first address in the status of an Ingress; "": it has none.
func addressOf(ingress *networkingv1.Ingress) string {
	for i := range ingress.Status.LoadBalancer.Ingress {
		if at := &ingress.Status.LoadBalancer.Ingress[i]; at.Hostname != "" || at.IP != "" {
			return cmp.Or(at.Hostname, at.IP)
		}
	}
	return ""
}

// ingressBackends are what an Ingress forwards requests to.
type ingressBackends struct {
	// ports are ports of Services, sorted, each once.
	ports []ingressPort
	// groups are server groups that actions name by their id.
	groups []string
	// unknown is the annotation of an action that cannot be read; "": none.
	unknown string
}

// ingressPort is a port of a Service, by its number or its name.
type ingressPort struct {
	service string
	number  int32
	name    string
}

func compareIngressPorts(a, b ingressPort) int {
	return cmp.Or(cmp.Compare(a.service, b.service), cmp.Compare(a.number, b.number), cmp.Compare(a.name, b.name))
}

// backendsOf returns the backends of the rules of an Ingress, and its default one.
func backendsOf(ingress *networkingv1.Ingress) ingressBackends {
	var found ingressBackends
	found.add(ingress.Annotations, ingress.Spec.DefaultBackend)
	for i := range ingress.Spec.Rules {
		if rule := ingress.Spec.Rules[i].HTTP; rule != nil {
			for j := range rule.Paths {
				found.add(ingress.Annotations, &rule.Paths[j].Backend)
			}
		}
	}
	slices.SortFunc(found.ports, compareIngressPorts)
	found.ports = slices.Compact(found.ports)
	return found
}

func (b *ingressBackends) add(annotations map[string]string, backend *networkingv1.IngressBackend) {
	switch {
	case backend == nil || backend.Service == nil:
	case backend.Service.Port.Name == portAction:
		b.addAction(annotations, annotationAction+backend.Service.Name)
	default:
		b.ports = append(b.ports, ingressPort{backend.Service.Name, backend.Service.Port.Number, backend.Service.Port.Name})
	}
}

// ingressAction is the part of an action that says where it forwards requests. One
// that redirects or responds itself has none.
type ingressAction struct {
	ForwardConfig struct {
		ServerGroups []struct {
			ServiceName   string `json:"ServiceName"`
			ServicePort   int32  `json:"ServicePort"`
			ServerGroupID string `json:"ServerGroupID"`
		} `json:"ServerGroups"`
	} `json:"ForwardConfig"`
}

func (b *ingressBackends) addAction(annotations map[string]string, key string) {
	var actions []ingressAction
	if err := json.Unmarshal([]byte(annotations[key]), &actions); err != nil {
		b.unknown = key
		return
	}
	for i := range actions {
		for _, group := range actions[i].ForwardConfig.ServerGroups {
			if group.ServerGroupID != "" {
				b.groups = append(b.groups, group.ServerGroupID)
			} else {
				b.ports = append(b.ports, ingressPort{service: group.ServiceName, number: group.ServicePort})
			}
		}
	}
}

// IngressServices are the names of the Services that an Ingress forwards requests to.
func IngressServices(ingress *networkingv1.Ingress) []string {
	names := map[string]bool{}
	for _, port := range backendsOf(ingress).ports {
		names[port.service] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// slimIngress keeps the class, the backends and the addresses of an Ingress.
func slimIngress(ingress *networkingv1.Ingress) *networkingv1.Ingress {
	slim := &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: ingress.Namespace, Name: ingress.Name, UID: ingress.UID,
			ResourceVersion: ingress.ResourceVersion, DeletionTimestamp: ingress.DeletionTimestamp,
			Annotations: only(ingress.Annotations, annotationIngressClass, annotationAlbConfig),
		},
		Spec:   networkingv1.IngressSpec{IngressClassName: ingress.Spec.IngressClassName, DefaultBackend: ingress.Spec.DefaultBackend},
		Status: networkingv1.IngressStatus{LoadBalancer: ingress.Status.LoadBalancer},
	}
	for key, value := range ingress.Annotations {
		if strings.HasPrefix(key, annotationAction) {
			metav1.SetMetaDataAnnotation(&slim.ObjectMeta, key, value)
		}
	}
	for i := range ingress.Spec.Rules {
		rule := ingress.Spec.Rules[i].HTTP
		if rule == nil {
			continue
		}
		kept := &networkingv1.HTTPIngressRuleValue{}
		for j := range rule.Paths {
			kept.Paths = append(kept.Paths, networkingv1.HTTPIngressPath{Backend: rule.Paths[j].Backend})
		}
		slim.Spec.Rules = append(slim.Spec.Rules, networkingv1.IngressRule{IngressRuleValue: networkingv1.IngressRuleValue{HTTP: kept}})
	}
	return slim
}
