// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/lbhealth/slb-health-operator/test/harness"
	"github.com/lbhealth/slb-health-operator/test/rollout/standin"
)

const (
	// shopNamespace is that of shop.yaml.
	shopNamespace = "shop"
	shopBalancer  = "lb-demo-shop"
	// containerDelay, checkDelay and requeue are shorter than in most clusters.
	containerDelay = time.Second
	checkDelay     = 2 * time.Second
	requeue        = time.Second
	// unhealthyTag is the version that fails the health checks of the load balancer.
	unhealthyTag = ":2"
)

// shop is what the chapter about rollouts runs on, and who counts what serves.
type shop struct {
	controllerManager *harness.Process
	cluster           *standin.Cluster
	recorder          *standin.Recorder
}

// fewest is how few backends served since the recorder started again.
func (s *shop) fewest() int { return min(s.recorder.Fewest(), s.recorder.Serving()) }

// hint is how to continue with rollouts by hand.
func (s *shop) hint() string {
	if s == nil {
		return ""
	}
	return `
Roll out the unhealthy version again, and undo it:

  ` + updateShop + unhealthyTag + `
  ` + undoShop + `
`
}

// startShop runs the controllers that roll out a Deployment, and stand-ins for the
// nodes and the cloud controller manager.
func (s *env) startShop() error {
	scheme, err := harness.NewScheme()
	if err != nil {
		return err
	}
	started := &shop{}
	started.controllerManager, err = s.controlPlane.StartControllerManager(s.life, s.folder,
		"deployment-controller", "replicaset-controller", "endpointslice-controller")
	if err != nil {
		return err
	}
	s.shop = started
	started.cluster, err = standin.Start(s.life, s.controlPlane.Config, standin.Options{
		Scheme: scheme, StartDelay: containerDelay, Requeue: requeue,
		Admin: func(ctx context.Context, method, path string, body any) error {
			return s.simulator.Admin(ctx, method, path, body, nil)
		},
	})
	if err != nil {
		return err
	}
	_, started.recorder, err = started.cluster.AddLoadBalancer(types.NamespacedName{Namespace: shopNamespace, Name: string(shopObject)}, shopBalancer,
		started.check, standin.Listener{Port: 80, BackendPort: 8080, Protocol: "tcp", CheckDelay: checkDelay})
	return err
}

// check is the health check of the load balancer.
func (s *shop) check(ip string) string {
	if pod := s.cluster.PodAt(ip); pod != nil && strings.HasSuffix(pod.Spec.Containers[0].Image, unhealthyTag) {
		return standin.Abnormal
	}
	return standin.Normal
}
