// SPDX-License-Identifier: Apache-2.0

package health

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/slb"
)

// rowsLike are as many rows as the flag allows at most.
func rowsLike(b slb.Backend) []slb.Backend {
	rows := make([]slb.Backend, 5000)
	for i := range rows {
		rows[i] = b
		rows[i].ServerID = fmt.Sprintf("eni-bp1do02x7n4nua4k%04d", i)
	}
	return rows
}

func TestAsManyRowsAreKeptAsFit(t *testing.T) {
	long := strings.Repeat("<", 128)
	for name, test := range map[string]struct {
		row  slb.Backend
		kept int
	}{
		"real ones": {slb.Backend{ServerIP: "192.168.123.123", EniHost: "192.168.123.124", Type: "eni", ListenerPort: 30443, ListenerProtocol: "https", Port: 30443, ServerHealthStatus: "unavailable"}, 5000},
		"huge ones": {slb.Backend{ServerIP: long, EniHost: long, Type: long, ListenerPort: 30443, ListenerProtocol: long, Port: 30443, ServerHealthStatus: long}, 329},
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
	counts := v1alpha1.Counts{Backends: 100_000, Normal: 100_000, Abnormal: 100_000, Unavailable: 100_000}
	listener, err := json.Marshal(v1alpha1.ListenerStatus{Port: 65535, Protocol: "<", Health: v1alpha1.Unhealthy, Counts: counts})
	if err != nil {
		t.Fatal(err)
	}
	if size := listenerSize + encodedSize("<"); size < len(listener)+len(",") {
		t.Errorf("%d for %s", size, listener)
	}
}
