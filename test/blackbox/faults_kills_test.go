// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// killFaultCases kill the operator while it observes a transition. The next process must report the transition as an
// uninterrupted one would.
var killFaultCases = []faultCase{
	{"killed-before-the-response", "", "", diesBeforeTheResponse},
	{"killed-before-the-write", "", "", diesBeforeTheWrite},
	{"killed-after-the-write", "", "", diesAfterTheWrite},
}

func diesBeforeTheResponse(t *testing.T, a *faultEnv, o faultCase) {
	p := a.newProxied(t, "killed-calling")
	s := a.newSubject(t, p.namespace, o.name)
	s.hang()
	s.awaitCalls(t, 1, patience)
	p.Kill()
	s.heal()
	s.show(twoRows("normal")...)
	a.startOperator(t, a.optionsThrough(t, p.apiProxy, p.namespace+".2"))
	s.awaitTransition(t, "normal", interval+slack)
	s.finish(t)
}

// blockWrites blocks the responses to status writes of the objects, and signals each write. If forward is true, the
// API server gets the writes.
func (p *proxied) blockWrites(objects []*watchedObject, forward bool) <-chan struct{} {
	about := func(path string) bool {
		return slices.ContainsFunc(objects, func(r *watchedObject) bool { return strings.HasSuffix(path, "/"+r.object.Name+"/status") })
	}
	arrived := make(chan struct{}, 10)
	p.intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if !isStatusWrite(r) || !about(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		if forward {
			next.ServeHTTP(httptest.NewRecorder(), r)
		}
		arrived <- struct{}{}
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	})
	return arrived
}

// killAtWrite makes the second backend normal, and kills the operator when it writes a status.
func (p *proxied) killAtWrite(s *subject, forward bool) {
	arrived := p.blockWrites(s.objects, forward)
	s.show(twoRows("normal")...)
	<-arrived
	p.Kill()
	p.stopIntercepting()
}

func diesBeforeTheWrite(t *testing.T, a *faultEnv, o faultCase) {
	p := a.newProxied(t, "killed-unwritten")
	s := a.newSubject(t, p.namespace, o.name)
	// The writes of both objects are blocked: either may be the first, and one that is stored loses its events.
	p.killAtWrite(s, false)
	a.startOperator(t, a.optionsThrough(t, p.apiProxy, p.namespace+".2"))
	s.awaitTransition(t, "normal", interval+slack)
	s.finish(t)
}

// diesAfterTheWrite proves that a stored transition is not recorded again. The event of this one write is lost with
// the process.
func diesAfterTheWrite(t *testing.T, a *faultEnv, o faultCase) {
	p := a.newProxied(t, "killed-unrecorded")
	s := a.newSubject(t, p.namespace, o.name)
	s.objects = s.objects[:1]
	p.killAtWrite(s, true)
	s.objects[0].base = good("AllBackendsNormal")
	s.follow(t, slack, "the write", baseOf, twoRows("normal"))
	a.startOperator(t, a.optionsThrough(t, p.apiProxy, p.namespace+".2"))
	s.finish(t)
	s.finish(t, "abnormal")
}
