// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

const (
	kills        = 200
	killObjects  = 24
	killBackends = 3
	// minMidway is the number of kills that must fall between a response with a transition and its write.
	minMidway = kills / 10
)

// killTest kills an operator many times while backends change.
type killTest struct {
	*env
	random   *rand.Rand
	log      *responseLog
	recorder *recorder
	key      account
	objects  []*v1alpha1.LoadBalancerHealth
	gates    *gateKills
	killed   []time.Time
}

// TestKills proves that the history of killed operators could be that of one operator, except for events that a kill
// lost, and that no kill changes an open readiness gate.
func TestKills(t *testing.T) {
	seed := seedOf(t)
	w := newEnv(t, envOptions{quick: true})
	w.addSimulator(t)
	k := &killTest{env: w, random: rand.New(rand.NewPCG(seed, 0)), log: startResponseLog(t, w), key: w.addAccount(t, "kills"), recorder: w.record(t)}
	w.createNamespace(t, "kills")
	for i := range killObjects {
		id := fmt.Sprintf("lb-kills-%d", i)
		var rows []backend
		for server := range killBackends {
			rows = append(rows, web(serverName(server), fmt.Sprintf("10.10.%d.%d", i, server), "normal"))
		}
		w.simulator.put(t, id, rows...)
		k.objects = append(k.objects, named("kills", id, needing("2")))
		w.create(t, k.objects[i])
	}
	k.addGates(t)
	w.simulator.addFault(t, fault{Kind: "delay", Delay: "20ms"})

	began := time.Now()
	for run := range kills {
		k.runAndKill(t, run)
	}
	t.Logf("%d kills in %s", kills, time.Since(began).Round(time.Second))
	k.awaitFinalState(t)
	k.check(t)
	k.checkGates(t)
	noRaceOrPanic(t, w)
}

// seedOf returns KILL_SEED or a random seed, and logs it.
func seedOf(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("KILL_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("KILL_SEED: %v", err)
		}
	}
	t.Logf("KILL_SEED=%d", seed)
	return seed
}

func serverName(i int) string { return "i-" + strconv.Itoa(i) }

func (k *killTest) run(t *testing.T, name string) *process {
	t.Helper()
	environment := append(k.operatorEnvironment(), k.key.environment()...)
	return start(t, k.outputs, name, k.programs.operator, environment,
		"--kubeconfig="+k.operator.kubeconfig, "--slb-endpoint="+k.log.server.URL, "--watch-namespace=kills",
		"--metrics-bind-address=0", "--health-probe-bind-address=0", "--slb-qps=200", "--slb-burst=200",
		"--readiness-gates", "--region-id="+region)
}

// flip changes some backends at random.
func (k *killTest) flip(t *testing.T) {
	t.Helper()
	for range 6 {
		object := k.objects[k.random.IntN(killObjects)]
		k.simulator.set(t, object.Spec.LoadBalancerID, serverName(k.random.IntN(killBackends)), k.anyStatus())
	}
}

// runAndKill kills half of the operators at a random time, and half within milliseconds of a response, where the write
// is.
func (k *killTest) runAndKill(t *testing.T, run int) {
	t.Helper()
	k.flip(t)
	k.changeGates(t)
	p := k.run(t, fmt.Sprintf("kills-%d", run))
	kill := time.After(100*time.Millisecond + time.Duration(k.random.Int64N(int64(1400*time.Millisecond))))
	near := k.random.IntN(2) == 0
	after := time.Duration(k.random.Int64N(int64(15 * time.Millisecond)))
	select {
	case <-k.log.next: // of the previous process
	default:
	}
	if near {
		select {
		case <-k.log.next:
			kill = time.After(after)
		case <-time.After(3 * time.Second):
		}
	}
	<-kill
	k.killed = append(k.killed, time.Now())
	if !p.running() {
		t.Fatalf("%s exited by itself:\n%s", p.Name, p.Tail())
	}
	p.Kill()
}

// awaitFinalState runs a last operator until every status equals the simulator's state, and every gate is open that
// must be.
func (k *killTest) awaitFinalState(t *testing.T) {
	t.Helper()
	last := k.run(t, "kills-last")
	k.flip(t)
	for _, object := range k.objects {
		k.eventually(t, func(g Gomega) {
			var lb struct {
				Backends []backend `json:"backends"`
			}
			k.simulator.do(t, "GET", "loadbalancers/"+object.Spec.LoadBalancerID, nil, &lb)
			want := map[string]string{}
			n := map[string]int32{}
			for _, b := range lb.Backends {
				want[b.ServerID] = b.ServerHealthStatus
				n[b.ServerHealthStatus]++
			}
			found := k.get(g, object)
			g.Expect(rowsOf(found)).To(Equal(want))
			g.Expect(found.Status.Summary.Counts).To(Equal(counts(n["normal"], n["abnormal"], n["unavailable"])))
			g.Expect(string(conditionOf(found, "Healthy").Status)).To(Equal(verdictOf(n["normal"], n["unavailable"])))
		})
	}
	k.awaitGates(t)
	last.terminate(t, stopGrace) // it writes the pending events
}

// verdictOf evaluates minHealthy: 2.
func verdictOf(normal, unavailable int32) string {
	switch {
	case normal >= 2:
		return "True"
	case normal+unavailable < 2:
		return "False"
	default:
		return "Unknown"
	}
}
