// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"slices"
	"sync"

	"github.com/cespare/xxhash/v2"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/health"
)

// backendIndex finds the targets whose observations had a backend. It keeps a
// hash of each backend, as a cluster may have a hundred thousand: a collision
// causes one observation too many. Its zero value is empty.
type backendIndex struct {
	mu      sync.RWMutex
	targets map[uint64][]*indexedTarget
}

// indexedTarget is a target with its keys, sorted.
type indexedTarget struct {
	target alicloud.Target
	keys   []uint64
}

// anyNode is the key of the targets whose backends are the nodes of the cluster:
// the cloud controller manager registers each new node with them.
const anyNode = ""

// of returns the targets of a backend, by its health.LocationKey.
func (b *backendIndex) of(key string) []alicloud.Target {
	b.mu.RLock()
	defer b.mu.RUnlock()
	found := b.targets[xxhash.Sum64String(key)]
	targets := make([]alicloud.Target, 0, len(found))
	for _, indexed := range found {
		targets = append(targets, indexed.target)
	}
	return targets
}

// replace replaces the keys of a target; none removes it.
func (b *backendIndex) replace(indexed *indexedTarget, keys []uint64) {
	slices.Sort(keys)
	keys = slices.Clip(slices.Compact(keys))
	if slices.Equal(keys, indexed.keys) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.targets == nil {
		b.targets = map[uint64][]*indexedTarget{}
	}
	for _, key := range indexed.keys {
		if _, kept := slices.BinarySearch(keys, key); kept {
			continue
		}
		others := slices.DeleteFunc(b.targets[key], func(other *indexedTarget) bool { return other == indexed })
		if b.targets[key] = others; len(others) == 0 {
			delete(b.targets, key)
		}
	}
	for _, key := range keys {
		if _, known := slices.BinarySearch(indexed.keys, key); !known {
			b.targets[key] = append(b.targets[key], indexed)
		}
	}
	indexed.keys = keys
}

// backendKeys are the keys of the rows of an observation. allNodes adds anyNode
// if the backends are nodes.
func backendKeys(observation *alicloud.Observation, allNodes bool) []uint64 {
	keys := make([]uint64, 0, len(observation.Backends)+1)
	nodes := false
	for i := range observation.Backends {
		row := &observation.Backends[i]
		keys = append(keys, xxhash.Sum64String(health.LocationKey(row.Type, row.ServerID, row.ServerIP)))
		nodes = nodes || !health.IsAddress(row.Type)
	}
	if nodes && allNodes {
		keys = append(keys, xxhash.Sum64String(anyNode))
	}
	return keys
}

// statusKeys are the keys of the rows in the statuses of objects.
func statusKeys(objects []v1alpha1.LoadBalancerHealth) (keys []uint64) {
	for i := range objects {
		for j := range objects[i].Status.Backends {
			row := &objects[i].Status.Backends[j]
			keys = append(keys, xxhash.Sum64String(health.LocationKey(row.Type, row.ServerID, row.ServerIP)))
		}
	}
	return keys
}
