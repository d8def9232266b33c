// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

func TestFailedGatePatchIsTriedAgain(t *testing.T) {
	env := newGateEnv(t)
	env.add("web-1", env.ready())
	env.reconcile()
	env.observe()
	env.want("web-1 False NotRegistered")
	env.patchErr = errors.New("refused")
	env.gates.states.observed(webRequest.NamespacedName, testTarget, health.GateInput{
		Service: "web", LoadBalancerID: "lb-1", Scopes: []health.GateScope{{}},
		Observation: &alicloud.Observation{RequestedAt: env.clock.Now(), At: env.clock.Now(), Backends: []alicloud.Backend{{ServerIP: "10.9.0.1", Type: health.TypeENI, ServerHealthStatus: "normal"}}},
	})
	if _, err := env.gates.Reconcile(t.Context(), webRequest); err == nil {
		t.Error("no error: the queue does not retry")
	}
	equal(t, "opened", len(env.opened), 0)
	waiting := ""
	env.gates.EachWaiting(func(_, _, reason string, _ int, _ time.Time) { waiting += reason })
	equal(t, "the metric", waiting, "BackendNormal")
	env.patchErr, env.lagging = nil, true
	env.reconcile()
	env.reconcile() // the cache does not show the patch
	env.want("web-1 True BackendNormal")
	env.gates.EachWaiting(func(_, _, reason string, _ int, _ time.Time) { t.Errorf("the metric has %s", reason) })
}

// TestManyFailedGatePatches checks that a pass with many failures reports one, and
// ends soon while the API server does not answer.
func TestManyFailedGatePatches(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		most int // patches
	}{
		"refused":     {errors.New("refused"), 200},
		"no response": {context.DeadlineExceeded, gatePatches},
	} {
		env := newGateEnv(t)
		for i := range 200 {
			env.add("web-"+strconv.Itoa(i), env.ready())
		}
		env.reconcile()
		env.clock.advance(10 * time.Second)
		env.patchErr = c.err
		_, err := env.gates.Reconcile(t.Context(), webRequest)
		if !errors.Is(err, c.err) || len(err.Error()) > 200 || !strings.Contains(err.Error(), "199 other pods") {
			t.Errorf("%s: %v", name, err)
		}
		if env.attempts > c.most {
			t.Errorf("%s: %d patches", name, env.attempts)
		}
		waiting := 0
		env.gates.EachWaiting(func(_, _, _ string, pods int, _ time.Time) { waiting += pods })
		equal(t, name+": waiting", waiting, 200)
	}
}

// TestConflictingGatePatchWaitsForTheCache checks that a cache which lags causes
// no patch after the other: its event starts the next pass.
func TestConflictingGatePatchWaitsForTheCache(t *testing.T) {
	env := newGateEnv(t)
	env.add("web-1", env.ready())
	env.reconcile()
	env.lagging = true
	env.set("web-1", corev1.PodCondition{Type: corev1.PodScheduled})
	env.observe("1 normal")
	env.want()
	equal(t, "requeue", env.reconcile(), gateConflictRetry)
	env.lagging = false
	env.set("web-1", corev1.PodCondition{Type: corev1.PodScheduled})
	env.reconcile()
	env.want("web-1 True BackendNormal")
}

// TestGateThatAnotherClientClosesIsOpenedAgain checks a client that replaces the
// conditions of a pod, when the cache shows both changes at once.
func TestGateThatAnotherClientClosesIsOpenedAgain(t *testing.T) {
	env := newGateEnv(t)
	env.add("web-1", env.ready())
	env.reconcile()
	env.lagging = true
	env.observe("1 normal")
	env.reconcile() // the cache does not show the patch
	env.want("web-1 True BackendNormal")
	env.lagging = false
	env.set("web-1", corev1.PodCondition{Type: webGate, Status: corev1.ConditionFalse})
	env.observe("1 normal")
	env.want("web-1 True BackendNormal")
}

// TestOpenGateIsNeverWrittenAgain lets random things happen, with a cache that
// lags, processes that restart, and an earlier leader that still writes. The
// gatePatcher fails the test when an open gate is written.
func TestOpenGateIsNeverWrittenAgain(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		env := newGateEnv(t)
		for i := range 4 {
			env.add("web-" + strconv.Itoa(i))
		}
		var former *GateReconciler
		for range 60 {
			env.step(random, &former)
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// step does one random thing.
func (env *gateEnv) step(random *rand.Rand, former **GateReconciler) {
	pod := "web-" + strconv.Itoa(random.IntN(4))
	env.clock.advance(time.Duration(random.IntN(60)) * time.Second)
	switch random.IntN(9) {
	case 0, 1:
		env.set(pod, env.ready())
	case 2:
		env.set(pod, corev1.PodCondition{Type: corev1.ContainersReady, Status: corev1.ConditionFalse})
	case 3:
		env.lagging = true
	case 4:
		env.mu.Lock()
		env.lagging, env.cached = false, maps.Clone(env.stored)
		env.mu.Unlock()
	case 5:
		*former = env.gates
		env.restart()
	case 6:
		if *former != nil {
			_, _ = (*former).Reconcile(env.t.Context(), webRequest)
		}
	default:
		var rows []string
		for i := range 4 {
			rows = append(rows, strconv.Itoa(i)+" "+[]string{"normal", "abnormal", "unavailable"}[random.IntN(3)])
		}
		env.observe(rows...)
	}
	env.reconcile()
}
