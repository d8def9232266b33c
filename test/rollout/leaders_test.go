// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// While a pod waits, and the leader has written so, the leader is killed, terminated and paused: the standby opens its
// gate, and every backend is replaced by one that serves. A paused leader that continues
// exits.
func testFailover(t *testing.T, s *suite) {
	requireGates(t)
	var leader *harness.Process
	replica := 0
	start := func(a *app) *harness.Process {
		replica++
		return a.startReplica(t, fmt.Sprintf("%s-replica-%d", a.namespace, replica))
	}
	a := s.newApp(t, appOptions{
		replicas: 2, gates: []string{cloudGate, healthGate}, delays: []time.Duration{healthCheck},
	}, func(a *app) { leader = start(a) })
	for i, stop := range []func(*harness.Process) error{
		func(p *harness.Process) error { p.Kill(); return nil },
		func(p *harness.Process) error { p.Stop(); return nil },
		func(p *harness.Process) error { return p.Signal(syscall.SIGSTOP) },
	} {
		standby, version := start(a), fmt.Sprintf("v%d", i+2)
		a.update(t, version)
		waiting := a.awaitPod(t, version, "whose gate is closed", func(pod *corev1.Pod) bool {
			return conditionOf(pod, healthGate).Status == corev1.ConditionFalse
		})
		stopped := time.Now()
		if err := stop(leader); err != nil {
			t.Fatal(err)
		}
		verifyRollout(t, a, version)
		for _, pod := range a.pods(t, version) {
			opened := conditionOf(&pod, healthGate).LastTransitionTime
			if pod.UID == waiting.UID && opened.Add(time.Second).Before(stopped) {
				t.Errorf("the gate of %s was opened before the leader was stopped", pod.Name)
			}
		}
		if leader.Alive() == nil {
			exitsWhenContinued(t, leader)
		}
		leader = standby
	}
}

// startReplica starts an operator that leads, or stands by.
func (a *app) startReplica(t *testing.T, replicaName string) *harness.Process {
	t.Helper()
	p := a.startNamed(t, replicaName, "--leader-elect", "--leader-election-namespace="+a.namespace)
	t.Cleanup(func() { _ = p.Signal(syscall.SIGCONT) }) // a paused process cannot exit
	return p
}

// exitsWhenContinued continues a leader that was paused until another one led.
func exitsWhenContinued(t *testing.T, p *harness.Process) {
	t.Helper()
	if err := p.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Ended():
	case <-time.After(patience):
		t.Errorf("%s continues to run", p.Name)
	}
}
