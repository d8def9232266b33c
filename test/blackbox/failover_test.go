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

// The leader election of the operator.
const (
	leaseDuration = 15 * time.Second
	retryPeriod   = 2 * time.Second
	// maxRetry is the longest retry period: client-go adds a jitter.
	maxRetry = retryPeriod * 22 / 10
)

// replica is an operator with its own user and key: the audit log shows which replica wrote, and the simulator which
// one called.
type replica struct {
	*operator
	user *user
	key  account
}

// failover has replicas that lead one after another.
type failover struct {
	*env
	namespace string
	objects   []*v1alpha1.LoadBalancerHealth
	replicas  []*replica
	flips     int
}

func (s *failover) join(t *testing.T) *replica {
	t.Helper()
	name := fmt.Sprintf("%s-%d", s.namespace, len(s.replicas)+1)
	r := &replica{user: s.addCandidate(t, name, s.namespace), key: s.addAccount(t, name)}
	r.operator = s.startOperator(t, operatorOptions{
		name: name, user: r.user, namespaces: []string{s.namespace}, account: r.key,
		args: []string{"--leader-elect", "--leader-election-namespace=" + s.namespace},
	})
	t.Cleanup(func() { _ = r.Signal(syscall.SIGCONT) }) // a paused process cannot exit
	s.replicas = append(s.replicas, r)
	return r
}

// awaitCache waits until the cache of the replica has listed the objects.
func (s *failover) awaitCache(t *testing.T, r *replica) {
	t.Helper()
	s.eventually(t, func(g Gomega) {
		g.Expect(s.audit.of(t, r.user.name, (*auditedRequest).listsAll)).To(HaveLen(1), "lists of "+r.Name)
	})
}

// awaitFirstCall waits for the first call of a replica after a time, and returns its delay.
func (s *failover) awaitFirstCall(t *testing.T, r *replica, after time.Time) time.Duration {
	t.Helper()
	var first time.Time
	s.eventually(t, func(g Gomega) {
		first = time.Time{}
		for _, c := range s.simulator.calls(t, "") {
			if c.AccessKeyID == r.key.AccessKeyID && c.Time.After(after) && (first.IsZero() || c.Time.Before(first)) {
				first = c.Time
			}
		}
		g.Expect(first.IsZero()).To(BeFalse(), r.Name+" has made no call")
	})
	return first.Sub(after)
}

// flip changes a backend of every load balancer.
func (s *failover) flip(t *testing.T) string {
	t.Helper()
	s.flips++
	status := [2]string{"normal", "abnormal"}[s.flips%2]
	for _, object := range s.objects {
		s.simulator.set(t, object.Spec.LoadBalancerID, "i-2", status)
	}
	return status
}

// flipAndAwait changes the backends, and waits until every status has the transition.
func (s *failover) flipAndAwait(t *testing.T) {
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
	s := &failover{env: newEnv(t, envOptions{audited: true}), namespace: "failover"}
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

	// A leader that is terminated releases its Lease: the next one needs a retry period, and an interval until its slots.
	leader = s.replace(t, leader, func(old *replica) { old.terminate(t, stopGrace) }, 0, maxRetry+interval+slack)
	// The Lease of a leader that is killed expires first.
	leader = s.replace(t, leader, func(old *replica) { old.Kill() }, leaseDuration-maxRetry, leaseDuration+2*maxRetry+interval+slack)
	// So does that of a paused leader, which must exit when it is continued.
	for range 2 {
		old := leader
		s.simulator.addFault(t, fault{Kind: "delay", AccessKeyID: old.key.AccessKeyID, Delay: "1s"})
		leader = s.replace(t, old, func(old *replica) {
			s.flip(t)
			s.eventually(t, func(g Gomega) { g.Expect(s.inFlight(t, old)).To(BeNumerically(">", 1)) })
			g.Expect(old.Signal(syscall.SIGSTOP)).To(Succeed())
		}, leaseDuration-maxRetry, leaseDuration+2*maxRetry+interval+slack)
		s.exitsAtOnce(t, old)
	}
	leader.stop(t)
	s.oneWritesAtATime(t)
	noRaceOrPanic(t, s.env)
	for _, object := range s.objects { // each transition has one event, from one of the replicas
		recorded := s.events(g, object).reasons()
		g.Expect(recorded["Warning BackendAbnormal"]+recorded["Normal BackendNormal"]).To(BeNumerically("<=", s.flips), object.Name)
	}
}

// inFlight counts the calls of a replica that the simulator delays.
func (s *failover) inFlight(t *testing.T, r *replica) int {
	t.Helper()
	count := 0
	for _, c := range s.simulator.calls(t, "") {
		if c.AccessKeyID == r.key.AccessKeyID && time.Since(c.Time) < 900*time.Millisecond {
			count++
		}
	}
	return count
}

// replace disrupts the leader, and returns the next one, whose cache was ready.
func (s *failover) replace(t *testing.T, old *replica, disrupt func(*replica), least, most time.Duration) *replica {
	t.Helper()
	g := NewWithT(t)
	next := s.join(t)
	s.awaitCache(t, next)
	s.flipAndAwait(t)
	g.Expect(s.audit.of(t, next.user.name, (*auditedRequest).writes)).To(BeEmpty(), "writes of a standby")
	old.keepMetrics(t)
	began := time.Now()
	disrupt(old)
	took := s.awaitFirstCall(t, next, began)
	t.Logf("%s made its first call %s after the end of %s (allowed: %s to %s)", next.Name, took.Round(10*time.Millisecond), old.Name, least, most)
	g.Expect(took).To(And(BeNumerically(">=", least), BeNumerically("<=", most)))
	s.flipAndAwait(t)
	g.Expect(s.audit.of(t, next.user.name, (*auditedRequest).writes)).NotTo(BeEmpty())
	g.Expect(s.audit.of(t, next.user.name, (*auditedRequest).listsAll)).To(HaveLen(1), "lists: none when it became the leader")
	return next
}

// exitsAtOnce continues a paused replica: it must exit and write nothing.
func (s *failover) exitsAtOnce(t *testing.T, old *replica) {
	t.Helper()
	g := NewWithT(t)
	s.flip(t) // gives it something to write
	wrote := len(s.audit.of(t, old.user.name, (*auditedRequest).writes))
	continued := time.Now()
	g.Expect(old.Signal(syscall.SIGCONT)).To(Succeed())
	g.Expect(old.exit(t, slack)).To(Equal(1))
	t.Logf("%s exited %s after it was continued", old.Name, time.Since(continued).Round(time.Millisecond))
	g.Expect(s.audit.of(t, old.user.name, (*auditedRequest).writes)).To(HaveLen(wrote), "writes of a leader that lost its lease")
	g.Expect(old.Tail()).To(ContainSubstring("the lease was not renewed in time"))
	s.flipAndAwait(t)
}

// oneWritesAtATime requires of the audit log that no replica wrote after the first write of the next one.
func (s *failover) oneWritesAtATime(t *testing.T) {
	t.Helper()
	// The API server itself may write an event, such as one about the address of a Service, elsewhere.
	writes := s.audit.all(t, func(r *auditedRequest) bool { return r.writes() && r.ObjectRef.Namespace == s.namespace })
	slices.SortStableFunc(writes, func(a, b auditedRequest) int { return a.RequestReceivedTimestamp.Compare(b.RequestReceivedTimestamp) })
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
	NewWithT(t).Expect(writers).To(Equal(want), "writers, in their order")
	t.Logf("%d writes by %d replicas, one after another", len(writes), len(writers))
}
