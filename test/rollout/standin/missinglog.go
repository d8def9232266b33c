// SPDX-License-Identifier: Apache-2.0

package standin

import (
	"fmt"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// missingLog is every report of an object that backends are missing.
type missingLog struct {
	mu      sync.Mutex
	reports []MissingReport
}

// MissingReport is a status whose condition Registered is False.
type MissingReport struct{ Namespace, Name, Message string }

func (r MissingReport) String() string {
	return fmt.Sprintf("%s/%s: %s", r.Namespace, r.Name, r.Message)
}

// record adds a report that is new.
func (l *missingLog) record(object *v1alpha1.LoadBalancerHealth) {
	registered := meta.FindStatusCondition(object.Status.Conditions, v1alpha1.ConditionRegistered)
	if registered == nil || registered.Status != metav1.ConditionFalse {
		return
	}
	report := MissingReport{object.Namespace, object.Name, registered.Message}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Contains(l.reports, report) {
		l.reports = append(l.reports, report)
	}
}

// MissingReports returns every report that backends are missing. Start needs the option
// to watch objects of LoadBalancerHealth for that.
func (c *Cluster) MissingReports() []MissingReport {
	c.missing.mu.Lock()
	defer c.missing.mu.Unlock()
	return slices.Clone(c.missing.reports)
}
