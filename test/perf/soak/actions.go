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
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// An action is one thing that happens in a cluster or in a cloud.
type action struct {
	name   string
	weight int
	do     func(*soak, context.Context) error
}

// Nobody reaches the API server for less time than a leader has to renew its
// Lease, ten seconds, and then everybody does for longer.
const (
	longestShut = 4 * time.Second
	betweenShut = 15 * time.Second
)

var actions = []action{
	{"backends flipped", 40, (*soak).flip},
	{"backends added", 5, (*soak).addBackend},
	{"backends removed", 5, (*soak).removeBackend},
	{"load balancers deleted", 1, (*soak).removeBalancer},
	{"load balancers made again", 3, (*soak).restoreBalancer},
	{"objects created", 6, (*soak).createObject},
	{"objects deleted", 6, (*soak).deleteObject},
	{"objects edited", 8, (*soak).editObject},
	{"objects suspended or resumed", 4, (*soak).suspendObject},
	{"observations requested", 4, (*soak).requestObservation},
	{"objects labelled", 4, (*soak).labelObject},
	{"steps of a key's rotation", 3, (*soak).rotate},
	{"sets of faults", 4, (*soak).setFaults},
	{"API connections cut", 1, (*soak).cutAPI},
	{"API server shut off", 1, (*soak).shutAPI},
	{"Leases touched or deleted", 1, (*soak).disturbLease},
}

// errIdle is for an action that finds nothing to do.
var errIdle = errors.New("nothing to do")

// act does one action that the seed chooses.
func (s *soak) act(ctx context.Context) error {
	total := 0
	for _, a := range actions {
		total += a.weight
	}
	for n, i := s.random.IntN(total), 0; ; i++ {
		if n -= actions[i].weight; n < 0 {
			switch err := actions[i].do(s, ctx); {
			case errors.Is(err, errIdle):
				return nil
			case err != nil:
				return fmt.Errorf("%s: %w", actions[i].name, err)
			}
			s.done[actions[i].name]++
			return nil
		}
	}
}

func (s *soak) flip(ctx context.Context) error {
	b := choose(s, s.balancers)
	if len(b.Rows) == 0 {
		return errIdle
	}
	b.Rows[s.random.IntN(len(b.Rows))].ServerHealthStatus = choose(s, states)
	return s.put(ctx, b)
}

func (s *soak) addBackend(ctx context.Context) error {
	b := choose(s, s.balancers)
	if len(b.Rows) == maxRows {
		return errIdle
	}
	b.Rows = append(b.Rows, s.newRow(b.ID))
	return s.put(ctx, b)
}

func (s *soak) removeBackend(ctx context.Context) error {
	b := choose(s, s.balancers)
	if len(b.Rows) == 0 {
		return errIdle
	}
	b.Rows = b.Rows[1:]
	return s.put(ctx, b)
}

func (s *soak) removeBalancer(ctx context.Context) error {
	b := choose(s, s.balancers)
	if b.gone {
		return errIdle
	}
	b.gone = true
	return s.Simulator.Admin(ctx, http.MethodDelete, "loadbalancers/"+b.ID, nil, nil)
}

func (s *soak) restoreBalancer(ctx context.Context) error {
	for _, b := range s.balancers {
		if b.gone {
			return s.put(ctx, b)
		}
	}
	return errIdle
}

func (s *soak) createObject(ctx context.Context) error {
	if len(s.objects) >= s.fleet+scale(s.fleet, 10) {
		return errIdle
	}
	o := s.newObject()
	s.objects[o.Name] = o
	return s.Client.Create(ctx, o)
}

func (s *soak) deleteObject(ctx context.Context) error {
	if len(s.objects) <= s.fleet-scale(s.fleet, 10) {
		return errIdle
	}
	o := s.someObject()
	delete(s.objects, o.Name)
	return s.Client.Delete(ctx, o)
}

// change edits an object as a person does, on top of whatever is there.
func (s *soak) change(ctx context.Context, edit func(*v1alpha1.LoadBalancerHealth)) error {
	o := s.someObject()
	before := o.DeepCopy()
	edit(o)
	return s.Client.Patch(ctx, o, client.MergeFrom(before))
}

func (s *soak) editObject(ctx context.Context) error {
	return s.change(ctx, func(o *v1alpha1.LoadBalancerHealth) {
		s.editPolicy(o)
		if s.random.IntN(4) == 0 {
			o.Spec.LoadBalancerID = choose(s, s.balancers).ID
		}
	})
}

func (s *soak) suspendObject(ctx context.Context) error {
	return s.change(ctx, func(o *v1alpha1.LoadBalancerHealth) { o.Spec.Suspend = !o.Spec.Suspend })
}

func (s *soak) requestObservation(ctx context.Context) error {
	return s.change(ctx, s.request)
}

func (s *soak) request(o *v1alpha1.LoadBalancerHealth) {
	s.numbered++
	metav1.SetMetaDataAnnotation(&o.ObjectMeta, v1alpha1.ObserveRequestedAtAnnotation, strconv.Itoa(s.numbered))
}

func (s *soak) labelObject(ctx context.Context) error {
	return s.change(ctx, func(o *v1alpha1.LoadBalancerHealth) {
		metav1.SetMetaDataLabel(&o.ObjectMeta, "touched", strconv.Itoa(s.random.IntN(1000)))
	})
}

// rotate takes one Secret one step further: a second key, the Secret with
// that key, the first key removed. The simulator looks at its file twice a second.
func (s *soak) rotate(ctx context.Context) error {
	const settled = 2 * time.Second
	k := &s.secrets[s.random.IntN(len(s.secrets))]
	switch {
	case time.Since(k.at) < settled:
		return errIdle
	case len(k.valid) == 1:
		k.valid = append(k.valid, s.newAccount())
		k.at = time.Now()
		return s.writeAccounts()
	case !k.moved:
		k.moved, k.at = true, time.Now()
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: k.name}, Data: k.valid[1].secretData()}
		return s.Client.Update(ctx, secret)
	default:
		k.valid, k.moved, k.at = k.valid[1:], false, time.Now()
		return s.writeAccounts()
	}
}

func (s *soak) cutAPI(context.Context) error {
	s.relay.Disconnect()
	return nil
}

func (s *soak) shutAPI(context.Context) error {
	lasts := time.Duration(s.random.Int64N(int64(longestShut)))
	if time.Since(s.shutAt) < betweenShut {
		return errIdle
	}
	s.shutAt = time.Now()
	s.relay.Shut()
	time.AfterFunc(lasts, func() { _ = s.relay.Open() })
	return nil
}

// disturbLease never lets another process hold it: a leader that lost it has to end.
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
