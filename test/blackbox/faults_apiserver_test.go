// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// apiServerFaultCases are faults between the operator and the API server. Each
// has an operator of its own, behind a gate.
var apiServerFaultCases = []faultCase{
	{"api-server-is-away-for-a-minute", "", "", losesTheAPIServer},
	{"api-server-is-away-at-the-start", "", "", startsWithoutAPIServer},
	{"leader-loses-its-lease", "", "", losesTheLease},
	{"api-server-is-slow", "", "", meetsASlowAPIServer},
	{"api-server-hangs", "", "", meetsAHangingAPIServer},
	{"watch-is-cut", "", "", losesTheWatch},
	{"answer-to-a-write-is-lost", "", "", losesTheAnswerToAWrite},
	{"others-write-the-object", "", "", meetsOtherWriters},
}

// guarded is an operator behind a gate.
type guarded struct {
	*gate
	*operator
	namespace string
}

func (a *faultEnv) newGuarded(t *testing.T, name string) *guarded {
	t.Helper()
	a.createNamespace(t, name)
	g := &guarded{gate: a.openGate(t), namespace: name}
	g.operator = a.startOperator(t, a.behind(t, g.gate, name))
	return g
}

// behind are the options of an operator behind a gate. Its namespace is its
// name as far as a dot, after which the number of its start may stand.
func (a *faultEnv) behind(t *testing.T, g *gate, name string, args ...string) operatorOptions {
	t.Helper()
	namespace, _, _ := strings.Cut(name, ".")
	return operatorOptions{
		name: name, user: a.through(t, g), namespaces: []string{namespace}, endpoint: a.slb.url(), account: a.slb.account, args: briefly(args...),
	}
}

// watchSlack is client-go's longest back-off of a watch.
const watchSlack = time.Minute

// losesTheAPIServer changes something in the cloud meanwhile, and at once after.
func losesTheAPIServer(t *testing.T, a *faultEnv, o faultCase) {
	g := a.newGuarded(t, "away")
	s := a.newSubject(t, g.namespace, o.name)
	began := time.Now()
	g.shut()
	s.awaitCalls(t, 1, interval+slack)
	s.show(twoRows("normal")...)
	s.awaitCalls(t, 3, 3*interval+slack) // the cloud is asked as ever
	<-time.After(time.Until(began.Add(time.Minute)))
	g.open(t)
	s.turned(t, "normal", interval+slack)
	s.turn(t, "abnormal")
	s.finish(t)
	s.servesRequests(t, watchSlack)
	if _, log := g.output(t); !strings.Contains(log, "connection refused") {
		t.Error("the log does not say that the API server refuses connections")
	}
}

// servesRequests demands that what a user asks for is seen, once the watch is back.
func (s *subject) servesRequests(t *testing.T, within time.Duration) {
	t.Helper()
	since := time.Now()
	s.env.requestObservation(t, s.objects[0].object, "now")
	s.env.recorder.awaitRevision(t, s.objects[0].object, within, "a request is served", func(o *v1alpha1.LoadBalancerHealth) bool {
		return o.Status.LastHandledObserveRequest == "now"
	})
	t.Logf("a request was served within %s", time.Since(since).Round(100*time.Millisecond))
	fit := s.objects[0] // it has a status more, which says that the request was served
	fit.expected = append(fit.expected, fit.expected[len(fit.expected)-1])
}

func startsWithoutAPIServer(t *testing.T, a *faultEnv, o faultCase) {
	const namespace = "early"
	a.createNamespace(t, namespace)
	g := a.openGate(t)
	g.shut()
	s := a.cast(t, namespace, o.name)
	s.create(t)
	a.endsForWant(t, a.launch(t, a.behind(t, g, namespace+".1")), "connection refused")
	g.open(t)
	a.startOperator(t, a.behind(t, g, namespace+".2"))
	s.follow(t, interval+slack, "the first answer", func(r *watchedObject) states { return r.base }, twoRows("abnormal"))
	s.turn(t, "normal")
	s.finish(t)
}

// endsForWant demands that an operator ends by itself and says why, in one of
// these ways: its supervisor starts it again.
func (*faultEnv) endsForWant(t *testing.T, o *operator, whys ...string) {
	t.Helper()
	if code := o.exit(t, time.Minute); code != 1 {
		t.Errorf("%s ended with exit code %d", o.Name, code)
	}
	_, log := o.output(t)
	if !slices.ContainsFunc(whys, func(why string) bool { return strings.Contains(log, why) }) {
		t.Errorf("%s says none of %q:\n%s", o.Name, whys, log)
	}
}

