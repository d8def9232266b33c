// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"maps"
	"slices"
)

// store has values by id. A value of the file is replaced when the file changes, one of the admin API stays. A
// stored value is never modified: a reader may keep it while it encodes a response. The owner has the lock.
type store[T any] map[string]stored[T]

type stored[T any] struct {
	value    T
	fromFile bool
}

// load returns the store with the file's values: they replace those of the same id. Those that only an earlier file
// had are removed.
func (s store[T]) load(values []T, id func(T) string) store[T] {
	next := make(store[T], len(values))
	for key, known := range s {
		if !known.fromFile {
			next[key] = known
		}
	}
	for _, value := range values {
		next[id(value)] = stored[T]{value, true}
	}
	return next
}

func (s store[T]) get(id string) (T, bool) {
	known, ok := s[id]
	return known.value, ok
}

// put stores a value of the admin API.
func (s store[T]) put(id string, value T) (created bool) {
	_, known := s[id]
	s[id] = stored[T]{value: value}
	return !known
}

// replace stores an edited value.
func (s store[T]) replace(id string, value T) {
	s[id] = stored[T]{value, s[id].fromFile}
}

// list returns the values, sorted by id.
func (s store[T]) list() []T {
	all := make([]T, 0, len(s))
	for _, id := range slices.Sorted(maps.Keys(s)) {
		all = append(all, s[id].value)
	}
	return all
}

// pick returns the values of these ids, or all without any, sorted by id. It leaves unknown ids out.
func (s store[T]) pick(ids []string) []T {
	if len(ids) == 0 {
		return s.list()
	}
	var found []T
	for _, id := range slices.Compact(slices.Sorted(slices.Values(ids))) {
		if known, ok := s[id]; ok {
			found = append(found, known.value)
		}
	}
	return found
}
