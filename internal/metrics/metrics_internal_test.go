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

// fakeCache is a client.Reader that lists objects or fails with err.
type fakeCache struct {
	client.Reader
	objects []v1alpha1.LoadBalancerHealth
	lists   int
	err     error
}

func (f *fakeCache) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	f.lists++
	list.(*v1alpha1.LoadBalancerHealthList).Items = f.objects
	return f.err
}

func objectsOf(prefix string, n int) []v1alpha1.LoadBalancerHealth {
	objects := make([]v1alpha1.LoadBalancerHealth, n)
	for i := range objects {
		objects[i].UID = types.UID(prefix + strconv.Itoa(i))
	}
	return objects
}

// transitionAll counts one transition of each object.
func transitionAll(f *Fleet, objects []v1alpha1.LoadBalancerHealth) {
	for i := range objects {
		f.BackendTransitioned(&objects[i], v1alpha1.StatusAbnormal)
	}
}

// A process may run for weeks with metrics disabled.
func TestCountersOfDeletedObjectsAreBoundedWithoutAScrape(t *testing.T) {
	t.Parallel()

	const many = 1000
	live := objectsOf("live-", 2*many)
	cache := &fakeCache{objects: live}
	fleet := New(Options{Reader: cache})
	transitionAll(fleet, live)
	transitionAll(fleet, live)
	for generation := range 20 {
		transitionAll(fleet, objectsOf("deleted-"+strconv.Itoa(generation)+"-", many))
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

func TestFailedListKeepsAllCounters(t *testing.T) {
	t.Parallel()

	live := objectsOf("live-", 2*minCounted)
	fleet := New(Options{Reader: &fakeCache{err: errors.New("not synced")}})
	transitionAll(fleet, live)
	if n := len(fleet.transitions); n != len(live) {
		t.Errorf("%d objects have counters, not %d", n, len(live))
	}
}
