// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// ofShop is an object of the Ingress shop, whose status has a server group.
func ofShop() *v1alpha1.LoadBalancerHealth {
	return &v1alpha1.LoadBalancerHealth{
		ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: "object"},
		Spec:       v1alpha1.LoadBalancerHealthSpec{IngressRef: &v1alpha1.IngressReference{Name: "shop"}},
		Status: v1alpha1.LoadBalancerHealthStatus{
			IngressLoadBalancer: &v1alpha1.IngressLoadBalancer{IngressName: "shop", LoadBalancerID: "alb-1", RegionID: "cn-hangzhou"},
			ObservedTarget:      &v1alpha1.ObservedTarget{IngressName: "shop", LoadBalancerID: "alb-1", RegionID: "cn-hangzhou"},
			Listeners:           []v1alpha1.ListenerStatus{{Port: 443, Protocol: "https", ServerGroupID: "sgp-known"}},
		},
	}
}

// behindIngress puts the Service behind the Ingress shop, with an ALB.
func behindIngress(c *cluster) {
	clusterIP(c)
	c.ingress = withAddress(newIngress("web:80"), hosts("alb-1.cn-hangzhou.alb.aliyuncs.com")...)
}

func TestServiceBackendsOfAnIngress(t *testing.T) {
	const own, other = "443 sgp-web 10.0.0.1:8080 10.0.0.2:8080", "443 sgp-other 10.7.0.1:8080"
	for name, test := range map[string]struct {
		edits  []edit
		change func(*backendsEnv, *v1alpha1.LoadBalancerHealth)
		want   string
	}{
		"read":              {nil, nil, "sgp-web=web"},
		"no EndpointSlices": {nil, func(env *backendsEnv, _ *v1alpha1.LoadBalancerHealth) { env.Locator.endpointSlices.Store(false) }, "sgp-known= ? EndpointSlicesUnknown()"},
		"no Ingresses":      {nil, func(env *backendsEnv, _ *v1alpha1.LoadBalancerHealth) { env.Locator.ingresses.Store(false) }, "sgp-known= ? IngressesUnknown()"},
		"no reader":         {nil, func(env *backendsEnv, _ *v1alpha1.LoadBalancerHealth) { env.Ingresses = nil }, "sgp-known= ? IngressesUnknown()"},
		"no such Ingress":   {[]edit{func(c *cluster) { c.ingress.Name = "other" }}, nil, "sgp-known= ? IngressChanged()"},
		"another ALB": {nil, func(_ *backendsEnv, o *v1alpha1.LoadBalancerHealth) {
			o.Status.IngressLoadBalancer.LoadBalancerID = "alb-2"
		}, "? IngressChanged()"},
		"found by AlbConfig": {[]edit{func(c *cluster) { withAddress(c.ingress) }}, nil, "sgp-web=web"},
		"no Service":         {[]edit{func(c *cluster) { c.service.Name = "other" }}, nil, "? ServerGroupUnknown(port 80 of Service web)"},
		"a known empty group": {[]edit{withoutEndpoints}, func(_ *backendsEnv, o *v1alpha1.LoadBalancerHealth) {
			o.Status.Listeners[0].ServerGroupID = "sgp-other"
		}, "sgp-other=web"},
	} {
		t.Run(name, func(t *testing.T) {
			env, object := newBackendsEnv(newCluster(append([]edit{eni, behindIngress}, test.edits...)...)), ofShop()
			if test.change != nil {
				test.change(env, object)
			}
			registered := Registered{Observation: albGroups(t, own, other)}
			got, err := env.For(t.Context(), object, registered, Expectation{})
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "the groups", formatGroups(got.Expected), test.want)
			confirmed, err := env.Confirm(t.Context(), object, registered)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "the groups past the cache", formatGroups(confirmed.Expected), test.want)
		})
	}
}

func TestServiceBackendsOfAnIngressReturnErrors(t *testing.T) {
	for _, kind := range []string{"*v1.Ingress", "*v1.Service", "*v1.EndpointSliceList", "*v1.NodeList"} {
		env := newBackendsEnv(newCluster(eni, behindIngress))
		env.fails = kind
		if got, err := env.For(t.Context(), ofShop(), Registered{Observation: albGroups(t, "443 sgp-web 10.0.0.1:8080")}, Expectation{}); err == nil {
			t.Errorf("%s: got %+v", kind, got.Expected)
		}
	}
}

// The cache still has the endpoints of before; the API server does not.
func TestIngressIsConfirmedPastTheCache(t *testing.T) {
	env := newBackendsEnv(newCluster(eni, behindIngress))
	live := newBackendsEnv(newCluster(eni, behindIngress, func(c *cluster) { c.slices[0].Endpoints = c.slices[0].Endpoints[:1] }))
	env.liveReader = live.reader
	registered := Registered{Observation: albGroups(t, "443 sgp-web 10.0.0.1:8080")}
	cached, err := env.For(t.Context(), ofShop(), registered, Expectation{})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "the cache", format(cached.Expected), "443/https: 10.0.0.1:8080 10.0.0.2:8080")
	confirmed, err := env.Confirm(t.Context(), ofShop(), registered)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "the API server", format(confirmed.Expected), "443/https: 10.0.0.1:8080")
}

func TestIngressesOfAService(t *testing.T) {
	env := newBackendsEnv(newCluster(behindIngress))
	key := types.NamespacedName{Namespace: "prod", Name: "web"}
	if names, err := env.Ingresses.Of(t.Context(), key); err != nil || !slices.Equal(names, []string{"shop"}) {
		t.Errorf("got %q, %v", names, err)
	}
	if names, err := env.Ingresses.Of(t.Context(), client.ObjectKey{Namespace: "prod", Name: "api"}); err != nil || len(names) != 0 {
		t.Errorf("of a Service that no Ingress names: got %q, %v", names, err)
	}
	env.Locator.ingresses.Store(false)
	if names, err := env.Ingresses.Of(t.Context(), key); err != nil || names != nil {
		t.Errorf("without the permission: got %q, %v", names, err)
	}
	var none *Ingresses
	if ingress, err := none.Get(t.Context(), key); ingress != nil || err != nil || none.Reads() {
		t.Errorf("without a reader: got %v, %v", ingress, err)
	}
}
