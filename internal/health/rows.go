// SPDX-License-Identifier: Apache-2.0

package health

import (
	"cmp"
	"slices"
	"strings"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// class is how a backend counts: by the API's values, with every value that the
// API adds later as unavailable. A status keeps the rows of a lower class first. A
// backend that is unused has a row, and is in no count, verdict or event.
type class int

const (
	abnormal class = iota
	unavailable
	normal
	unused
	classes
)

func classOf(serverHealthStatus string) class {
	switch serverHealthStatus {
	case v1alpha1.StatusNormal:
		return normal
	case v1alpha1.StatusAbnormal:
		return abnormal
	case v1alpha1.StatusUnused:
		return unused
	default:
		return unavailable
	}
}

func (c class) String() string {
	return [...]string{v1alpha1.StatusAbnormal, v1alpha1.StatusUnavailable, v1alpha1.StatusNormal, v1alpha1.StatusUnused}[c]
}

// rowsOf returns the backends of an observation in the scope, sorted by
// identity and without times. ServerId alone does not identify a backend: an
// ENI has several pods, and a server may be behind several listeners. The API
// lists a backend of several forwarding rules once for each rule: the result
// has it once, with the worst of its states.
func rowsOf(observation *alicloud.Observation, scope alicloud.Scope) []v1alpha1.BackendStatus {
	rows := make([]v1alpha1.BackendStatus, 0, len(observation.Backends))
	for i := range observation.Backends {
		if !observation.InScope(scope, i) {
			continue
		}
		b, group := &observation.Backends[i], observation.Group(i)
		rows = append(rows, v1alpha1.BackendStatus{
			ServerID:           b.ServerID,
			ServerIP:           b.ServerIP,
			EniHost:            b.EniHost,
			Type:               cmp.Or(b.Type, TypeECS), // the API's default
			ListenerPort:       b.ListenerPort,
			ListenerProtocol:   b.ListenerProtocol,
			ServerGroupID:      group.ServerGroupID,
			Port:               b.Port,
			Reason:             group.Reason,
			ServerHealthStatus: b.ServerHealthStatus,
		})
	}
	slices.SortFunc(rows, func(a, b v1alpha1.BackendStatus) int {
		if c := byIdentity(&a, &b); c != 0 {
			return c
		}
		return cmp.Or(
			cmp.Compare(classOf(a.ServerHealthStatus), classOf(b.ServerHealthStatus)),
			cmp.Compare(a.ServerHealthStatus, b.ServerHealthStatus),
			cmp.Compare(a.EniHost, b.EniHost),
			cmp.Compare(a.Type, b.Type),
			cmp.Compare(a.Reason, b.Reason))
	})
	return slices.CompactFunc(rows, func(a, b v1alpha1.BackendStatus) bool { return SameBackend(&a, &b) })
}

// SameBackend returns whether two rows are about the same backend.
func SameBackend(a, b *v1alpha1.BackendStatus) bool { return byIdentity(a, b) == 0 }

// byIdentity compares two rows in the order of status.backends. It returns 0 for
// two rows of one backend.
func byIdentity(a, b *v1alpha1.BackendStatus) int {
	// cmp.Or would evaluate every comparison, and most pairs differ in the first.
	if c := cmp.Compare(a.ListenerPort, b.ListenerPort); c != 0 {
		return c
	}
	if c := compareProtocols(a.ListenerProtocol, b.ListenerProtocol); c != 0 {
		return c
	}
	if c := strings.Compare(a.ServerGroupID, b.ServerGroupID); c != 0 {
		return c
	}
	if c := strings.Compare(a.ServerID, b.ServerID); c != 0 {
		return c
	}
	if c := strings.Compare(a.ServerIP, b.ServerIP); c != 0 {
		return c
	}
	return cmp.Compare(a.Port, b.Port)
}

// compareProtocols ignores case: earlier versions stored a protocol in the API's
// own spelling.
func compareProtocols(a, b string) int {
	if a == b {
		return 0
	}
	return cmp.Compare(strings.ToLower(a), strings.ToLower(b))
}

// listenersOf counts sorted rows by listener.
func listenersOf(rows []v1alpha1.BackendStatus) []v1alpha1.ListenerStatus {
	starts := func(i int) bool { return i == 0 || !sameListener(&rows[i], &rows[i-1]) }
	n := 0
	for i := range rows {
		if starts(i) {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	listeners := make([]v1alpha1.ListenerStatus, 0, n)
	for i := range rows {
		if starts(i) {
			listeners = append(listeners, v1alpha1.ListenerStatus{
				Port: rows[i].ListenerPort, Protocol: rows[i].ListenerProtocol, ServerGroupID: rows[i].ServerGroupID,
			})
		}
		l := &listeners[len(listeners)-1]
		if c := classOf(rows[i].ServerHealthStatus); c == unused {
			l.Unused++
		} else {
			l.Counts = counted(l.Counts, c)
		}
	}
	return listeners
}

func sameListener(a, b *v1alpha1.BackendStatus) bool {
	return a.ListenerPort == b.ListenerPort && a.ServerGroupID == b.ServerGroupID && compareProtocols(a.ListenerProtocol, b.ListenerProtocol) == 0
}

// counted returns the counts with one more backend of the class.
func counted(counts v1alpha1.Counts, c class) v1alpha1.Counts {
	counts.Backends++
	switch c {
	case normal:
		counts.Normal++
	case abnormal:
		counts.Abnormal++
	default:
		counts.Unavailable++
	}
	return counts
}

func summaryOf(listeners []v1alpha1.ListenerStatus) *v1alpha1.Summary {
	summary := &v1alpha1.Summary{Listeners: int32(len(listeners))}
	missing, expected := int32(0), false
	for i := range listeners {
		summary.Backends += listeners[i].Backends
		summary.Normal += listeners[i].Normal
		summary.Abnormal += listeners[i].Abnormal
		summary.Unavailable += listeners[i].Unavailable
		summary.Unused += listeners[i].Unused
		if listeners[i].Expected != nil {
			missing += listeners[i].Missing
			expected = true
		}
	}
	if expected {
		summary.Missing = new(missing)
	}
	return summary
}

// bounded returns at most limit rows in their order, and how many it omitted. It
// keeps abnormal rows before unavailable ones before normal ones. An object
// with every row of a large load balancer would not fit into etcd.
func bounded(rows []v1alpha1.BackendStatus, limit int) (kept []v1alpha1.BackendStatus, omitted int32) {
	if len(rows) <= limit {
		return rows, 0
	}
	var quota [classes]int
	for i := range rows {
		quota[classOf(rows[i].ServerHealthStatus)]++
	}
	remaining := limit
	for c := range quota {
		quota[c] = min(quota[c], remaining)
		remaining -= quota[c]
	}
	kept = make([]v1alpha1.BackendStatus, 0, limit)
	for i := range rows {
		if c := classOf(rows[i].ServerHealthStatus); quota[c] > 0 {
			quota[c]--
			kept = append(kept, rows[i])
		}
	}
	return kept, int32(len(rows) - len(kept))
}
