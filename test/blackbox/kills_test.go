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
	// leastMidway is how many of the kills must fall between an answer that
	// said something new and the write of what it said.
	leastMidway = kills / 10
)

// killTest kills an operator again and again while backends turn.
type killTest struct {
	*env
	random  *rand.Rand
	answers *answersLog
	history *history
	key     account
	objects []*v1alpha1.LoadBalancerHealth
	killed  []time.Time
}

// TestKills: an operator that is killed at any moment leaves a history that an
// undisturbed one could have left, events apart that it had no time to write.
func TestKills(t *testing.T) {
	seed := seedOf(t)
	w := newEnv(t, envOptions{quick: true})
	w.addSimulator(t)
	k := &killTest{env: w, random: rand.New(rand.NewPCG(seed, 0)), answers: startAnswersLog(t, w), key: w.newAccount("kills")}
	w.simulator.setAccount(t, k.key)
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
	k.history = watchHistory(t, w, "kills")
	w.simulator.addFault(t, fault{Kind: "delay", Delay: "20ms"})

	began := time.Now()
	for life := range kills {
		k.liveAndDie(t, life)
	}
	t.Logf("%d kills in %s", kills, time.Since(began).Round(time.Second))
	k.settle(t)
	k.history.check(t, k)
	behaves(t, w)
}

// seedOf is KILL_SEED, or a new one, which is printed.
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
		"--kubeconfig="+k.operator.kubeconfig, "--slb-endpoint="+k.answers.server.URL, "--watch-namespace=kills",
		"--metrics-bind-address=0", "--health-probe-bind-address=0", "--slb-qps=200", "--slb-burst=200")
}

// flip turns some backends.
func (k *killTest) flip(t *testing.T) {
	t.Helper()
	for range 6 {
		object := k.objects[k.random.IntN(killObjects)]
		status := []string{"normal", "abnormal", "unavailable"}[k.random.IntN(3)]
		k.simulator.set(t, object.Spec.LoadBalancerID, serverName(k.random.IntN(killBackends)), status)
	}
}

// liveAndDie kills half of the operators at any time, and half within
// milliseconds of an answer, where the write is.
func (k *killTest) liveAndDie(t *testing.T, life int) {
	t.Helper()
	k.flip(t)
	p := k.run(t, fmt.Sprintf("kills-%d", life))
	end := time.After(100*time.Millisecond + time.Duration(k.random.Int64N(int64(1400*time.Millisecond))))
	near := k.random.IntN(2) == 0
	after := time.Duration(k.random.Int64N(int64(15 * time.Millisecond)))
	select {
	case <-k.answers.next: // of the life before
	default:
	}
	if near {
		select {
		case <-k.answers.next:
			end = time.After(after)
		case <-time.After(3 * time.Second):
		}
	}
	<-end
	k.killed = append(k.killed, time.Now())
	if !p.running() {
		t.Fatalf("%s ended by itself:\n%s", p.Name, p.Tail())
	}
	p.Kill()
}

// settle lets a last operator live, and compares it with the simulator.
func (k *killTest) settle(t *testing.T) {
	t.Helper()
	last := k.run(t, "kills-last")
	k.flip(t)
	for _, object := range k.objects {
		k.eventually(t, func(g Gomega) {
			var truth struct {
				Backends []backend `json:"backends"`
			}
			k.simulator.do(t, "GET", "loadbalancers/"+object.Spec.LoadBalancerID, nil, &truth)
			want := map[string]string{}
			var normal, abnormal, unavailable int32
			for _, b := range truth.Backends {
				want[b.ServerID] = b.ServerHealthStatus
				switch b.ServerHealthStatus {
				case "normal":
					normal++
				case "abnormal":
					abnormal++
				default:
					unavailable++
				}
			}
			found := k.get(g, object)
			g.Expect(rowsOf(found)).To(Equal(want))
			g.Expect(found.Status.Summary).To(Equal(&v1alpha1.Summary{Listeners: 1, Counts: counts(normal, abnormal, unavailable)}))
			g.Expect(string(conditionOf(found, "Healthy").Status)).To(Equal(verdictOf(normal, unavailable)))
		})
	}
	last.terminate(t, stopGrace) // it writes its last events
}

// verdictOf is the contract's rule for a minimum of 2.
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
