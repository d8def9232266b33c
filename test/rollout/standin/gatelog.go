// SPDX-License-Identifier: Apache-2.0

package standin

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// gateLog is every condition that the readiness gates of pods have had.
type gateLog struct {
	mu    sync.Mutex
	gates map[types.UID]map[corev1.PodConditionType][]corev1.PodCondition
	names map[types.UID]string
}

// record adds the conditions of a pod that changed.
func (l *gateLog) record(pod *corev1.Pod) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, gate := range pod.Spec.ReadinessGates {
		now := corev1.PodCondition{Type: gate.ConditionType}
		if found := findCondition(pod, gate.ConditionType); found != nil {
			now = *found
		}
		l.add(pod, now)
	}
}

func (l *gateLog) add(pod *corev1.Pod, now corev1.PodCondition) {
	if l.gates == nil {
		l.gates, l.names = map[types.UID]map[corev1.PodConditionType][]corev1.PodCondition{}, map[types.UID]string{}
	}
	if l.gates[pod.UID] == nil {
		l.gates[pod.UID] = map[corev1.PodConditionType][]corev1.PodCondition{}
		l.names[pod.UID] = pod.Namespace + "/" + pod.Name
	}
	all := l.gates[pod.UID][now.Type]
	if n := len(all); n == 0 && now.Status != "" || n > 0 && all[n-1] != now {
		l.gates[pod.UID][now.Type] = append(all, now)
	}
}

// GateChanges returns the conditions that a gate of a pod has had, the first one first.
func (c *Cluster) GateChanges(pod *corev1.Pod, gate string) []corev1.PodCondition {
	c.gates.mu.Lock()
	defer c.gates.mu.Unlock()
	return slices.Clone(c.gates.gates[pod.UID][corev1.PodConditionType(gate)])
}

// ChangedOpenGates describes the gates of a prefix that changed after they were True.
func (c *Cluster) ChangedOpenGates(prefix string) []string {
	c.gates.mu.Lock()
	defer c.gates.mu.Unlock()
	var changed []string
	for uid, gates := range c.gates.gates {
		for gate, all := range gates {
			isOpen := func(c corev1.PodCondition) bool { return c.Status == corev1.ConditionTrue }
			if !strings.HasPrefix(string(gate), prefix) {
				continue
			}
			if first := slices.IndexFunc(all, isOpen); first >= 0 && first < len(all)-1 {
				changed = append(changed, fmt.Sprintf("%s of %s: %v", gate, c.gates.names[uid], all[first:]))
			}
		}
	}
	return changed
}
