// SPDX-License-Identifier: Apache-2.0

package health

import (
	"encoding/json"
	"iter"
	"math"
	"reflect"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

const (
	// maxListsSize bounds the listeners and backends of an object, in bytes of
	// JSON. etcd refuses more than 1.5 MiB; the rest is for other writers.
	maxListsSize = 1300 << 10
	// fewRows fit into an object whatever they contain.
	fewRows = 100
)

// The sizers know the fields of a row and of a listener from their types, so
// that no field can be forgotten here.
var (
	rowSizer      = sizerOf(reflect.TypeFor[v1alpha1.BackendStatus]())
	listenerSizer = sizerOf(reflect.TypeFor[v1alpha1.ListenerStatus]())
	missingSizer  = sizerOf(reflect.TypeFor[v1alpha1.MissingBackend]())
	changeSizer   = sizerOf(reflect.TypeFor[v1alpha1.HealthChange]())
)

// fitting returns how many of the rows fit into an object beside the other lists
// of its next status and the observe requests, which are as long as a user's
// annotation. A usual row has a quarter of a kilobyte; one from a broken server
// may have twenty times as much.
func fitting(rows []v1alpha1.BackendStatus, next *v1alpha1.LoadBalancerHealthStatus, request string) int {
	if len(rows) <= fewRows {
		return len(rows)
	}
	room := maxListsSize - stringSize(next.LastHandledObserveRequest) - stringSize(request) -
		sum(sizesOf(listenerSizer, next.Listeners)) - sum(sizesOf(missingSizer, next.MissingBackends)) - sum(sizesOf(changeSizer, next.History))
	longest := 0
	for size := range sizesOf(rowSizer, rows) {
		longest = max(longest, size)
	}
	return max(room, 0) / longest
}

// sizesOf yields the size of each element of a list.
func sizesOf[T any](s sizer, list []T) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := range list {
			if !yield(s.size(reflect.ValueOf(&list[i]).Elem())) {
				return
			}
		}
	}
}

func sum(sizes iter.Seq[int]) int {
	total := 0
	for size := range sizes {
		total += size
	}
	return total
}

// sizer computes the size of a struct in JSON, in bytes, as an element of a list.
type sizer []sizedField

// sizedField is one field of a struct, or of one that the struct inlines.
type sizedField struct {
	index     []int
	nameSize  int // of the name with its quotes, colon and comma
	omitEmpty bool
}

func sizerOf(t reflect.Type) sizer {
	var fields sizer
	for _, field := range reflect.VisibleFields(t) {
		if field.Anonymous {
			continue // VisibleFields has its fields, too
		}
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		fields = append(fields, sizedField{
			index:     field.Index,
			nameSize:  len(`"":,`) + len(name),
			omitEmpty: strings.Contains(options, "omitempty") && field.Type.Kind() != reflect.Struct,
		})
	}
	return fields
}

// size is never less than the encoded size of the struct, with a comma. Each
// field counts one comma, the last one for the struct itself.
func (s sizer) size(v reflect.Value) int {
	size := len(`{}`)
	for i := range s {
		value := v.FieldByIndex(s[i].index)
		if !s[i].omitEmpty || !value.IsZero() {
			size += s[i].nameSize + valueSize(value)
		}
	}
	return size
}

// valueSize sizes the types of today's fields without encoding them: it runs
// for each row of each observation. It encodes a value of any other type.
func valueSize(v reflect.Value) int {
	switch {
	case v.Kind() == reflect.String:
		return stringSize(v.String())
	case v.Type() == reflect.TypeFor[*int32]() && !v.IsNil():
		return valueSize(v.Elem())
	case v.CanInt():
		var digits [len("-9223372036854775808")]byte
		return len(strconv.AppendInt(digits[:0], v.Int(), 10))
	case v.Type() == reflect.TypeFor[metav1.Time](), v.Type() == reflect.TypeFor[*metav1.Time]():
		return len(`"2006-01-02T15:04:05Z"`)
	}
	encoded, err := json.Marshal(v.Interface())
	if err != nil {
		return math.MaxInt32 // nothing fits: the API server could not store it either
	}
	return len(encoded)
}

// stringSize is never less than the encoded size of a string.
func stringSize(s string) int {
	const escape = len(`\u003c`)
	size := len(`""`) + len(s)
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ', c == '"', c == '\\', c == '<', c == '>', c == '&':
			size += escape - 1
		case c == 0xe2: // as the line separators U+2028 and U+2029 begin
			size += escape - len("\u2028")
		}
	}
	return size
}
