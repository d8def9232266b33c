// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// An action is one event in the cluster or in the cloud.
type action struct {
	name   string
	weight int
	do     func(*soak, context.Context) error
}

// An outage of the API server is shorter than a leader's deadline to renew its
// Lease, ten seconds, and the next one starts later than that.
const (
	longestOutage  = 4 * time.Second
	outageInterval = 15 * time.Second
)

var actions = []action{
	{"backends flipped", 40, editBalancer((*soak).flip)},
	{"backends added", 5, editBalancer((*soak).addBackend)},
	{"backends removed", 5, editBalancer((*soak).removeBackend)},
	{"load balancers deleted", 1, (*soak).deleteBalancer},
	{"load balancers recreated", 3, (*soak).recreateBalancer},
	{"objects created", 6, (*soak).createObject},
	{"objects deleted", 6, (*soak).deleteObject},
	{"objects edited", 8, editObject((*soak).editSpec)},
	{"objects suspended or resumed", 4, editObject(func(_ *soak, o *v1alpha1.LoadBalancerHealth) { o.Spec.Suspend = !o.Spec.Suspend })},
	{"observations requested", 4, editObject((*soak).requestObservation)},
	{"objects labeled", 4, editObject((*soak).label)},
	{"steps of key rotations", 3, (*soak).rotate},
	{"sets of faults", 4, (*soak).setFaults},
	{"API connections closed", 1, (*soak).closeConnections},
	{"API server outages", 1, (*soak).startOutage},
	{"Leases annotated or deleted", 1, (*soak).disturbLease},
}

// errNothingToDo is returned by an action that is not possible now.
var errNothingToDo = errors.New("nothing to do")

// act does one action that the seed chooses.
func (s *soak) act(ctx context.Context) error {
	total := 0
	for _, a := range actions {
		total += a.weight
	}
	for n, i := s.random.IntN(total), 0; ; i++ {
		if n -= actions[i].weight; n < 0 {
			switch err := actions[i].do(s, ctx); {
			case errors.Is(err, errNothingToDo):
				return nil
			case err != nil:
				return fmt.Errorf("%s: %w", actions[i].name, err)
			}
			s.done[actions[i].name]++
			return nil
		}
	}
}

// editBalancer applies an edit to a random load balancer, if the edit is possible.
func editBalancer(edit func(*soak, *balancer) bool) func(*soak, context.Context) error {
	return func(s *soak, ctx context.Context) error {
		b := choose(s, s.balancers)
		if !edit(s, b) {
			return errNothingToDo
		}
		return s.put(ctx, b)
	}
}

func (s *soak) flip(b *balancer) bool {
	if len(b.Rows) == 0 {
		return false
	}
	b.Rows[s.random.IntN(len(b.Rows))].ServerHealthStatus = choose(s, states)
	return true
}

func (s *soak) addBackend(b *balancer) bool {
	if len(b.Rows) == maxRows {
		return false
	}
	b.Rows = append(b.Rows, s.newRow(b.ID))
	return true
}

func (s *soak) removeBackend(b *balancer) bool {
	if len(b.Rows) == 0 {
		return false
	}
	b.Rows = b.Rows[1:]
	return true
}

func (s *soak) deleteBalancer(ctx context.Context) error {
	b := choose(s, s.balancers)
	if b.deleted {
		return errNothingToDo
	}
	b.deleted = true
	return s.Simulator.Admin(ctx, http.MethodDelete, "loadbalancers/"+b.ID, nil, nil)
}

func (s *soak) recreateBalancer(ctx context.Context) error {
	for _, b := range s.balancers {
		if b.deleted {
			return s.put(ctx, b)
		}
	}
	return errNothingToDo
}

func (s *soak) createObject(ctx context.Context) error {
	if len(s.objects) >= objectCount+objectCount/10 {
		return errNothingToDo
	}
	o := s.newObject()
	s.objects[o.Name] = o
	return s.Client.Create(ctx, o)
}

func (s *soak) deleteObject(ctx context.Context) error {
	if len(s.objects) <= objectCount-objectCount/10 {
		return errNothingToDo
	}
	o := s.randomObject()
	delete(s.objects, o.Name)
	return s.Client.Delete(ctx, o)
}

// editObject applies an edit to a random object.
func editObject(edit func(*soak, *v1alpha1.LoadBalancerHealth)) func(*soak, context.Context) error {
	return func(s *soak, ctx context.Context) error { return s.patch(ctx, s.randomObject(), edit) }
}

// patch edits an object as a user does, without a resourceVersion, and so without conflicts.
func (s *soak) patch(ctx context.Context, o *v1alpha1.LoadBalancerHealth, edit func(*soak, *v1alpha1.LoadBalancerHealth)) error {
	before := o.DeepCopy()
	edit(s, o)
	return s.Client.Patch(ctx, o, client.MergeFrom(before))
}

func (s *soak) editSpec(o *v1alpha1.LoadBalancerHealth) {
	s.editPolicy(o)
	if s.random.IntN(4) == 0 {
		o.Spec.LoadBalancerID = choose(s, s.balancers).ID
	}
}

func (s *soak) requestObservation(o *v1alpha1.LoadBalancerHealth) {
	s.numbers++
	metav1.SetMetaDataAnnotation(&o.ObjectMeta, v1alpha1.ObserveRequestedAtAnnotation, strconv.Itoa(s.numbers))
}

func (s *soak) label(o *v1alpha1.LoadBalancerHealth) {
	metav1.SetMetaDataLabel(&o.ObjectMeta, "touched", strconv.Itoa(s.random.IntN(1000)))
}

// rotate does the next step for one Secret: add a second key, store it in the
// Secret, remove the first key. The simulator reads its file twice per second.
func (s *soak) rotate(ctx context.Context) error {
	const minStep = 2 * time.Second
	k := &s.secrets[s.random.IntN(len(s.secrets))]
	switch {
	case time.Since(k.at) < minStep:
		return errNothingToDo
	case len(k.valid) == 1:
		k.valid = append(k.valid, s.newAccount())
		k.at = time.Now()
		return s.writeAccounts()
	case !k.moved:
		k.moved, k.at = true, time.Now()
		return s.Client.Update(ctx, k.secret())
	default:
		k.valid, k.moved, k.at = k.valid[1:], false, time.Now()
		return s.writeAccounts()
	}
}

func (s *soak) closeConnections(context.Context) error {
	s.relay.Disconnect()
	return nil
}

func (s *soak) startOutage(context.Context) error {
	duration := time.Duration(s.random.Int64N(int64(longestOutage)))
	if time.Since(s.outageAt) < outageInterval {
		return errNothingToDo
	}
	s.outageAt = time.Now()
	s.relay.Shut()
	time.AfterFunc(duration, func() { _ = s.relay.Open() })
	return nil
}

// disturbLease keeps the holder: an operator that loses its Lease has to exit.
func (s *soak) disturbLease(ctx context.Context) error {
	var leases coordinationv1.LeaseList
	if err := s.Client.List(ctx, &leases, client.InNamespace(namespace)); err != nil || len(leases.Items) == 0 {
		return err
	}
	lease := &leases.Items[0]
	if s.random.IntN(2) == 0 {
		return client.IgnoreNotFound(s.Client.Delete(ctx, lease))
	}
	before := lease.DeepCopy()
	metav1.SetMetaDataAnnotation(&lease.ObjectMeta, "touched", strconv.Itoa(s.random.IntN(1000)))
	return client.IgnoreNotFound(s.Client.Patch(ctx, lease, client.MergeFrom(before)))
}
