// SPDX-License-Identifier: Apache-2.0

package health

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// rowsLike returns as many rows as --max-status-backends allows at most.
func rowsLike(b alicloud.Backend) []alicloud.Backend {
	rows := make([]alicloud.Backend, 5000)
	for i := range rows {
		rows[i] = b
		rows[i].ServerID = fmt.Sprintf("eni-bp1do02x7n4nua4k%04d", i)
	}
	return rows
}

func TestRowsThatFitAreKept(t *testing.T) {
	long := strings.Repeat("<", 128)
	for name, test := range map[string]struct {
		row  alicloud.Backend
		kept int
	}{
		"usual rows": {alicloud.Backend{ServerIP: "192.168.123.123", EniHost: "192.168.123.124", Type: "eni", ListenerPort: 30443, ListenerProtocol: "https", Port: 30443, ServerHealthStatus: "unavailable"}, 5000},
		"huge rows":  {alicloud.Backend{ServerIP: long, EniHost: long, Type: long, ListenerPort: 30443, ListenerProtocol: long, Port: 30443, ServerHealthStatus: long}, 329},
	} {
		t.Run(name, func(t *testing.T) {
			env := newEnv(t)
			env.options.MaxBackends = 5000
			env.observeRows(rowsLike(test.row))
			s := &env.object.Status
			if len(s.Backends) != test.kept || int(s.OmittedBackends) != 5000-test.kept || s.Summary.Backends != 5000 {
				t.Errorf("%d rows are kept and %d omitted of %d, want %d kept", len(s.Backends), s.OmittedBackends, s.Summary.Backends, test.kept)
			}
		})
	}
}

// An annotation may have a quarter of a megabyte, and the status repeats it.
func TestLongRequestReducesTheRowsThatFit(t *testing.T) {
	env := newEnv(t)
	env.options.MaxBackends = 5000
	env.request(strings.Repeat("x", 255<<10))
	env.observeRows(rowsLike(alicloud.Backend{ServerIP: "192.168.123.123", EniHost: "192.168.123.124", Type: "eni", ListenerPort: 30443, ListenerProtocol: "https", Port: 30443, ServerHealthStatus: "unavailable"}))
	stored, err := json.Marshal(env.object.Status)
	if err != nil {
		t.Fatal(err)
	}
	if rows := len(env.object.Status.Backends); rows < 3000 || len(stored) > etcdLimit-headroom {
		t.Errorf("%d bytes with %d rows", len(stored), rows)
	}
}

// Missing backends and the history are bounded, but not small.
func TestOtherListsReduceTheRowsThatFit(t *testing.T) {
	rows := rowsOf(&alicloud.Observation{Backends: rowsLike(alicloud.Backend{ServerIP: "192.168.123.123", Type: "eni", ListenerPort: 30443, Port: 30443, ServerHealthStatus: "normal"})}, alicloud.Scope{})
	next := &v1alpha1.LoadBalancerHealthStatus{}
	alone := fitting(rows, next, "")
	for _, add := range []func(){
		func() { next.Listeners = make([]v1alpha1.ListenerStatus, 50) },
		func() {
			next.MissingBackends = slices.Repeat([]v1alpha1.MissingBackend{{Pod: strings.Repeat("x", 300)}}, 20)
		},
		func() {
			next.History = slices.Repeat([]v1alpha1.HealthChange{{Message: strings.Repeat("<", 256)}}, 10)
		},
		func() { next.LastHandledObserveRequest = strings.Repeat("x", 1000) },
	} {
		add()
		fits := fitting(rows, next, "")
		if fits >= alone {
			t.Errorf("%d rows fit, as before", fits)
		}
		alone = fits
	}
}

// The test derives its cases from the types, so that they include a field that the API adds.
func TestSizeIsThatOfTheEncodedStruct(t *testing.T) {
	testSizer[v1alpha1.BackendStatus](t, rowSizer)
	testSizer[v1alpha1.ListenerStatus](t, listenerSizer)
	testSizer[v1alpha1.MissingBackend](t, missingSizer)
	testSizer[v1alpha1.HealthChange](t, changeSizer)
}

func testSizer[T any](t *testing.T, s sizer) {
	t.Helper()
	check := func(what string, value *T) {
		t.Helper()
		if size, want := s.size(reflect.ValueOf(value).Elem()), encodedSize(t, value)+len(","); size != want {
			t.Errorf("%T with %s: size %d, want %d: %+v", *value, what, size, want, *value)
		}
	}
	var empty, full T
	fill(reflect.ValueOf(&full).Elem())
	check("every field", &full)
	for _, field := range reflect.VisibleFields(reflect.TypeFor[T]()) {
		without, only := full, empty
		reflect.ValueOf(&without).Elem().FieldByIndex(field.Index).SetZero()
		if field.Type != reflect.TypeFor[metav1.Time]() { // the zero time is encoded as null
			check("every field but "+field.Name, &without)
		}
		fill(reflect.ValueOf(&only).Elem().FieldByIndex(field.Index))
		if s.size(reflect.ValueOf(&only).Elem()) < encodedSize(t, &only)+len(",") {
			t.Errorf("%T with %s alone is sized too small", only, field.Name)
		}
	}
}

func TestStringSizeCountsEscapes(t *testing.T) {
	for _, s := range []string{"", "i-1", "é", "<", ">", "&", `"`, `\`, "\x1f", "\n", "\u2028", "\u2029", "服"} {
		if size, want := stringSize(s), encodedSize(t, s); size < want {
			t.Errorf("%q: size %d, want at least %d", s, size, want)
		}
	}
}

func TestFieldOfAnotherTypeIsEncoded(t *testing.T) {
	type row struct {
		Weights []int           `json:"weights,omitempty"`
		Labels  map[string]bool `json:"labels"`
		Enabled bool            `json:"enabled,omitempty"`
		Spec    struct {
			Name string `json:"name,omitempty"`
		} `json:"spec,omitempty"` //nolint:modernize // a metav1.Time often has this tag
	}
	for _, r := range []row{{}, {Weights: []int{1, 20}, Labels: map[string]bool{"a": true}, Enabled: true}} {
		if size, want := sizerOf(reflect.TypeFor[row]()).size(reflect.ValueOf(r)), encodedSize(t, r)+len(","); size != want {
			t.Errorf("%+v: size %d, want %d", r, size, want)
		}
	}
}

func encodedSize(t *testing.T, value any) int {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return len(data)
}
