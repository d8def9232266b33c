// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// killFaultCases kill the operator at a point of an observation that finds a
// backend turned; the next operator must make of it what the first would have.
var killFaultCases = []faultCase{
	{"killed-before-the-answer", "", "", diesBeforeTheAnswer},
	{"killed-before-the-write", "", "", diesBeforeTheWrite},
	{"killed-after-the-write", "", "", diesAfterTheWrite},
}

func diesBeforeTheAnswer(t *testing.T, a *faultEnv, o faultCase) {
	g := a.newGuarded(t, "killed-asking")
	s := a.newSubject(t, g.namespace, o.name)
	s.hang()
	s.awaitCalls(t, 1, patience)
	g.Kill()
	s.heal()
	s.show(twoRows("normal")...)
	a.startOperator(t, a.behind(t, g.gate, "killed-asking.2"))
	s.turned(t, "normal", interval+slack)
	s.finish(t)
}

// dying holds back whatever the API server does with the writes of the objects'
// statuses, and signals when one arrives.
func (g *guarded) dying(objects []*watchedObject, pass bool) (came <-chan struct{}) {
	about := func(path string) bool {
		return slices.ContainsFunc(objects, func(r *watchedObject) bool { return strings.HasSuffix(path, "/"+r.object.Name+"/status") })
	}
	arrived := make(chan struct{}, 10)
	g.keep(func(w http.ResponseWriter, r *http.Request, through http.Handler) {
		if !isStatusWrite(r) || !about(r.URL.Path) {
			through.ServeHTTP(w, r)
			return
		}
		if pass {
			through.ServeHTTP(httptest.NewRecorder(), r)
		}
		arrived <- struct{}{}
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	})
	return arrived
}

func diesBeforeTheWrite(t *testing.T, a *faultEnv, o faultCase) {
	g := a.newGuarded(t, "killed-unwritten")
	s := a.newSubject(t, g.namespace, o.name)
	// All of them: which one is written first is left to chance, and the events
	// of one that was written go down with the process.
	came := g.dying(s.objects, false)
	s.show(twoRows("normal")...)
	<-came
	g.Kill()
	g.keep(nil)
	a.startOperator(t, a.behind(t, g.gate, "killed-unwritten.2"))
	s.turned(t, "normal", interval+slack)
	s.finish(t)
}

// diesAfterTheWrite proves that what was stored is not recorded twice. The one
// event that follows this write is lost with the process.
func diesAfterTheWrite(t *testing.T, a *faultEnv, o faultCase) {
	g := a.newGuarded(t, "killed-untold")
	s := a.newSubject(t, g.namespace, o.name)
	s.objects = s.objects[:1]
	fit := s.objects[0]
	came := g.dying(s.objects, true)
	s.show(twoRows("normal")...)
	<-came
	g.Kill()
	g.keep(nil)
	fit.base = good("AllBackendsNormal")
	s.follow(t, slack, "the write", func(r *watchedObject) states { return r.base }, twoRows("normal"))
	a.startOperator(t, a.behind(t, g.gate, "killed-untold.2"))
	s.finish(t)
	s.turn(t, "abnormal")
	s.finish(t)
}
