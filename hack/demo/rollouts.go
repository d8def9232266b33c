// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

const (
	shopReplicas = 4
	shopSurge    = 2
	// shopObject is also the name of the Deployment and the Service of shop.yaml.
	shopObject = object("shop")

	deployShop    = "kubectl apply --server-side -f hack/demo/shop.yaml"
	injectGates   = "kubectl apply -f config/readiness-gates/injection.yaml"
	optIn         = "kubectl label service shop -n shop slb.lbhealth.dev/readiness-gate=enabled"
	updateShop    = "kubectl set image deployment/shop -n shop shop=registry.example/shop"
	undoShop      = "kubectl rollout undo deployment/shop -n shop"
	rolloutStatus = "kubectl rollout status deployment/shop -n shop"
	getShop       = "kubectl get deployment,lbh -n shop"
	listGates     = "kubectl lbh gates -n shop"
)

// rollouts are the same deploy without and with a readiness gate.
func rollouts() []step {
	healthy := []expectation{
		shopObject.condition(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAllBackendsNormal),
		shopObject.counts(shopReplicas, 0),
	}
	return []step{
		{
			title: "A Deployment behind a load balancer",
			text: "shop has four pods, and maxUnavailable is 0. Its health check in the load balancer takes 2 s. The policy that injects\n" +
				"readiness gates is installed, but the Service does not opt in yet.",
			first:    []string{deployShop, injectGates, rolloutStatus},
			expected: healthy,
			timeout:  startTimeout,
			shown:    []string{getShop},
		},
		{
			title: "A bad deploy without a gate",
			text: "Version 2 is Ready, and fails the health check of the load balancer. Kubernetes replaces all pods and reports success.\n" +
				"Nothing serves.",
			first: []string{updateShop + unhealthyTag, rolloutStatus},
			expected: []expectation{
				shopObject.condition(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonBelowMinHealthy),
				shopObject.counts(0, shopReplicas),
				shopObject.fewestServing(0),
			},
			timeout: stepTimeout,
			shown:   []string{getShop},
		},
		{
			title:    "Rollback",
			text:     "Version 1 again. Users were without a backend until now.",
			first:    []string{undoShop, rolloutStatus},
			expected: healthy,
			timeout:  stepTimeout,
			shown:    []string{getShop},
		},
		gatedDeploy(),
		{
			title:    "A good deploy with the gate",
			text:     "Version 3 passes the health check. Old pods stay until new ones are normal: four serve all the time.",
			first:    []string{updateShop + ":3", rolloutStatus},
			expected: slices.Concat(healthy, []expectation{shopObject.fewestServing(shopReplicas)}),
			timeout:  stepTimeout,
			shown:    []string{getShop, listGates},
		},
	}
}

func gatedDeploy() step {
	return step{
		title: "The same bad deploy with the gate",
		text: "A label of the Service opts in. New pods are Ready once they are normal on the load balancer, which version 2 never\n" +
			"is: the rollout stops, and version 1 serves. After progressDeadlineSeconds (40) kubectl reports the failure.",
		first: []string{optIn, updateShop + unhealthyTag, rolloutStatus + ` || echo "it ended with $?"`},
		expected: []expectation{
			shopObject.counts(shopReplicas, shopSurge),
			shopObject.closedGates(shopSurge, v1alpha1.GateBackendAbnormal),
			shopObject.fewestServing(shopReplicas),
		},
		timeout: stepTimeout,
		shown:   []string{getShop, listGates},
	}
}
