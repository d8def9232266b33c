// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
)

const (
	// serviceAccountPolicy logs all requests of ServiceAccounts.
	serviceAccountPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: Metadata, userGroups: ["system:serviceaccounts"]}
- {level: None}
`
	// writePolicy logs writes, lists and watches, also those that were refused.
	writePolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  verbs: [create, update, patch, list, watch]
  resources: [{group: slb.lbhealth.dev}, {group: events.k8s.io}, {group: coordination.k8s.io}]
- level: None
`
)

// auditLog is the audit log of the API server.
type auditLog struct{ path string }

// newAuditLog returns a log, and the flags with which the API server writes it.
func newAuditLog(t *testing.T, policy string) (*auditLog, map[string][]string) {
	t.Helper()
	folder := t.TempDir()
	policyFile := filepath.Join(folder, "policy.yaml")
	if err := os.WriteFile(policyFile, []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	l := &auditLog{filepath.Join(folder, "audit.log")}
	return l, map[string][]string{"audit-policy-file": {policyFile}, "audit-log-path": {l.path}}
}

// auditedRequest is an entry of the log.
type auditedRequest struct {
	Verb                     string
	RequestURI               string
	User                     struct{ Username string }
	ObjectRef                *struct{ Resource, Subresource, APIGroup, Namespace, Name string }
	ResponseStatus           struct{ Code int }
	RequestReceivedTimestamp time.Time
}

// of returns the requests of a user that satisfy a condition, in their order.
func (l *auditLog) of(t *testing.T, user string, condition func(*auditedRequest) bool) []auditedRequest {
	t.Helper()
	return l.all(t, func(r *auditedRequest) bool { return r.User.Username == user && condition(r) })
}

func (l *auditLog) all(t *testing.T, condition func(*auditedRequest) bool) []auditedRequest {
	t.Helper()
	var found []auditedRequest
	seen := map[string]bool{}
	for text := range strings.Lines(readFile(t, l.path)) {
		if !strings.HasSuffix(text, "\n") {
			break // the API server is writing it
		}
		var entry struct {
			AuditID string
			auditedRequest
		}
		if err := json.Unmarshal([]byte(text), &entry); err != nil {
			t.Fatalf("the audit log: %v: %s", err, text)
		}
		if !seen[entry.AuditID] && condition(&entry.auditedRequest) { // a watch has an entry when it starts and one when it stops
			seen[entry.AuditID] = true
			found = append(found, entry.auditedRequest)
		}
	}
	return found
}

func anyRequest(*auditedRequest) bool { return true }

// writes reports whether the request changed a status or an event.
func (r *auditedRequest) writes() bool {
	return (r.Verb == "create" || r.Verb == "patch" || r.Verb == "update") && r.ResponseStatus.Code < 300 &&
		r.ObjectRef != nil && (r.ObjectRef.Subresource == "status" || r.ObjectRef.APIGroup == "events.k8s.io")
}

// listsAll reports whether the request fetches every object, as a cold cache does: a list, or a watch that starts with
// the existing objects.
func (r *auditedRequest) listsAll() bool {
	return r.ObjectRef != nil && r.ObjectRef.Resource == "loadbalancerhealths" && r.ObjectRef.Subresource == "" &&
		(r.Verb == "list" || r.Verb == "watch" && strings.Contains(r.RequestURI, "sendInitialEvents=true"))
}

// refused reports whether the API server denied the request.
func (r *auditedRequest) refused() bool {
	return r.ResponseStatus.Code == http.StatusUnauthorized || r.ResponseStatus.Code == http.StatusForbidden
}

// permission returns the permission that the request needed; false if it was not for a resource, as in discovery.
func (r *auditedRequest) permission() (permission, bool) {
	o := r.ObjectRef
	if o == nil {
		return permission{}, false
	}
	used := permission{o.Namespace, o.APIGroup, o.Resource, r.Verb}
	if o.Subresource != "" {
		used.resource += "/" + o.Subresource
	}
	return used, true
}

// permission is a verb on a resource in a namespace; "": in all namespaces.
type permission struct{ namespace, group, resource, verb string }

func (p permission) String() string {
	where := "in all namespaces"
	if p.namespace != "" {
		where = "in " + p.namespace
	}
	return strings.Join([]string{p.verb, p.group + "/" + p.resource, where}, " ")
}

func (p permission) covers(used permission) bool {
	if p.namespace == "" {
		used.namespace = ""
	}
	return p == used
}

// permissionsOf returns the permissions of a ServiceAccount. One that two bindings grant occurs twice.
func (w *env) permissionsOf(t *testing.T, namespace, name string) []permission {
	t.Helper()
	var clusterWide rbacv1.ClusterRoleBindingList
	var namespaced rbacv1.RoleBindingList
	for _, err := range []error{w.admin.List(t.Context(), &clusterWide), w.admin.List(t.Context(), &namespaced)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	subject := rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}
	var granted []permission
	for _, binding := range clusterWide.Items {
		if slices.Contains(binding.Subjects, subject) {
			granted = append(granted, w.permissionsIn(t, "", binding.RoleRef)...)
		}
	}
	for _, binding := range namespaced.Items {
		if slices.Contains(binding.Subjects, subject) {
			granted = append(granted, w.permissionsIn(t, binding.Namespace, binding.RoleRef)...)
		}
	}
	return granted
}

func (w *env) permissionsIn(t *testing.T, namespace string, ref rbacv1.RoleRef) []permission {
	t.Helper()
	var granted []permission
	for _, rule := range w.rulesOf(t, namespace, ref) {
		if len(rule.ResourceNames)+len(rule.NonResourceURLs) > 0 {
			t.Errorf("%s %s has a rule that this test does not support: %v", ref.Kind, ref.Name, rule)
		}
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					granted = append(granted, permission{namespace, group, resource, verb})
				}
			}
		}
	}
	return granted
}

func (w *env) rulesOf(t *testing.T, namespace string, ref rbacv1.RoleRef) []rbacv1.PolicyRule {
	t.Helper()
	if ref.Kind == "ClusterRole" {
		var role rbacv1.ClusterRole
		w.getNamed(t, "", ref.Name, &role)
		return role.Rules
	}
	var role rbacv1.Role
	w.getNamed(t, namespace, ref.Name, &role)
	return role.Rules
}
