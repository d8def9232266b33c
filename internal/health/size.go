// SPDX-License-Identifier: Apache-2.0

package health

import "github.com/lbhealth/slb-health-operator/api/v1alpha1"

const (
	// maxListsSize is what listeners and backends may take of an object in
	// JSON. etcd refuses more than 1.5 MiB; the rest is for what others write.
	maxListsSize = 1300 << 10
	// rowSize and listenerSize are the longest names and numbers of a row and
	// of a listener, without their strings.
	rowSize      = 178
	listenerSize = 124
	// fewRows fit whatever is in them.
	fewRows = 100
)

// fitting is how many rows of these there is room for beside the listeners.
// Real ones are a quarter of a kilobyte; what a broken server sends may be twenty times that.
func fitting(rows []v1alpha1.BackendStatus, listeners []v1alpha1.ListenerStatus) int {
	if len(rows) <= fewRows {
		return len(rows)
	}
	room := maxListsSize
	for i := range listeners {
		room -= listenerSize + encodedSize(listeners[i].Protocol)
	}
	longest := 0
	for i := range rows {
		b := &rows[i]
		longest = max(longest, encodedSize(b.ServerID)+encodedSize(b.ServerIP)+encodedSize(b.EniHost)+
			encodedSize(b.Type)+encodedSize(b.ListenerProtocol)+encodedSize(b.ServerHealthStatus))
	}
	return max(room, 0) / (rowSize + longest)
}

// encodedSize is at least what a string without control characters takes in JSON.
func encodedSize(s string) int {
	const escape = len(`\u003c`)
	size := len(s)
	for i := range len(s) {
		switch s[i] {
		case '"', '\\', '<', '>', '&':
			size += escape - 1
		}
	}
	return size
}
