// SPDX-License-Identifier: Apache-2.0

package health

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// rowsLike are as many rows as the flag allows at most.
func rowsLike(b alicloud.Backend) []alicloud.Backend {
	rows := make([]alicloud.Backend, 5000)
	for i := range rows {
		rows[i] = b
		rows[i].ServerID = fmt.Sprintf("eni-bp1do02x7n4nua4k%04d", i)
	}
	return rows
}

func TestAsManyRowsAreKeptAsFit(t *testing.T) {
	long := strings.Repeat("<", 128)
	for name, test := range map[string]struct {
		row  alicloud.Backend
		kept int
	}{
		"real ones": {alicloud.Backend{ServerIP: "192.168.123.123", EniHost: "192.168.123.124", Type: "eni", ListenerPort: 30443, ListenerProtocol: "https", Port: 30443, ServerHealthStatus: "unavailable"}, 5000},
		"huge ones": {alicloud.Backend{ServerIP: long, EniHost: long, Type: long, ListenerPort: 30443, ListenerProtocol: long, Port: 30443, ServerHealthStatus: long}, 329},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.options.MaxBackends = 5000
			w.answerRows(rowsLike(test.row))
			s := &w.object.Status
			if len(s.Backends) != test.kept || int(s.OmittedBackends) != 5000-test.kept || s.Summary.Backends != 5000 {
				t.Errorf("%d rows are kept, %d left out of %d, not %d", len(s.Backends), s.OmittedBackends, s.Summary.Backends, test.kept)
			}
		})
	}
}

// An annotation may hold a quarter of a megabyte, of which the status keeps a copy.
func TestALongRequestTakesTheRoomOfRows(t *testing.T) {
	w := newWorld(t)
	w.options.MaxBackends = 5000
	w.ask(strings.Repeat("x", 255<<10))
	w.answerRows(rowsLike(alicloud.Backend{ServerIP: "192.168.123.123", EniHost: "192.168.123.124", Type: "eni", ListenerPort: 30443, ListenerProtocol: "https", Port: 30443, ServerHealthStatus: "unavailable"}))
	stored, err := json.Marshal(w.object.Status)
	if err != nil {
		t.Fatal(err)
	}
	if rows := len(w.object.Status.Backends); rows < 3000 || len(stored) > etcdLimit-headroom {
		t.Errorf("%d bytes with %d rows", len(stored), rows)
	}
}

func TestSizesAreNeverTooSmall(t *testing.T) {
	row, err := json.Marshal(v1alpha1.BackendStatus{
		ServerID: "<", ServerIP: `"`, EniHost: `\`, Type: "&", ListenerPort: 65535, ListenerProtocol: ">", Port: 65535, ServerHealthStatus: "é",
		LastTransitionTime: metav1.Time{Time: start},
	})
	if err != nil {
		t.Fatal(err)
	}
	if size := rowSize + encodedSize(`<"\&>é`); size < len(row)+len(",") {
		t.Errorf("%d for %s", size, row)
	}
	named := v1alpha1.BackendStatus{ServerID: "i-1", Node: "n", Pod: "<", Diagnosis: "\x1f\u2028", LastTransitionTime: metav1.Time{Time: start}}
	bare := named
	bare.Node, bare.Pod, bare.Diagnosis = "", "", ""
	with, without := sizeOf(t, named), sizeOf(t, bare)
	if size := stringsSize(&named) - stringsSize(&bare); size < with-without {
		t.Errorf("%d for a place of %d", size, with-without)
	}
	counts := v1alpha1.Counts{Backends: 100_000, Normal: 100_000, Abnormal: 100_000, Unavailable: 100_000}
	listener, err := json.Marshal(v1alpha1.ListenerStatus{Port: 65535, Protocol: "<", Health: v1alpha1.Unhealthy, Counts: counts})
	if err != nil {
		t.Fatal(err)
	}
	if size := listenerSize + encodedSize("<"); size < len(listener)+len(",") {
		t.Errorf("%d for %s", size, listener)
	}
}

func sizeOf(t *testing.T, row v1alpha1.BackendStatus) int {
	t.Helper()
	data, err := json.Marshal(row)
	if err != nil {
		t.Fatal(err)
	}
	return len(data)
}
