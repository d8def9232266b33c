// SPDX-License-Identifier: Apache-2.0

package health

import (
	"cmp"
	"slices"
	"strings"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// class is how a backend counts: the API's three values, and every value that
// it adds later as unavailable. Ordered from the one an operator must see to
// the one that can be left out first.
type class int

const (
	abnormal class = iota
	unavailable
	normal
	classes
)

func classOf(serverHealthStatus string) class {
	switch serverHealthStatus {
	case v1alpha1.StatusNormal:
		return normal
	case v1alpha1.StatusAbnormal:
		return abnormal
	default:
		return unavailable
	}
}

func (c class) String() string {
	return [...]string{v1alpha1.StatusAbnormal, v1alpha1.StatusUnavailable, v1alpha1.StatusNormal}[c]
}

// rowsOf returns the backends of a sample that the scope asks about, sorted by
// identity. ServerId alone identifies nothing (an ENI carries several pods, a
// server stands behind several listeners), so identity is what byIdentity
// compares. The API lists a backend of several forwarding rules once for each:
// it stands here once, with the worst of its states.
func rowsOf(sample *alicloud.Observation, scope alicloud.Scope) []v1alpha1.BackendStatus {
	rows := make([]v1alpha1.BackendStatus, 0, len(sample.Backends))
	for _, b := range sample.Backends {
		if !scope.Includes(b) {
			continue
		}
		rows = append(rows, v1alpha1.BackendStatus{
			ServerID:           b.ServerID,
			ServerIP:           b.ServerIP,
			EniHost:            b.EniHost,
			Type:               cmp.Or(b.Type, "ecs"), // the API's default
			ListenerPort:       b.ListenerPort,
			ListenerProtocol:   b.ListenerProtocol,
			Port:               b.Port,
			ServerHealthStatus: b.ServerHealthStatus,
		})
	}
	slices.SortFunc(rows, func(a, b v1alpha1.BackendStatus) int {
		return cmp.Or(byIdentity(&a, &b),
			cmp.Compare(classOf(a.ServerHealthStatus), classOf(b.ServerHealthStatus)),
			cmp.Compare(a.ServerHealthStatus, b.ServerHealthStatus),
			cmp.Compare(a.EniHost, b.EniHost),
			cmp.Compare(a.Type, b.Type))
	})
	return slices.CompactFunc(rows, func(a, b v1alpha1.BackendStatus) bool { return SameBackend(&a, &b) })
}

// SameBackend tells whether two rows are of one backend.
func SameBackend(a, b *v1alpha1.BackendStatus) bool { return byIdentity(a, b) == 0 }

// byIdentity orders backends as status.backends is ordered, and is 0 for one
// backend seen twice.
func byIdentity(a, b *v1alpha1.BackendStatus) int {
	return cmp.Or(
		cmp.Compare(a.ListenerPort, b.ListenerPort),
		compareProtocols(a.ListenerProtocol, b.ListenerProtocol),
		cmp.Compare(a.ServerID, b.ServerID),
		cmp.Compare(a.ServerIP, b.ServerIP),
		cmp.Compare(a.Port, b.Port))
}

// compareProtocols is without regard to case: a status may hold the API's own,
// as earlier versions stored it.
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
			listeners = append(listeners, v1alpha1.ListenerStatus{Port: rows[i].ListenerPort, Protocol: rows[i].ListenerProtocol})
		}
		count(&listeners[len(listeners)-1].Counts, classOf(rows[i].ServerHealthStatus))
	}
	return listeners
}

func sameListener(a, b *v1alpha1.BackendStatus) bool {
	return a.ListenerPort == b.ListenerPort && compareProtocols(a.ListenerProtocol, b.ListenerProtocol) == 0
}

func count(c *v1alpha1.Counts, class class) {
	c.Backends++
	switch class {
	case normal:
		c.Normal++
	case abnormal:
		c.Abnormal++
	default:
		c.Unavailable++
	}
}

func summaryOf(listeners []v1alpha1.ListenerStatus) *v1alpha1.Summary {
	summary := &v1alpha1.Summary{Listeners: int32(len(listeners))}
	for i := range listeners {
		summary.Backends += listeners[i].Backends
		summary.Normal += listeners[i].Normal
		summary.Abnormal += listeners[i].Abnormal
		summary.Unavailable += listeners[i].Unavailable
	}
	return summary
}

// bounded keeps at most limit rows in their order, abnormal ones before
// unavailable ones before normal ones, and says how many it left out: an
// object of every row that an answer can hold would not fit into etcd.
func bounded(rows []v1alpha1.BackendStatus, limit int) (kept []v1alpha1.BackendStatus, omitted int32) {
	if len(rows) <= limit {
		return rows, 0
	}
	var places [classes]int
	for i := range rows {
		places[classOf(rows[i].ServerHealthStatus)]++
	}
	left := limit
	for class := range places {
		places[class] = min(places[class], left)
		left -= places[class]
	}
	kept = make([]v1alpha1.BackendStatus, 0, limit)
	for i := range rows {
		if place := &places[classOf(rows[i].ServerHealthStatus)]; *place > 0 {
			*place--
			kept = append(kept, rows[i])
		}
	}
	return kept, int32(len(rows) - len(kept))
}
