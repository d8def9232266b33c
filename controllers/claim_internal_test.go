// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/ratelimit"
)

func named(namespace, name string) func(*v1alpha1.LoadBalancerHealth) {
	return func(o *v1alpha1.LoadBalancerHealth) {
		o.Namespace, o.Name, o.UID = namespace, name, types.UID(namespace+"/"+name)
	}
}

func createdAt(at time.Time) func(*v1alpha1.LoadBalancerHealth) {
	return func(o *v1alpha1.LoadBalancerHealth) {
		o.CreationTimestamp, o.Status = metav1.Time{Time: at}, v1alpha1.LoadBalancerHealthStatus{ObservedGeneration: -1}
	}
}

func TestAnUrgentPermitCountsForTheObjectThatWaitsLongest(t *testing.T) {
	ago := func(age time.Duration) func(*v1alpha1.LoadBalancerHealth) { return answeredAt(start.Add(-age)) }
	type list = []v1alpha1.LoadBalancerHealth
	for name, test := range map[string]struct {
		objects list
		want    ratelimit.Requester
	}{
		"the only one":          {list{newObject(requested("1"))}, ratelimit.Requester{Namespace: "prod", Name: "web"}},
		"not one that asks not": {list{newObject(named("a", "old"), ago(time.Hour)), newObject(named("b", "new"), requested("1"))}, ratelimit.Requester{Namespace: "b", Name: "new"}},
		"the oldest answer": {list{
			newObject(named("a", "young"), requested("1"), ago(time.Minute)), newObject(named("b", "old"), requested("2"), ago(time.Hour)),
		}, ratelimit.Requester{Namespace: "b", Name: "old"}},
		"a new one by its creation": {list{
			newObject(named("a", "new"), createdAt(start.Add(-time.Minute))), newObject(named("b", "old"), anEdit, ago(time.Hour)),
		}, ratelimit.Requester{Namespace: "b", Name: "old"}},
		"a new one that waits longer": {list{
			newObject(named("a", "edited"), anEdit, ago(time.Minute)), newObject(named("b", "new"), createdAt(start.Add(-time.Hour))),
		}, ratelimit.Requester{Namespace: "b", Name: "new"}},
		"not a suspended one": {list{newObject(named("a", "off"), requested("1"), suspended, ago(time.Hour)), newObject(named("b", "on"), requested("1"))}, ratelimit.Requester{Namespace: "b", Name: "on"}},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 { // in whatever order they are listed
				m := &memory{}
				p := planOf(m, nil, test.objects...)
				claim := claimOf(testTarget, &p, m, start)
				equal(t, "being urgent", claim.Urgent, true)
				equal(t, "the requester", claim.Requester, test.want)
				test.objects = list{test.objects[len(test.objects)-1], test.objects[0]}[:len(test.objects)]
			}
		})
	}
}

func TestObjectsThatWaitEquallyLongMakeTheSameClaimInAnyOrder(t *testing.T) {
	a, b := newObject(named("a", "web"), requested("1")), newObject(named("a", "api"), requested("1"))
	for _, objects := range [][]v1alpha1.LoadBalancerHealth{{a, b}, {b, a}} {
		m := &memory{}
		p := planOf(m, nil, objects...)
		equal(t, "the requester", claimOf(testTarget, &p, m, start).Requester, ratelimit.Requester{Namespace: "a", Name: "api"})
	}
}

func TestAClaimIsDueFromItsSlotOn(t *testing.T) {
	m := &memory{attemptedAt: start}
	p := planOf(m, nil, newObject(requested("1")))
	for _, step := range []struct {
		at  time.Time
		due bool
	}{{p.dueAt.Add(-1), false}, {p.dueAt, true}, {p.dueAt.Add(time.Hour), true}} {
		claim := claimOf(testTarget, &p, m, step.at)
		equal(t, "being due", claim.Due, step.due)
		equal(t, "the last attempt", claim.Since, start)
	}
	routine := planOf(m, nil, newObject())
	equal(t, "a routine claim", claimOf(testTarget, &routine, m, p.dueAt), ratelimit.Claim{Bucket: bucketOf(testTarget), Item: testTarget.LoadBalancerID, Due: true, Since: start})
}

// Where credentials are changed because they were at fault, no object asks.
func TestAClaimForNewCredentialsCountsForAnObject(t *testing.T) {
	m := &memory{attemptedAt: start}
	p := planOf(m, nil, newObject())
	p.asked = true
	equal(t, "the requester", claimOf(testTarget, &p, m, start).Requester, ratelimit.Requester{Namespace: "prod", Name: "web"})
}

func TestAPermitWhoseCredentialsFailedSpendsNoToken(t *testing.T) {
	test := newReconcileTest(t, newObject(fresh, withSecret))
	test.Limiter = ratelimit.New(ratelimit.Options{QPS: 0.001, Burst: 1, Concurrency: 32}) // one token in 1000 s
	test.step()
	test.expectCalls(0)
	test.cluster.objects[0] = newObject(withSecret, stalled)
	for range 5 { // each looks up the credentials again
		test.clock.advance(credentialsRecheck)
		test.step()
	}
	equal(t, "the number of looks at the Secret", test.cluster.gets, 6)

	test.cluster.secret = newSecret("1", keyPair("LTAIa"))
	test.clock.advance(credentialsRecheck)
	test.step()
	test.expectCalls(1) // with the token that is still there
}
