// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// The terms of leadership; slack is how much later than due anything may be on a busy machine.
const (
	leaseDuration = 15 * time.Second
	retryPeriod   = 2 * time.Second
	// retryAtMost is client-go's: its period is stretched at random.
	retryAtMost = retryPeriod * 22 / 10
)

// replica is an operator with a user and a key of its own: the audit log tells
// who wrote, and the simulator who asked.
type replica struct {
	*operator
	user *user
	key  account
}

// succession is a row of replicas of which each follows the one before.
type succession struct {
	*env
	namespace string
	objects   []*v1alpha1.LoadBalancerHealth
	replicas  []*replica
	turn      int
}

func (s *succession) join(t *testing.T) *replica {
	t.Helper()
	name := fmt.Sprintf("%s-%d", s.namespace, len(s.replicas)+1)
	r := &replica{user: s.addUser(t, name), key: s.newAccount(name)}
	s.bind(t, r.user, "role.yaml")
	s.bindIn(t, r.user, s.namespace, "leader_election_role.yaml")
	s.simulator.setAccount(t, r.key)
	r.operator = s.startOperator(t, operatorOptions{
		name: name, user: r.user, namespaces: []string{s.namespace}, endpoint: s.simulator.URL, account: r.key,
		args: []string{"--leader-elect", "--leader-election-namespace=" + s.namespace},
	})
	t.Cleanup(func() { _ = r.Signal(syscall.SIGCONT) }) // a paused one neither answers nor ends
	s.replicas = append(s.replicas, r)
	return r
}

// awaitWarm waits until the replica's cache has listed the objects.
func (s *succession) awaitWarm(t *testing.T, r *replica) {
	t.Helper()
	s.eventually(t, func(g Gomega) {
		g.Expect(s.audit.of(t, r.user, (*logged).listsAll)).To(HaveLen(1), "lists of "+r.Name)
	})
}

// observed waits for the first call of a replica after a moment, and returns when it was.
func (s *succession) observed(t *testing.T, r *replica, after time.Time) time.Duration {
	t.Helper()
	var first time.Time
	s.eventually(t, func(g Gomega) {
		first = time.Time{}
		for _, c := range s.simulator.calls(t, "") {
			if c.AccessKeyID == r.key.AccessKeyID && c.Time.After(after) && (first.IsZero() || c.Time.Before(first)) {
				first = c.Time
			}
		}
		g.Expect(first.IsZero()).To(BeFalse(), r.Name+" has not asked")
	})
	return first.Sub(after)
}

// flip turns a backend of every load balancer.
func (s *succession) flip(t *testing.T) string {
	t.Helper()
	s.turn++
	status := [2]string{"normal", "abnormal"}[s.turn%2]
	for _, object := range s.objects {
		s.simulator.set(t, object.Spec.LoadBalancerID, "i-2", status)
	}
	return status
}

// flipAndAwait demands that each turn reaches the statuses.
func (s *succession) flipAndAwait(t *testing.T) {
	t.Helper()
	status := s.flip(t)
	for _, object := range s.objects {
		s.eventually(t, func(g Gomega) {
			g.Expect(rowsOf(s.get(g, object))).To(HaveKeyWithValue("i-2", status))
		})
	}
}

