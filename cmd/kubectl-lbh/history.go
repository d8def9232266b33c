// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// maxTreeHistory is how many changes the tree shows.
const maxTreeHistory = 3

func runHistory(ctx context.Context, o *options, name string) error {
	_, object, err := o.object(ctx, name)
	if err != nil {
		return err
	}
	return history(object, o)
}

// history writes a table of the last changes of an object's health.
func history(object *v1alpha1.LoadBalancerHealth, o *options) error {
	if len(object.Status.History) == 0 {
		_, err := fmt.Fprintf(o.ErrOut, "The health of %s has not changed since its first observation.\n", sanitize(object.Name))
		return err
	}
	t := &table{header: []string{"TIME", "AGE", "HEALTH", "REASON", "MESSAGE"}}
	for i := range object.Status.History {
		c := &object.Status.History[i]
		label, color := changeLabel(c)
		t.rows = append(t.rows, []cell{
			{text: c.Time.UTC().Format(time.RFC3339)}, {text: o.age(&c.Time)}, {label, color}, {text: c.Reason}, {text: c.Message},
		})
	}
	return o.writeTable(t, true) // a message is longer than a terminal is wide
}

// changeLabel is the health that an object changed to, and its color.
func changeLabel(c *v1alpha1.HealthChange) (string, color) {
	verdict := map[metav1.ConditionStatus]v1alpha1.Health{metav1.ConditionTrue: v1alpha1.Healthy, metav1.ConditionFalse: v1alpha1.Unhealthy}[c.Status]
	if verdict == "" {
		verdict = v1alpha1.Unknown
	}
	return string(verdict), healthColor(verdict)
}

// history prints the last changes as the last branch of a tree.
func (p *printer) history(changes []v1alpha1.HealthChange) {
	if len(changes) == 0 {
		return
	}
	p.printf("└─ history\n")
	shown := changes[:min(len(changes), maxTreeHistory)]
	for i := range shown {
		branch := "├─ "
		if i == len(shown)-1 {
			branch = "└─ "
		}
		c := &shown[i]
		label, color := changeLabel(c)
		p.printf("   %s%s  %s ago  %s: %s\n", branch, color.paint(pad(label, len(v1alpha1.Unhealthy)), p.colored), p.o.age(&c.Time), sanitize(c.Reason), sanitize(c.Message))
	}
}
