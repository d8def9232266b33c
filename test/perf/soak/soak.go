// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/harness"
)

const (
	objectCount   = 300
	balancerCount = 200
	secretCount   = 6
	// actionInterval is between two actions.
	actionInterval = 50 * time.Millisecond
	// startLimit is for a starting operator on a busy machine.
	startLimit = time.Minute
	// minOutcomes is how many different outcomes the calls must have.
	minOutcomes = 8
	// watchLimit is the longest time until client-go watches again: with each outage its
	// delay doubles, to between 30 and 60 seconds.
	watchLimit = 65 * time.Second
	// recoveryLimit is two intervals and a call that still hangs, with some reserve.
	recoveryLimit = 2*interval + 5*time.Second
)

// A soak is one run.
type soak struct {
	env
	settings
	out     io.Writer
	started time.Time
	random  *rand.Rand

	own          account
	secrets      []key
	secretValues []string // all that were ever in use
	keys         int

	balancers []*balancer
	objects   map[string]*v1alpha1.LoadBalancerHealth
	servers   int
	numbers   int
	outageAt  time.Time // the last one

	operator     *operator
	logs         []string // files with the operators' output
	measurements []measurement
	done         map[string]int // actions
	correct      map[string]float64
	events       int            // in the end
	outcomes     map[string]int // of calls
}

// A key is a Secret, with the accounts that the simulator accepts for it.
type key struct {
	name  string
	valid []account // the Secret contains the first, or the second once it moved
	moved bool
	at    time.Time
}

// secret returns the Secret with its newest account.
func (k *key) secret() *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: k.name}, Data: k.valid[len(k.valid)-1].secretData()}
}

func newSoak(cfg settings, out io.Writer) *soak {
	s := &soak{
		settings: cfg, out: out, started: time.Now(), random: rand.New(rand.NewPCG(cfg.seed, 0)),
		objects: map[string]*v1alpha1.LoadBalancerHealth{}, done: map[string]int{}, correct: map[string]float64{},
	}
	s.own = s.newAccount()
	return s
}

func (s *soak) logf(format string, args ...any) {
	fmt.Fprintf(s.out, "%6.1fs  "+format+"\n", append([]any{time.Since(s.started).Seconds()}, args...)...)
}

func (s *soak) close() error {
	if s.operator != nil {
		s.operator.Stop()
	}
	return s.env.close()
}

