// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"strconv"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/cluster"
)

// States of a Service in slb_health_services.
const (
	// stateMonitored: an object observes the load balancer of the Service.
	stateMonitored = "monitored"
	// statePending: the Service has no load balancer yet, or its object is being replaced.
	statePending = "pending"
	// stateRefused: the object cannot be created.
	stateRefused = "refused"
	// stateInvalid: MonitorAnnotation is not a boolean.
	stateInvalid = "invalid_annotation"
	// stateOptedOut: MonitorAnnotation is false.
	stateOptedOut = "opted_out"
	// stateUnsupported: the load balancer is of a product or provider that the operator does not observe.
	stateUnsupported = "unsupported"
)

// monitorAction is what the operator does about the object of a Service.
type monitorAction int

const (
	// deleteObject deletes the object if the operator created it.
	deleteObject monitorAction = iota
	// keepObject neither creates nor deletes the object.
	keepObject
	// createObject creates the object.
	createObject
)

// monitorDecision is whether a Service has an object.
type monitorDecision struct {
	action monitorAction
	// state is that of the Service without an object; "": it is not counted.
	state string
	// cause is the end of the note of an event: why the object is created or deleted.
	cause string
	// byDefault says that --monitor=all requests the object, and no annotation.
	byDefault bool
}

// decideMonitor decides whether a Service has an object: by its annotation, and without
// one, with --monitor=all, if it has a load balancer that can be observed. It
// returns an error when the annotation is not a boolean.
//
// A load balancer that is being replaced has no id for a while. The object stays
// then, so that the loss of a load balancer shows in its status and in alerts.
func decideMonitor(service *corev1.Service, all bool) (monitorDecision, error) {
	value, annotated := service.Annotations[v1alpha1.MonitorAnnotation]
	switch {
	case !service.DeletionTimestamp.IsZero():
		return monitorDecision{action: deleteObject}, nil
	case annotated:
		return decideByAnnotation(value)
	case !all:
		return monitorDecision{action: deleteObject, cause: "the Service has no annotation " + v1alpha1.MonitorAnnotation}, nil
	}
	switch cluster.SupportFor(service) {
	case cluster.Supported:
		return monitorDecision{action: createObject, state: statePending, cause: "the Service has a load balancer (--monitor=all)", byDefault: true}, nil
	case cluster.Pending:
		return monitorDecision{action: keepObject, state: statePending}, nil
	case cluster.Unsupported:
		return monitorDecision{action: deleteObject, state: stateUnsupported, cause: "the operator does not observe the load balancer of the Service"}, nil
	default:
		return monitorDecision{action: deleteObject, cause: "the Service is not of type LoadBalancer"}, nil
	}
}

func decideByAnnotation(value string) (monitorDecision, error) {
	monitored, err := strconv.ParseBool(strings.ToLower(strings.TrimSpace(value)))
	switch {
	case err != nil:
		return monitorDecision{}, fmt.Errorf("the annotation %s has the value %q, which is neither true nor false: write one of them; nothing changes until then", v1alpha1.MonitorAnnotation, alicloud.CleanText(value))
	case monitored:
		return monitorDecision{action: createObject, state: statePending, cause: "the annotation " + v1alpha1.MonitorAnnotation + " is true"}, nil
	default:
		return monitorDecision{action: deleteObject, state: stateOptedOut, cause: "the annotation " + v1alpha1.MonitorAnnotation + " is false"}, nil
	}
}

// observes reports whether an object observes the load balancer of a Service.
func observes(object *v1alpha1.LoadBalancerHealth, service *corev1.Service) bool {
	if ref := object.Spec.ServiceRef; ref != nil {
		return ref.Name == service.Name
	}
	return object.Spec.LoadBalancerID == service.Labels[v1alpha1.ServiceLoadBalancerLabel]
}

// monitorStates has the state of each Service, for metrics.
type monitorStates struct {
	mu        sync.Mutex
	byService map[types.NamespacedName]string
}

// set stores the state of a Service; "" removes it.
func (m *monitorStates) set(service types.NamespacedName, state string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if state == "" {
		delete(m.byService, service)
		return
	}
	if m.byService == nil {
		m.byService = map[types.NamespacedName]string{}
	}
	m.byService[service] = state
}

// EachService calls visit with the namespace and the state of each Service that
// this process counts.
func (s *ServiceReconciler) EachService(visit func(namespace, state string)) {
	s.states.mu.Lock()
	defer s.states.mu.Unlock()
	for service, state := range s.states.byService {
		visit(service.Namespace, state)
	}
}
