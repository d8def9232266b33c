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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/harness"
)

const (
	fleetSize   = 300 // objects
	balancerSet = 200 // load balancers that they name
	secretCount = 6   // in which other keys are
	// pace is between two actions while everything goes wrong.
	pace = 50 * time.Millisecond
	// startLimit is for an operator that starts, among others that start.
	startLimit = time.Minute
	// leastOutcomes is how many different things have to become of calls.
	leastOutcomes = 8
	// settleLimit is an interval, a call that still hangs, and a bit.
	settleLimit = 2*interval + 5*time.Second
)

// A soak is one run.
type soak struct {
	env
	settings
	out     io.Writer
	started time.Time
	random  *rand.Rand

	own     account
	secrets []key
	vault   []string // every key, secret and token that there was
	keys    int

	fleet     int
	balancers []*balancer
	objects   map[string]*v1alpha1.LoadBalancerHealth
	servers   int
	numbered  int
	shutAt    time.Time // the API server, last

	operator *operator
	outputs  []string // files with all that operators said
	samples  []sample
	done     map[string]int
	settled  map[string]time.Duration
	events   int            // that are there at the end
	answers  map[string]int // of the simulator, by outcome
}

// A key is a Secret and what the simulator takes for it.
type key struct {
	name  string
	valid []account // the first is in use, or, once it moved, the second
	moved bool
	at    time.Time
}

func newSoak(asked settings, out io.Writer) *soak {
	s := &soak{
		settings: asked, out: out, started: time.Now(), fleet: fleetSize,
		random:  rand.New(rand.NewPCG(asked.seed, 0)),
		objects: map[string]*v1alpha1.LoadBalancerHealth{}, done: map[string]int{}, settled: map[string]time.Duration{},
	}
	s.own = s.newAccount()
	return s
}

func (s *soak) say(format string, args ...any) {
	fmt.Fprintf(s.out, "%6.1fs  "+format+"\n", append([]any{time.Since(s.started).Seconds()}, args...)...)
}

func (s *soak) close() error {
	if s.operator != nil {
		s.operator.Stop()
	}
	return s.env.close()
}

func (s *soak) run(ctx context.Context) (err error) {
	s.say("%s of faults, seed %d: starting etcd, kube-apiserver and slb-simulator", s.lasts, s.seed)
	if err := s.open(ctx, s.own); err != nil {
		return err
	}
	if err := s.populate(ctx); err != nil {
		return err
	}
	if s.operator, err = s.begin(ctx, "first"); err != nil {
		return err
	}
	if err := s.settle(ctx, "at the start", startLimit); err != nil {
		return err
	}
	if err := s.stir(ctx); err != nil {
		return err
	}
	if err := s.calm(ctx); err != nil {
		return err
	}
	if err := s.settle(ctx, "after the last fault", settleLimit); err != nil {
		return err
	}
	if err := s.countSeries(ctx); err != nil {
		return err
	}
	if err := s.countAnswers(ctx); err != nil {
		return err
	}
	if err := s.handOver(ctx); err != nil {
		return err
	}
	return s.search(ctx)
}

// populate makes what there is to observe.
func (s *soak) populate(ctx context.Context) error {
	for i := range secretCount {
		s.secrets = append(s.secrets, key{name: fmt.Sprintf("key-%d", i), valid: []account{s.newAccount()}})
	}
	if err := s.writeAccounts(); err != nil {
		return err
	}
	for i := range balancerSet {
		s.balancers = append(s.balancers, s.newBalancer(i))
		if err := s.put(ctx, s.balancers[i]); err != nil {
			return err
		}
	}
	for _, k := range s.secrets {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: k.name}, Data: k.valid[0].secretData()}
		if err := s.Client.Create(ctx, secret); err != nil {
			return err
		}
	}
	for range s.fleet {
		o := s.newObject()
		s.objects[o.Name] = o
		if err := s.Client.Create(ctx, o); err != nil {
			return err
		}
	}
	s.say("%d objects on %d load balancers", s.fleet, balancerSet)
	return nil
}