func (s *soak) run(ctx context.Context) error {
	s.logf("%s of faults, seed %d: starting etcd, kube-apiserver and slb-simulator", s.duration, s.seed)
	for _, step := range []func(context.Context) error{
		s.open,
		s.populate,
		func(ctx context.Context) error { return s.launch(ctx, "first") },
		func(ctx context.Context) error { return s.waitUntilCorrect(ctx, "at the start", startLimit, nil) },
		s.injectFaults,
		s.removeFaults,
		s.waitUntilWatched,
		s.recover,
		s.checkSeries,
		s.checkOutcomes,
		s.failOver,
		s.search,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// populate creates the keys, load balancers and objects.
func (s *soak) populate(ctx context.Context) error {
	for i := range secretCount {
		s.secrets = append(s.secrets, key{name: fmt.Sprintf("key-%d", i), valid: []account{s.newAccount()}})
	}
	if err := s.writeAccounts(); err != nil {
		return err
	}
	for i := range balancerCount {
		s.balancers = append(s.balancers, s.newBalancer(i))
		if err := s.put(ctx, s.balancers[i]); err != nil {
			return err
		}
	}
	for i := range s.secrets {
		if err := s.Client.Create(ctx, s.secrets[i].secret()); err != nil {
			return err
		}
	}
	for range objectCount {
		o := s.newObject()
		s.objects[o.Name] = o
		if err := s.Client.Create(ctx, o); err != nil {
			return err
		}
	}
	s.logf("%d objects for %d load balancers", objectCount, balancerCount)
	return nil
}

// launch starts an operator, and records where its logs are.
func (s *soak) launch(ctx context.Context, name string) error {
	program := filepath.Join("bin", "slb-health-operator")
	if s.race {
		program = filepath.Join("bin", "race", "slb-health-operator")
	}
	o, err := s.startOperator(ctx, name, program, s.own)
	if err != nil {
		return err
	}
	s.operator, s.logs = o, append(s.logs, o.Stderr)
	return nil
}

// quiet is the time without faults before measurements, measuring the time of these.
const quiet, measuring = 4 * time.Second, measurementsPerRound * measurementInterval

// injectFaults repeats faults, a quiet time and measurements, with faults last.
func (s *soak) injectFaults(ctx context.Context) error {
	faults := min(max(s.duration/12, 6*time.Second), 30*time.Second)
	start := time.Now()
	for time.Since(start)+faults+quiet+measuring+faults <= s.duration {
		if err := s.runActions(ctx, faults); err != nil {
			return err
		}
		if err := s.pauseFaults(ctx); err != nil {
			return err
		}
		if err := s.measure(ctx, time.Since(start)); err != nil {
			return err
		}
	}
	s.logf("%d measurements", len(s.measurements))
	return s.runActions(ctx, faults)
}

func (s *soak) runActions(ctx context.Context, duration time.Duration) error {
	for deadline := time.Now().Add(duration); time.Now().Before(deadline); {
		if err := errors.Join(s.operator.Alive(), s.Simulator.Alive()); err != nil {
			return err
		}
		if err := s.act(ctx); err != nil {
			return err
		}
		if err := harness.Wait(ctx, actionInterval); err != nil {
			return err
		}
	}
	return nil
}

// pauseFaults removes all faults, and waits for the operator to recover.
func (s *soak) pauseFaults(ctx context.Context) error {
	if err := errors.Join(s.relay.Open(), s.putFaults(ctx, []fault{})); err != nil {
		return err
	}
	return harness.Wait(ctx, quiet)
}

// removeFaults removes all faults for good.
func (s *soak) removeFaults(ctx context.Context) error {
	if err := s.pauseFaults(ctx); err != nil {
		return err
	}
	for _, b := range s.balancers {
		if b.deleted {
			if err := s.put(ctx, b); err != nil {
				return err
			}
		}
	}
	return nil
}

// waitUntilWatched waits until the operator watches the objects again, without which it
// learns of no edit and no request.
func (s *soak) waitUntilWatched(ctx context.Context) error {
	start := time.Now()
	if err := wait.PollUntilContextTimeout(ctx, 250*time.Millisecond, watchLimit, true, s.watched); err != nil {
		return fmt.Errorf("after the last fault, the operator does not watch within %s: %w", watchLimit, err)
	}
	s.logf("the operator watches again after %.1f s", time.Since(start).Seconds())
	return nil
}

// recover waits until every status is correct after the last fault. It requests an
// observation of each stalled object, as a user does who fixed the cause. One
// request must do. It is made when the status says so, which an outage of the
// API server delays.
func (s *soak) recover(ctx context.Context) error {
	requested := sets.New[string]()
	return s.waitUntilCorrect(ctx, "after the last fault", recoveryLimit, func(o *v1alpha1.LoadBalancerHealth) error {
		if requested.Has(o.Name) || !meta.IsStatusConditionTrue(o.Status.Conditions, v1alpha1.ConditionStalled) {
			return nil
		}
		requested.Insert(o.Name)
		return s.patch(ctx, o, (*soak).requestObservation)
	})
}

// checkOutcomes counts the outcomes of calls: a soak without failures proves nothing.
func (s *soak) checkOutcomes(ctx context.Context) error {
	var calls struct {
		ByOutcome map[string]int `json:"byOutcome"`
	}
	if err := s.Simulator.Admin(ctx, http.MethodGet, "calls?limit=1", nil, &calls); err != nil {
		return err
	}
	if s.outcomes = calls.ByOutcome; len(s.outcomes) < minOutcomes {
		return fmt.Errorf("the faults had no effect: the calls' outcomes are %v", s.outcomes)
	}
	return nil
}

// failOver stops the operator while a second one waits for the Lease. The second
// has to continue the work of the first.
func (s *soak) failOver(ctx context.Context) error {
	first := s.operator
	if err := s.launch(ctx, "second"); err != nil {
		return err
	}
	first.Stop()
	if err := first.Failure(); err != nil {
		return fmt.Errorf("the first operator failed when it stopped: %w", err)
	}
	for range objectCount / 10 {
		if err := editBalancer((*soak).flip)(s, ctx); err != nil && !errors.Is(err, errNothingToDo) {
			return err
		}
	}
	if err := s.waitUntilCorrect(ctx, "after a failover", startLimit, nil); err != nil {
		return err
	}
	s.operator.Stop()
	if err := s.operator.Failure(); err != nil {
		return fmt.Errorf("the second operator failed when it stopped: %w", err)
	}
	return nil
}
