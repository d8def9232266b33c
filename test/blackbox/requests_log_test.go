// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// requestPolicy records who wrote what, and who listed or watched. Requests that
// were refused are in it too, with their code.
const requestPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  verbs: [create, update, patch, list, watch]
  resources: [{group: slb.lbhealth.dev}, {group: events.k8s.io}, {group: coordination.k8s.io}]
- level: None
`

// requestLog is what the API server says of the requests that it served.
type requestLog struct {
	path  string
	flags map[string][]string
}

func newRequestLog(t *testing.T) *requestLog {
	t.Helper()
	folder := t.TempDir()
	policy := filepath.Join(folder, "policy.yaml")
	if err := os.WriteFile(policy, []byte(requestPolicy), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "audit.log")
	return &requestLog{path: path, flags: map[string][]string{"audit-policy-file": {policy}, "audit-log-path": {path}}}
}

// logged is one request.
type logged struct {
	Verb       string
	RequestURI string
	User       struct{ Username string }
	ObjectRef  struct{ Resource, Subresource, APIGroup, Namespace, Name string }

	ResponseStatus           struct{ Code int }
	RequestReceivedTimestamp time.Time
	StageTimestamp           time.Time
}

// writes reports whether it changed a status or an event.
func (a *logged) writes() bool {
	return (a.Verb == "create" || a.Verb == "patch" || a.Verb == "update") && a.ResponseStatus.Code < 300 &&
		(a.ObjectRef.Subresource == "status" || a.ObjectRef.APIGroup == "events.k8s.io")
}

// listsAll reports whether it fetches every object, as a cold cache does: by a
// list, or by a watch that sends what is there first.
func (a *logged) listsAll() bool {
	return a.ObjectRef.Resource == "loadbalancerhealths" && a.ObjectRef.Subresource == "" &&
		(a.Verb == "list" || a.Verb == "watch" && strings.Contains(a.RequestURI, "sendInitialEvents=true"))
}

// of returns the requests of a user that are of this kind, in their order.
func (l *requestLog) of(t *testing.T, u *user, kind func(*logged) bool) []logged {
	t.Helper()
	return l.all(t, func(a *logged) bool { return a.User.Username == u.name && kind(a) })
}

func (l *requestLog) all(t *testing.T, kind func(*logged) bool) []logged {
	t.Helper()
	var found []logged
	seen := map[string]bool{}
	for line := range strings.Lines(readFile(t, l.path)) {
		if !strings.HasSuffix(line, "\n") {
			break // it is being written
		}
		var entry struct {
			AuditID string
			logged
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatalf("the audit log: %v: %s", err, line)
		}
		if !seen[entry.AuditID] && kind(&entry.logged) { // a watch is logged at its start and at its end
			seen[entry.AuditID] = true
			found = append(found, entry.logged)
		}
	}
	return found
}
