// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/harness"
)

const (
	accessKeyID     = "LTAI-bench"
	accessKeySecret = "bench-secret"
	simulatorConfig = "accounts: [{accessKeyId: " + accessKeyID + ", accessKeySecret: " + accessKeySecret + "}]\n"
	// keptCalls is how many calls the simulator stores in detail.
	keptCalls = 10_000
)

// A simulator is slb-simulator with the load balancers of the benchmark.
type simulator struct{ *harness.Simulator }

// put creates or replaces a load balancer whose backends are all normal, and nodes.
func (s *simulator) put(ctx context.Context, balancer string, rows int) error {
	return s.putKind(ctx, balancer, rows, "ecs")
}

// putKind is put for backends of a type: ecs for nodes, eni for pods.
func (s *simulator) putKind(ctx context.Context, balancer string, rows int, kind string) error {
	backends := make([]map[string]any, 0, rows)
	for j := range rows {
		r := newRow(balancer, j, metav1.Time{})
		backends = append(backends, map[string]any{
			"serverId": r.ServerID, "serverIp": r.ServerIP, "type": kind,
			"listenerPort": r.ListenerPort, "listenerProtocol": r.ListenerProtocol, "port": r.Port,
		})
	}
	return s.Admin(ctx, http.MethodPut, "loadbalancers/"+balancer, map[string]any{"regionId": region, "backends": backends}, nil)
}

func (s *simulator) remove(ctx context.Context, balancer string) error {
	return s.Admin(ctx, http.MethodDelete, "loadbalancers/"+balancer, nil, nil)
}

// set makes the first backend of a load balancer normal or abnormal.
func (s *simulator) set(ctx context.Context, balancer string, abnormal bool) error {
	status := v1alpha1.StatusNormal
	if abnormal {
		status = v1alpha1.StatusAbnormal
	}
	first := newRow(balancer, 0, metav1.Time{}).ServerID
	return s.Admin(ctx, http.MethodPatch, "loadbalancers/"+balancer+"/backends", map[string]string{"serverId": first, "serverHealthStatus": status}, nil)
}

// A callReport contains the calls that the simulator received.
type callReport struct {
	Total          int                       `json:"total"`
	ByAction       map[string]int            `json:"byAction"`
	ByProduct      map[string]map[string]int `json:"byProduct"` // the counts by action of each
	ByOutcome      map[string]int            `json:"byOutcome"`
	ByLoadBalancer map[string]int            `json:"byLoadBalancer"`
	Calls          []call                    `json:"calls"`
}

type call struct {
	Time            time.Time `json:"time"`
	Product         string    `json:"product"`
	Action          string    `json:"action"`
	LoadBalancerID  string    `json:"loadBalancerId"`
	LoadBalancerIDs []string  `json:"loadBalancerIds"` // where it concerns several, or lists listeners of CLB
	RequestID       string    `json:"requestId"`
}

// calls returns the counts of calls, and the newest calls in detail.
func (s *simulator) calls(ctx context.Context, newest int) (callReport, error) {
	var report callReport
	err := s.Admin(ctx, http.MethodGet, fmt.Sprintf("calls?limit=%d", newest), nil, &report)
	if err == nil && len(report.ByOutcome) > 1 {
		err = fmt.Errorf("the simulator refused calls: %v", report.ByOutcome)
	}
	return report, err
}
