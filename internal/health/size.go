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
	listenerSize = 260
	// placeSize is what a row takes more that says where its backend runs.
	placeSize = len(`"node":"","pod":"","diagnosis":"",`)
	// fewRows fit whatever is in them.
	fewRows = 100
)

// fitting is how many rows of these there is room for beside the listeners and
// the requests, which are as long as a user's annotation. Real rows are
// a quarter of a kilobyte; what a broken server sends may be twenty times that.
func fitting(rows []v1alpha1.BackendStatus, listeners []v1alpha1.ListenerStatus, requests ...string) int {
	if len(rows) <= fewRows {
		return len(rows)
	}
	room := maxListsSize
	for _, request := range requests {
		room -= encodedSize(request)
	}
	for i := range listeners {
		room -= listenerSize + encodedSize(listeners[i].Protocol)
	}
	longest := 0
	for i := range rows {
		longest = max(longest, stringsSize(&rows[i]))
	}
	return max(room, 0) / (rowSize + longest)
}

// stringsSize is what the strings of a row take, and the names that it may leave out.
func stringsSize(b *v1alpha1.BackendStatus) int {
	size := encodedSize(b.ServerID) + encodedSize(b.ServerIP) + encodedSize(b.EniHost) +
		encodedSize(b.Type) + encodedSize(b.ListenerProtocol) + encodedSize(b.ServerHealthStatus)
	if place := encodedSize(b.Node) + encodedSize(b.Pod) + encodedSize(string(b.Diagnosis)); place > 0 {
		size += placeSize + place
	}
	return size
}

// encodedSize is at least what a string takes in JSON.
func encodedSize(s string) int {
	const escape = len(`\u003c`)
	size := len(s)
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
