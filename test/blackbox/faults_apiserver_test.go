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

// apiServerFaultCases are faults between the operator and the API server. Most have their own operator, with an
// apiProxy.
var apiServerFaultCases = []faultCase{
	{"api-server-is-away-for-a-minute", "", "", losesTheAPIServer},
	{"api-server-is-away-at-the-start", "", "", startsWithoutAPIServer},
	{"leader-loses-its-lease", "", "", losesTheLease},
	{"api-server-is-slow", "", "", meetsASlowAPIServer},
	{"api-server-hangs", "", "", meetsAHangingAPIServer},
	{"watch-breaks", "", "", losesTheWatch},
	{"response-to-a-write-is-lost", "", "", losesTheResponseToAWrite},
	{"others-write-the-object", "", "", meetsOtherWriters},
}

// proxied is an operator with an apiProxy.
type proxied struct {
	*apiProxy
	*operator
	namespace string
}

func (a *faultEnv) newProxied(t *testing.T, namespace string) *proxied {
	t.Helper()
	a.createNamespace(t, namespace)
	p := &proxied{apiProxy: a.startProxy(t), namespace: namespace}
	p.operator = a.startOperator(t, a.optionsThrough(t, p.apiProxy, namespace))
	return p
}

// optionsThrough configure an operator with an apiProxy.
func (a *faultEnv) optionsThrough(t *testing.T, p *apiProxy, name string, args ...string) operatorOptions {
	t.Helper()
	o := a.options(name, args...)
	o.user = a.userThrough(t, p)
	return o
}

// watchSlack is the longest backoff of a watch in client-go.
const watchSlack = time.Minute

// losesTheAPIServer changes a backend during the fault, and another time right after it.
func losesTheAPIServer(t *testing.T, a *faultEnv, o faultCase) {
	p := a.newProxied(t, "away")
	s := a.newSubject(t, p.namespace, o.name)
	began := time.Now()
	p.close()
	s.awaitCalls(t, 1, interval+slack)
	s.show(twoRows("normal")...)
	s.awaitCalls(t, 3, 3*interval+slack) // calls continue
	<-time.After(time.Until(began.Add(time.Minute)))
	p.open(t)
	s.awaitTransition(t, "normal", interval+slack)
	s.finish(t, "abnormal")
	s.servesRequests(t, watchSlack)
	if _, log := p.output(t); !strings.Contains(log, "connection refused") {
		t.Error("the log does not say that the API server refuses connections")
	}
}

// servesRequests requires that the operator serves a requested observation, once its watch works again.
func (s *subject) servesRequests(t *testing.T, within time.Duration) {
	t.Helper()
	began := time.Now()
	fit := s.objects[0]
	s.env.requestObservation(t, fit.object, "now")
	s.env.recorder.awaitRevision(t, fit.object, within, "a request is served", func(o *v1alpha1.LoadBalancerHealth) bool {
		return o.Status.LastHandledObserveRequest == "now"
	})
	t.Logf("a request was served within %s", time.Since(began).Round(100*time.Millisecond))
	fit.expected = append(fit.expected, fit.expected[len(fit.expected)-1]) // one more status: the request is handled
}

func startsWithoutAPIServer(t *testing.T, a *faultEnv, o faultCase) {
	const namespace = "early"
	a.createNamespace(t, namespace)
	p := a.startProxy(t)
	p.close()
	s := a.prepareSubject(t, namespace, o.name)
	s.create(t)
	exitsBecause(t, a.launch(t, a.optionsThrough(t, p, namespace+".1")), "connection refused")
	p.open(t)
	a.startOperator(t, a.optionsThrough(t, p, namespace+".2"))
	s.follow(t, interval+slack, "the first observation", baseOf, twoRows("abnormal"))
	s.finish(t, "normal")
}

// exitsBecause requires that an operator exits with code 1, and logs one of these causes.
func exitsBecause(t *testing.T, o *operator, causes ...string) {
	t.Helper()
	if code := o.exit(t, time.Minute); code != 1 {
		t.Errorf("%s exited with code %d", o.Name, code)
	}
	_, log := o.output(t)
	if !slices.ContainsFunc(causes, func(cause string) bool { return strings.Contains(log, cause) }) {
		t.Errorf("%s logs none of %q:\n%s", o.Name, causes, log)
	}
}