func TestFailover(t *testing.T) {
	g := NewWithT(t)
	s := &succession{env: newEnv(t, envOptions{audited: true}), namespace: "failover"}
	s.addSimulator(t)
	s.createNamespace(t, s.namespace)
	for i := range 10 {
		id := fmt.Sprintf("lb-failover-%d", i)
		s.simulator.put(t, id, web("i-1", "10.8.0.1", "normal"), web("i-2", "10.8.0.2", "normal"))
		s.objects = append(s.objects, named(s.namespace, id))
		s.create(t, s.objects[i])
	}
	leader := s.join(t)
	for _, object := range s.objects {
		s.await(t, object, good("AllBackendsNormal"))
	}

	// Stopped cleanly, it hands over: the next needs to notice, and a slot to come.
	leader = s.replace(t, leader, func(old *replica) { old.terminate(t, stopGrace) }, 0, retryAtMost+interval+slack)
	// Killed, it is waited for until its lease has run out.
	leader = s.replace(t, leader, func(old *replica) { old.Kill() }, leaseDuration-retryAtMost, leaseDuration+2*retryAtMost+interval+slack)
	// Paused, it is waited for in the same way, and must not go on when it is let.
	for range 2 {
		old := leader
		s.simulator.addFault(t, fault{Kind: "delay", AccessKeyID: old.key.AccessKeyID, Delay: "1s"})
		leader = s.replace(t, old, func(old *replica) {
			s.flip(t)
			s.eventually(t, func(g Gomega) { g.Expect(s.underWay(t, old)).To(BeNumerically(">", 1)) })
			g.Expect(old.Signal(syscall.SIGSTOP)).To(Succeed())
		}, leaseDuration-retryAtMost, leaseDuration+2*retryAtMost+interval+slack)
		s.goesAtOnce(t, old)
	}
	leader.stop(t)
	s.oneWroteAtATime(t)
	behaves(t, s.env)
	for _, object := range s.objects { // each transition has one event, whichever operator saw it
		recorded := s.events(g, object).reasons()
		g.Expect(recorded["Warning BackendAbnormal"]+recorded["Normal BackendNormal"]).To(BeNumerically("<=", s.turn), object.Name)
	}
}

// underWay counts the calls that the simulator holds back for a replica.
func (s *succession) underWay(t *testing.T, r *replica) int {
	t.Helper()
	count := 0
	for _, c := range s.simulator.calls(t, "") {
		if c.AccessKeyID == r.key.AccessKeyID && time.Since(c.Time) < 900*time.Millisecond {
			count++
		}
	}
	return count
}

// replace takes the leader out and returns the next, which was warm.
func (s *succession) replace(t *testing.T, old *replica, takeOut func(*replica), least, most time.Duration) *replica {
	t.Helper()
	g := NewWithT(t)
	next := s.join(t)
	s.awaitWarm(t, next)
	s.flipAndAwait(t)
	g.Expect(s.audit.of(t, next.user, (*logged).writes)).To(BeEmpty(), "writes of a standby")
	old.keepMetrics(t)
	began := time.Now()
	takeOut(old)
	took := s.observed(t, next, began)
	t.Logf("%s observed %s after %s was taken out (allowed: %s to %s)", next.Name, took.Round(10*time.Millisecond), old.Name, least, most)
	g.Expect(took).To(And(BeNumerically(">=", least), BeNumerically("<=", most)))
	s.flipAndAwait(t)
	g.Expect(s.audit.of(t, next.user, (*logged).writes)).NotTo(BeEmpty())
	g.Expect(s.audit.of(t, next.user, (*logged).listsAll)).To(HaveLen(1), "its cache was warm: no list when it took over")
	return next
}

// goesAtOnce lets a paused replica go on: it must end, and write nothing.
func (s *succession) goesAtOnce(t *testing.T, old *replica) {
	t.Helper()
	g := NewWithT(t)
	s.flip(t) // what it would like to tell
	wrote := len(s.audit.of(t, old.user, (*logged).writes))
	continued := time.Now()
	g.Expect(old.Signal(syscall.SIGCONT)).To(Succeed())
	g.Expect(old.exit(t, slack)).To(Equal(1))
	t.Logf("%s ended %s after it was continued", old.Name, time.Since(continued).Round(time.Millisecond))
	g.Expect(s.audit.of(t, old.user, (*logged).writes)).To(HaveLen(wrote), "writes of a leader that lost its lease")
	g.Expect(old.Tail()).To(ContainSubstring("the lease was not renewed in time"))
	s.flipAndAwait(t)
}

// oneWroteAtATime reads the audit log: no replica wrote again once the next one had begun.
func (s *succession) oneWroteAtATime(t *testing.T) {
	t.Helper()
	writes := s.audit.all(t, (*logged).writes)
	slices.SortStableFunc(writes, func(a, b logged) int { return a.RequestReceivedTimestamp.Compare(b.RequestReceivedTimestamp) })
	var writers []string
	for i := range writes {
		if name := writes[i].User.Username; len(writers) == 0 || writers[len(writers)-1] != name {
			writers = append(writers, name)
		}
	}
	var want []string
	for _, r := range s.replicas {
		want = append(want, r.user.name)
	}
	NewWithT(t).Expect(writers).To(Equal(want), "who wrote, in turn")
	t.Logf("%d writes by %d replicas, one after another", len(writes), len(writers))
}
