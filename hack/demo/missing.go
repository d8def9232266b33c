// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

const (
	// storeNamespace is that of checkout.yaml, and checkout its Service and object.
	storeNamespace = "store"
	checkout       = object("checkout")

	checkoutBackends = "/admin/v1/loadbalancers/lb-demo-checkout/backends"
	lastPod          = `"serverId":"eni-store-2","serverIp":"10.9.0.3","type":"eni","listenerPort":80,"listenerProtocol":"tcp"`

	// missingTimeout includes the 30 s after which an absent backend counts as missing.
	missingTimeout = 90 * time.Second

	applyCheckout = "kubectl apply --server-side -f hack/demo/checkout.yaml"
	getCheckout   = "kubectl get lbh checkout -n store"
	treeCheckout  = "kubectl lbh tree checkout -n store"
	getRegistered = `kubectl get lbh checkout -n store -o jsonpath='{.status.conditions[?(@.type=="Registered")].message}{"\n"}'`
	getMissing    = `kubectl get lbh checkout -n store -o jsonpath='{range .status.missingBackends[*]}{.pod} {.node} {.diagnosis}{"\n"}{end}'`
)

// missing are steps in which the load balancer of a Service lacks a pod.
func missing() []step {
	return []step{
		{
			title: "A Service and its pods",
			text: "checkout names a Service instead of a load balancer. Its three pods are ready, and the load balancer has all of them:\n" +
				"Registered is True.",
			first: []string{applyCheckout},
			expected: []expectation{
				checkout.condition(v1alpha1.ConditionRegistered, metav1.ConditionTrue, v1alpha1.ReasonAllRegistered),
				checkout.counts(3, 0),
			},
			timeout: stepTimeout,
			shown:   []string{getCheckout},
		},
		{
			title: "A ready pod that is not behind the load balancer",
			text: "Someone edits the server group: it sends the requests for one pod to another port. Two of three backends are normal, so\n" +
				"checkout stays Ready, and kubectl get pods shows three Ready pods. Registered is False after 30 s, and says why.",
			changes: []change{
				{http.MethodDelete, checkoutBackends + "?serverIp=10.9.0.3", ""},
				{http.MethodPost, checkoutBackends, `{` + lastPod + `,"port":9090,"serverHealthStatus":"abnormal"}`},
			},
			expected: []expectation{
				checkout.condition(v1alpha1.ConditionRegistered, metav1.ConditionFalse, v1alpha1.ReasonBackendsMissing),
				checkout.condition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonMinHealthyMet),
				checkout.counts(2, 1),
				checkout.event(v1alpha1.EventBackendsMissing, "store/checkout-3"),
			},
			timeout: missingTimeout,
			shown:   []string{getCheckout, getRegistered, getMissing, treeCheckout},
		},
		{
			title: "The pod is back",
			text:  "The server group has the port of the Service again.",
			changes: []change{
				{http.MethodDelete, checkoutBackends + "?serverIp=10.9.0.3", ""},
				{http.MethodPost, checkoutBackends, `{` + lastPod + `,"port":8080}`},
			},
			expected: []expectation{
				checkout.condition(v1alpha1.ConditionRegistered, metav1.ConditionTrue, v1alpha1.ReasonAllRegistered),
				checkout.counts(3, 0),
				checkout.event(v1alpha1.EventBackendsRegistered, "every backend"),
			},
			timeout: stepTimeout,
			shown:   []string{getCheckout},
		},
	}
}
