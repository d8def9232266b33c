// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

// A change of a node, of the registered backends or of a permission that changes
// the result of Expect changes the version, and the order of the input does not.
func TestVersionChangesWithTheResult(t *testing.T) {
	changes := 0
	for seed := range uint64(4000) {
		random := rand.New(rand.NewPCG(seed, 9))
		g := generator{random}
		c := g.cluster()
		g.extras(c)
		before, version := Expect(c.input(true)), c.input(true).version()
		c.shuffle(random)
		equal(t, "in another order", c.input(true).version(), version)
		switch g.IntN(4) {
		case 0:
			c.state.Registered = nil
		case 1:
			c.noPods = !c.noPods
		default:
			c.nodes[g.IntN(len(c.nodes))] = g.node(g.IntN(5))
		}
		if after := Expect(c.input(true)); !reflect.DeepEqual(before, after) {
			changes++
			if c.input(true).version() == version {
				t.Fatalf("seed %d: the same version of %+v and %+v", seed, before, after)
			}
		}
	}
	if changes < 300 {
		t.Errorf("only %d of 4000 changes changed the result", changes)
	}
}

// swapped exchanges the labels of two nodes.
func swapped(c *cluster) { c.nodes[0].Labels, c.nodes[1].Labels = c.nodes[1].Labels, c.nodes[0].Labels }

func TestVersionTellsNodesApart(t *testing.T) {
	c := newCluster(func(c *cluster) { c.nodes[0].Labels = map[string]string{labelsExclude[0]: ""} })
	before := c.input(false).version()
	swapped(c)
	if c.input(false).version() == before {
		t.Error("the labels of two nodes were exchanged, and the version is the same")
	}
}

// The result is computed again exactly when an object that it is computed from changed.
func TestServiceBackendsComputesOnlyAfterChanges(t *testing.T) {
	env := newBackendsEnv(newCluster(eni, notReady(1), gate(1, registering)))
	registered := []alicloud.Backend{{Type: health.TypeENI, ServerIP: "10.9.9.9"}}
	var last Expectation
	computes := func() bool {
		t.Helper()
		env.now = env.now.Add(nodesMaxAge)
		next, err := env.For(t.Context(), serviceObject("lb-1"), Registered{Backends: registered}, last)
		if err != nil {
			t.Fatal(err)
		}
		was := last.Expected
		last = next
		return next.Expected != was
	}
	equal(t, "first", computes(), true)
	equal(t, "nothing changed", computes(), false)
	c := newCluster(eni, notReady(1))
	writer := env.reader.(client.Client)
	for name, object := range map[string]client.Object{"the EndpointSlice": c.slices[0], "a pod that is not ready": c.pods[0], "the Service": c.service} {
		live := object.DeepCopyObject().(client.Object)
		if err := writer.Get(t.Context(), client.ObjectKeyFromObject(object), live); err != nil {
			t.Fatal(err)
		}
		live.SetLabels(labels.Merge(live.GetLabels(), labels.Set{"changed": "true"}))
		if err := writer.Update(t.Context(), live); err != nil {
			t.Fatal(err)
		}
		equal(t, name, computes(), true)
		equal(t, "nothing changed after "+name, computes(), false)
	}
	registered = nil
	equal(t, "after an answer without backends", computes(), false) // the annotation says that they are pods
}
