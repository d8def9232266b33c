// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/cluster"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

const (
	// gatePatches is how many pods of a Service are patched at once.
	gatePatches = 16
	// actionGate is the action of events about readiness gates.
	actionGate = "OpenReadinessGate"
)

// patchAll sends the patches of a pass, and returns their errors. Once one gets no
// response, the others wait for the next pass: the workers have other Services.
func (g *GateReconciler) patchAll(ctx context.Context, pass *gatePass) []error {
	results := make([]error, len(pass.writes))
	next := make(chan int, len(pass.writes))
	for i := range pass.writes {
		next <- i
	}
	close(next)
	var workers sync.WaitGroup
	var hangs atomic.Bool
	for range min(gatePatches, len(pass.writes)) {
		workers.Go(func() {
			for i := range next {
				if hangs.Load() {
					results[i] = context.DeadlineExceeded
					continue
				}
				results[i] = g.patch(ctx, pass, &pass.writes[i])
				if errors.Is(results[i], context.DeadlineExceeded) {
					hangs.Store(true)
				}
			}
		})
	}
	workers.Wait()
	return results
}

// patch writes the condition of a gate.
func (g *GateReconciler) patch(ctx context.Context, pass *gatePass, write *gateWrite) error {
	ctx, cancel := context.WithTimeout(ctx, kubernetesTimeout)
	defer cancel()
	data, err := gatePatch(write.pod, cluster.GateOf(pass.key.Name), &write.decision, pass.now)
	if err != nil {
		return err
	}
	response := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: write.pod.Namespace, Name: write.pod.Name}}
	response.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(cluster.KindPod))
	return g.Client.Status().Patch(ctx, response, client.RawPatch(types.StrategicMergePatchType, data))
}

// gatePatch is a strategic merge patch of one condition. It applies only to the
// resourceVersion of the pod that was decided on, whose gate is closed: so no
// process, even one that is no longer the leader, changes an open gate.
func gatePatch(pod *corev1.Pod, gate corev1.PodConditionType, d *health.GateDecision, now time.Time) ([]byte, error) {
	status := corev1.ConditionFalse
	if d.Open {
		status = corev1.ConditionTrue
	}
	condition := map[string]any{"type": gate, "status": status, "reason": d.Reason, "message": d.Message}
	if was := cluster.Condition(pod, gate); was == nil || was.Status != status {
		condition["lastTransitionTime"] = metav1.NewTime(now)
	}
	data, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": pod.UID, "resourceVersion": pod.ResourceVersion},
		"status":   map[string]any{"conditions": []any{condition}},
	})
	if err != nil {
		return nil, fmt.Errorf("encoding the patch: %w", err)
	}
	return data, nil
}

// record counts and logs a patch that succeeded.
func (g *GateReconciler) record(ctx context.Context, pass *gatePass, write *gateWrite) {
	d := &write.decision
	logger := log.FromContext(ctx).V(1)
	if d.Reason == v1alpha1.GateHealthUnknown || d.Reason == v1alpha1.GateNotObserved { // nothing was waited for
		logger = log.FromContext(ctx)
	}
	keys := []any{"namespace", write.pod.Namespace, "name", write.pod.Name, "service", pass.key.Name, "reason", d.Reason}
	if !d.Open {
		logger.Info("a readiness gate stays closed", keys...)
		return
	}
	logger.Info("a readiness gate was opened", keys...)
	g.Metrics.GateOpened(d.Reason)
	if readyAt := write.state.readyAt; !readyAt.IsZero() {
		g.Metrics.GateWaited(max(g.Now().Sub(readyAt), 0))
	}
}

// recordUnknown records the gates that were opened without knowing the health:
// on each pod, and once on each object.
func (g *GateReconciler) recordUnknown(pass *gatePass, results []error) {
	var names []string
	note := ""
	for i := range pass.writes {
		write := &pass.writes[i]
		if results[i] != nil || write.decision.Reason != v1alpha1.GateHealthUnknown {
			continue
		}
		names, note = append(names, write.pod.Name), write.decision.Message
		pass.unknownEvent("", note).recordOn(g.Events, actionGate, &corev1.ObjectReference{
			APIVersion: "v1", Kind: cluster.KindPod, Namespace: write.pod.Namespace, Name: write.pod.Name, UID: write.pod.UID,
		})
	}
	if len(names) == 0 {
		return
	}
	who := " of pod " + names[0]
	if len(names) > 1 {
		who = " of " + strconv.Itoa(len(names)) + " pods, among them " + strings.Join(names[:min(len(names), maxListed)], ", ")
	}
	for _, object := range pass.objects {
		pass.unknownEvent(who, note).recordOn(g.Events, actionGate, objectReference(object))
	}
}

// unknownEvent is the event about a gate that was opened without knowing the health.
func (p *gatePass) unknownEvent(who, note string) objectEvent {
	gate := string(cluster.GateOf(p.key.Name))
	return objectEvent{
		corev1.EventTypeWarning, v1alpha1.EventReadinessGateOpened,
		"readiness gate " + gate + who + " was " + note, conditionPath(gate, v1alpha1.GateHealthUnknown),
	}
}