// losesTheLease keeps a leader from its Lease for as long as that holds.
func losesTheLease(t *testing.T, a *faultEnv, o faultCase) {
	const namespace = "lease"
	a.createNamespace(t, namespace)
	a.bindIn(t, a.operator, namespace, "leader_election_role.yaml")
	g := a.openGate(t)
	options := a.behind(t, g, namespace+".1", "--leader-elect", "--leader-election-namespace="+namespace)
	leader := a.startOperator(t, options)
	s := a.newSubject(t, namespace, o.name)
	g.shut()
	// The elector gives up within a second of the time at which the lease guard does.
	a.endsForWant(t, leader, "leader election lost", "the lease was not renewed in time")
	s.show(twoRows("normal")...)
	g.open(t)
	options.name = namespace + ".2"
	a.startOperator(t, options)
	s.turned(t, "normal", leaseSlack+interval+slack)
	s.finish(t)
}

// leaseSlack is how long the Lease of a leader that ended holds others off.
const leaseSlack = 15 * time.Second

func meetsASlowAPIServer(t *testing.T, a *faultEnv, o faultCase) {
	const lag = 2 * time.Second
	g := a.newGuarded(t, "slow")
	s := a.newSubject(t, g.namespace, o.name)
	g.keep(func(w http.ResponseWriter, r *http.Request, through http.Handler) {
		<-time.After(lag)
		through.ServeHTTP(w, r)
	})
	s.slack = 2 * lag // two objects, one after the other
	s.turn(t, "normal")
	s.turn(t, "abnormal")
	g.keep(nil)
	s.slack = 0
	s.turn(t, "normal")
	s.finish(t)
}

// meetsAHangingAPIServer leaves every request without an answer, those for the
// Secret that signs the calls among them.
func meetsAHangingAPIServer(t *testing.T, a *faultEnv, o faultCase) {
	g := a.newGuarded(t, "hanging")
	self := a.newAccount(o.name)
	a.slb.setAccount(self)
	a.create(t, self.secret(g.namespace, "lb-"+o.name))
	s := a.newSubject(t, g.namespace, o.name, withSecret("lb-"+o.name))
	over := make(chan struct{})
	end := sync.OnceFunc(func() { close(over) })
	t.Cleanup(end)
	g.keep(func(w http.ResponseWriter, r *http.Request, through http.Handler) {
		select {
		case <-over:
		case <-r.Context().Done():
		}
		through.ServeHTTP(w, r)
	})
	s.show(twoRows("normal")...)
	s.awaitCalls(t, 3, 3*(interval+2*requestSlack)) // the cloud is asked still
	end()
	s.turned(t, "normal", interval+slack)
	s.turn(t, "abnormal")
	s.finish(t)
}

// losesTheWatch cuts the operator's watch and refuses it another one, so that
// its cache is behind its own writes.
func losesTheWatch(t *testing.T, a *faultEnv, o faultCase) {
	g := a.newGuarded(t, "watch")
	s := a.newSubject(t, g.namespace, o.name)
	var refused atomic.Int32
	g.keep(func(w http.ResponseWriter, r *http.Request, through http.Handler) {
		if isWatch(r) {
			refused.Add(1)
			panic(http.ErrAbortHandler)
		}
		through.ServeHTTP(w, r)
	})
	g.shut()
	g.open(t)
	s.turn(t, "normal")
	s.turn(t, "abnormal")
	s.turn(t, "normal")
	if refused.Load() == 0 {
		t.Error("the operator did not ask for a watch")
	}
	g.keep(nil)
	s.servesRequests(t, watchSlack)
	s.turn(t, "abnormal")
}

// losesTheAnswerToAWrite lets a status through, and cuts the connection before
// the operator gets that answer.
func losesTheAnswerToAWrite(t *testing.T, a *faultEnv, o faultCase) {
	g := a.newGuarded(t, "unanswered")
	s := a.newSubject(t, g.namespace, o.name)
	var lost sync.Map
	g.keep(func(w http.ResponseWriter, r *http.Request, through http.Handler) {
		if !isStatusWrite(r) {
			through.ServeHTTP(w, r)
			return
		}
		if _, again := lost.LoadOrStore(r.URL.Path, true); again {
			through.ServeHTTP(w, r)
			return
		}
		through.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	})
	s.turn(t, "normal")
	g.keep(nil)
	s.turn(t, "abnormal")
	s.finish(t)
}

// meetsOtherWriters has another client write both objects, as fast as they can
// one after another.
func meetsOtherWriters(t *testing.T, a *faultEnv, o faultCase) {
	s := a.newSubject(t, faultsNamespace, o.name)
	var writing sync.WaitGroup
	over := make(chan struct{})
	var writes atomic.Int32
	for _, r := range s.objects {
		writing.Go(func() {
			for {
				select {
				case <-over:
					return
				case <-time.After(otherWritersPace):
				}
				label := fmt.Sprintf(`{"metadata":{"labels":{"touched":"%d"}}}`, writes.Add(1))
				if err := a.admin.Patch(a.ctx, r.object.DeepCopy(), client.RawPatch("application/merge-patch+json", []byte(label))); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	s.turn(t, "normal")
	s.turn(t, "abnormal")
	s.turn(t, "normal")
	close(over)
	writing.Wait()
	s.finish(t)
	t.Logf("others wrote %d times", writes.Load())
}

// otherWritersPace is that of controllers that fight over an object.
const otherWritersPace = 20 * time.Millisecond
