// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"strings"
	"testing"
	"unsafe"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

func TestSlimLoadBalancerHealth(t *testing.T) {
	stored := func() *v1alpha1.LoadBalancerHealth {
		return &v1alpha1.LoadBalancerHealth{
			ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: "web", Annotations: map[string]string{v1alpha1.ObserveRequestedAtAnnotation: "now"}},
			Status: v1alpha1.LoadBalancerHealthStatus{
				Backends:  []v1alpha1.BackendStatus{{ServerHealthStatus: strings.Clone("abnormal")}, {ServerHealthStatus: strings.Clone("abnormal")}},
				Listeners: []v1alpha1.ListenerStatus{{Protocol: "https", Health: "Healthy"}},
			},
		}
	}
	object := stored()
	object.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}
	object.Annotations[corev1.LastAppliedConfigAnnotation] = "{}"
	slim, err := Slim(object)
	if err != nil {
		t.Fatal(err)
	}
	if !apiequality.Semantic.DeepEqual(slim, stored()) {
		t.Errorf("got %+v, want %+v", slim, stored())
	}
	rows := slim.(*v1alpha1.LoadBalancerHealth).Status.Backends
	if unsafe.StringData(rows[0].ServerHealthStatus) != unsafe.StringData(rows[1].ServerHealthStatus) {
		t.Error("equal words of two rows are stored twice")
	}
	if secret, err := Slim(&corev1.Secret{}); err != nil || secret == nil {
		t.Errorf("another kind: %v, %v", secret, err)
	}
}
