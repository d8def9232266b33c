// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"context"
	"errors"
	"strconv"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

type listed struct {
	client.Reader
	objects []v1alpha1.LoadBalancerHealth
	lists   int
	err     error
}

func (l *listed) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	l.lists++
	list.(*v1alpha1.LoadBalancerHealthList).Items = l.objects
	return l.err
}

func objectsOf(prefix string, n int) []v1alpha1.LoadBalancerHealth {
	objects := make([]v1alpha1.LoadBalancerHealth, n)
	for i := range objects {
		objects[i].UID = types.UID(prefix + strconv.Itoa(i))
	}
	return objects
}

func turnAll(f *Fleet, objects []v1alpha1.LoadBalancerHealth) {
	for i := range objects {
		f.BackendTurned(&objects[i], v1alpha1.StatusAbnormal)
	}
}

// TestCountersOfDeletedObjectsGoWithoutAScrape is for a process that counts for
// weeks and has its metrics turned off.
func TestCountersOfDeletedObjectsGoWithoutAScrape(t *testing.T) {
	t.Parallel()

	const many = 1000
	live := objectsOf("live-", 2*many)
	cache := &listed{objects: live}
	fleet := New(Options{Reader: cache})
	turnAll(fleet, live)
	turnAll(fleet, live)
	for generation := range 20 {
		turnAll(fleet, objectsOf("deleted-"+strconv.Itoa(generation)+"-", many))
		if n := len(fleet.transitions); n > 2*len(live)+1 {
			t.Fatalf("%d objects have counters, and %d are live", n, len(live))
		}
	}
	for i := range live {
		if n := fleet.counted(live[i].UID, v1alpha1.StatusAbnormal); n != 2 {
			t.Fatalf("%s was counted %v times, not 2", live[i].UID, n)
		}
	}
	if cache.lists > 25 {
		t.Errorf("the cache was listed %d times for %d transitions", cache.lists, 24*many)
	}
}

func TestACacheThatDoesNotAnswerForgetsNoCounter(t *testing.T) {
	t.Parallel()

	live := objectsOf("live-", 2*minCounted)
	fleet := New(Options{Reader: &listed{err: errors.New("not synced")}})
	turnAll(fleet, live)
	if n := len(fleet.transitions); n != len(live) {
		t.Errorf("%d objects have counters, not %d", n, len(live))
	}
}