// begin starts an operator and remembers where it writes.
func (s *soak) begin(ctx context.Context, name string) (*operator, error) {
	program := filepath.Join("bin", "slb-health-operator")
	if s.race {
		program = filepath.Join("bin", "race", "slb-health-operator")
	}
	o, err := s.startOperator(ctx, name, program, s.own)
	if err != nil {
		return nil, err
	}
	s.outputs = append(s.outputs, o.Stderr)
	return o, nil
}

// A round is a time of faults and a quiet one, at whose end samples are taken.
const quiet, looks = 4 * time.Second, samplesEach * sampleEvery

// stir lets things go wrong for as long as it was asked to, and to the last moment.
func (s *soak) stir(ctx context.Context) error {
	storm := min(max(s.lasts/12, 6*time.Second), 30*time.Second)
	began := time.Now()
	for time.Since(began)+storm+quiet+looks+storm <= s.lasts {
		if err := s.storm(ctx, storm); err != nil {
			return err
		}
		if err := s.rest(ctx, quiet); err != nil {
			return err
		}
		if err := s.sample(ctx, time.Since(began)); err != nil {
			return err
		}
	}
	s.say("%d samples were taken", len(s.samples))
	return s.storm(ctx, storm)
}

func (s *soak) storm(ctx context.Context, lasts time.Duration) error {
	for until := time.Now().Add(lasts); time.Now().Before(until); {
		if err := s.step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// step is one action.
func (s *soak) step(ctx context.Context) error {
	if err := errors.Join(s.operator.Alive(), s.Simulator.Alive()); err != nil {
		return err
	}
	if err := s.act(ctx); err != nil {
		return err
	}
	return harness.Wait(ctx, pace)
}

// rest leaves the operator alone, with nothing in its way.
func (s *soak) rest(ctx context.Context, quiet time.Duration) error {
	if err := errors.Join(s.relay.Open(), s.putFaults(ctx, []fault{})); err != nil {
		return err
	}
	return harness.Wait(ctx, quiet)
}

// calm ends all faults for good. What is stalled is asked for, as a person does
// who fixed it, once the calls that are under way have ended.
func (s *soak) calm(ctx context.Context) error {
	if err := s.rest(ctx, quiet); err != nil {
		return err
	}
	for _, b := range s.balancers {
		if b.gone {
			if err := s.put(ctx, b); err != nil {
				return err
			}
		}
	}
	return s.requestStalled(ctx)
}

// countAnswers asks how the calls went: a soak without failures proves nothing.
func (s *soak) countAnswers(ctx context.Context) error {
	var calls struct {
		ByOutcome map[string]int `json:"byOutcome"`
	}
	if err := s.Simulator.Admin(ctx, http.MethodGet, "calls?limit=1", nil, &calls); err != nil {
		return err
	}
	if s.answers = calls.ByOutcome; len(s.answers) < leastOutcomes {
		return fmt.Errorf("the faults had no effect: the simulator answered %v", s.answers)
	}
	return nil
}

// handOver ends the operator while a second one waits for the Lease, which has
// to go on where the first stopped.
func (s *soak) handOver(ctx context.Context) error {
	second, err := s.begin(ctx, "second")
	if err != nil {
		return err
	}
	first := s.operator
	s.operator = second
	first.Stop()
	if err := first.Failure(); err != nil {
		return fmt.Errorf("the operator does not end well: %w", err)
	}
	for range scale(s.fleet, 10) {
		if err := s.flip(ctx); err != nil && !errors.Is(err, errIdle) {
			return err
		}
	}
	if err := s.settle(ctx, "after a new leader", startLimit); err != nil {
		return err
	}
	second.Stop()
	if err := second.Failure(); err != nil {
		return fmt.Errorf("the second operator does not end well: %w", err)
	}
	return nil
}