// losesTheLease separates a leader from its Lease until it exits.
func losesTheLease(t *testing.T, a *faultEnv, o faultCase) {
	const namespace = "lease"
	a.createNamespace(t, namespace)
	a.bind(t, a.operator, namespace, "leader_election_role.yaml")
	p := a.startProxy(t)
	options := a.optionsThrough(t, p, namespace+".1", "--leader-elect", "--leader-election-namespace="+namespace)
	leader := a.startOperator(t, options)
	s := a.newSubject(t, namespace, o.name)
	p.close()
	// The leader election and the lease guard give up within the same second.
	exitsBecause(t, leader, "leader election lost", "the lease was not renewed in time")
	s.show(twoRows("normal")...)
	p.open(t)
	options.name = namespace + ".2"
	a.startOperator(t, options)
	s.awaitTransition(t, "normal", leaseDuration+interval+slack)
	s.finish(t)
}

func meetsASlowAPIServer(t *testing.T, a *faultEnv, o faultCase) {
	const lag = 2 * time.Second
	p := a.newProxied(t, "slow")
	s := a.newSubject(t, p.namespace, o.name)
	p.intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		<-time.After(lag)
		next.ServeHTTP(w, r)
	})
	s.slack = 2 * lag // two objects, one after the other
	s.transition(t, "normal")
	s.transition(t, "abnormal")
	p.stopIntercepting()
	s.slack = 0
	s.finish(t, "normal")
}

// meetsAHangingAPIServer blocks every request, also those for the Secret that signs the calls.
func meetsAHangingAPIServer(t *testing.T, a *faultEnv, o faultCase) {
	p := a.newProxied(t, "hanging")
	self := a.newAccount(o.name)
	a.slb.setAccount(self)
	a.create(t, self.secret(p.namespace, "lb-"+o.name))
	s := a.newSubject(t, p.namespace, o.name, withSecret("lb-"+o.name))
	over := make(chan struct{})
	unblock := sync.OnceFunc(func() { close(over) })
	t.Cleanup(unblock)
	p.intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		select {
		case <-over:
		case <-r.Context().Done():
		}
		next.ServeHTTP(w, r)
	})
	s.show(twoRows("normal")...)
	s.awaitCalls(t, 3, 3*(interval+2*requestSlack)) // calls continue
	unblock()
	s.awaitTransition(t, "normal", interval+slack)
	s.finish(t, "abnormal")
}

// losesTheWatch breaks the operator's watch and refuses new ones, so that its cache is older than its own writes.
func losesTheWatch(t *testing.T, a *faultEnv, o faultCase) {
	p := a.newProxied(t, "watch")
	s := a.newSubject(t, p.namespace, o.name)
	var refused atomic.Int32
	p.intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if isWatch(r) {
			refused.Add(1)
			panic(http.ErrAbortHandler)
		}
		next.ServeHTTP(w, r)
	})
	p.close()
	p.open(t)
	for _, to := range []string{"normal", "abnormal", "normal"} {
		s.transition(t, to)
	}
	if refused.Load() == 0 {
		t.Error("the operator did not request a watch")
	}
	p.stopIntercepting()
	s.servesRequests(t, watchSlack)
	s.transition(t, "abnormal")
}

// losesTheResponseToAWrite forwards a status write, and closes the connection before the operator gets the response.
func losesTheResponseToAWrite(t *testing.T, a *faultEnv, o faultCase) {
	p := a.newProxied(t, "lost-response")
	s := a.newSubject(t, p.namespace, o.name)
	var lost sync.Map
	p.intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if isStatusWrite(r) {
			if _, again := lost.LoadOrStore(r.URL.Path, true); !again {
				next.ServeHTTP(httptest.NewRecorder(), r)
				panic(http.ErrAbortHandler)
			}
		}
		next.ServeHTTP(w, r)
	})
	s.transition(t, "normal")
	p.stopIntercepting()
	s.finish(t, "abnormal")
}

// meetsOtherWriters has another client write both objects all the time, as controllers do that fight over an object.
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
				case <-time.After(20 * time.Millisecond):
				}
				label := fmt.Sprintf(`{"metadata":{"labels":{"touched":"%d"}}}`, writes.Add(1))
				if err := a.admin.Patch(a.ctx, r.object.DeepCopy(), client.RawPatch("application/merge-patch+json", []byte(label))); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for _, to := range []string{"normal", "abnormal", "normal"} {
		s.transition(t, to)
	}
	close(over)
	writing.Wait()
	s.finish(t)
	t.Logf("others wrote %d times", writes.Load())
}
