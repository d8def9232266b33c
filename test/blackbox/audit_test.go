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

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// auditPolicy notes once what ServiceAccounts ask, when it is answered; of a
// watch also when it starts.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: Metadata, userGroups: ["system:serviceaccounts"]}
- {level: None}
`

// auditLog is what the API server says that it was asked. It writes each line
// before it answers.
type auditLog struct{ path string }

// audited are options of a control plane that writes the log, and that knows no
// streaming lists, as before Kubernetes 1.34: with them no client lists.
func audited(t *testing.T) (auditLog, harness.ControlPlaneOptions) {
	t.Helper()
	folder := t.TempDir()
	policy := filepath.Join(folder, "policy.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		t.Fatal(err)
	}
	log := auditLog{filepath.Join(folder, "audit.log")}
	return log, harness.ControlPlaneOptions{
		CRDs: []string{},
		APIServerArgs: map[string][]string{
			"audit-policy-file": {policy}, "audit-log-path": {log.path}, "feature-gates": {"WatchList=false"},
		},
	}
}

// asked is a line of the log.
type asked struct {
	User struct {
		Username string `json:"username"`
	} `json:"user"`
	Verb      string `json:"verb"`
	URI       string `json:"requestURI"`
	ObjectRef *struct {
		Namespace   string `json:"namespace"`
		Group       string `json:"apiGroup"`
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
	} `json:"objectRef"`
	Response struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
}

// by are the requests of one user.
func (l auditLog) by(t *testing.T, user string) []asked {
	t.Helper()
	var found []asked
	for line := range strings.Lines(readFile(t, l.path)) {
		var a asked
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if a.User.Username == user {
			found = append(found, a)
		}
	}
	return found
}

// right is a verb on a resource in a namespace, or everywhere with "".
type right struct{ namespace, group, resource, verb string }

func (r right) String() string {
	where := "everywhere"
	if r.namespace != "" {
		where = "in " + r.namespace
	}
	return strings.Join([]string{r.verb, r.group + "/" + r.resource, where}, " ")
}

func (r right) covers(used right) bool {
	if r.namespace == "" {
		used.namespace = ""
	}
	return r == used
}

// refused reports whether the API server authenticated the caller and denied the request.
func (a asked) refused() bool {
	return a.Response.Code == http.StatusUnauthorized || a.Response.Code == http.StatusForbidden
}

// right is what the request took; false for what is no resource, such as discovery.
func (a asked) right() (right, bool) {
	o := a.ObjectRef
	if o == nil {
		return right{}, false
	}
	used := right{o.Namespace, o.Group, o.Resource, a.Verb}
	if o.Subresource != "" {
		used.resource += "/" + o.Subresource
	}
	return used, true
}

// rightsOf are those that bindings to a ServiceAccount grant, as often as they do.
func (w *env) rightsOf(t *testing.T, namespace, name string) []right {
	t.Helper()
	var everywhere rbacv1.ClusterRoleBindingList
	var inside rbacv1.RoleBindingList
	for _, err := range []error{w.admin.List(t.Context(), &everywhere), w.admin.List(t.Context(), &inside)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	subject := rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}
	var granted []right
	for _, binding := range everywhere.Items {
		if slices.Contains(binding.Subjects, subject) {
			granted = append(granted, w.rightsIn(t, "", binding.RoleRef)...)
		}
	}
	for _, binding := range inside.Items {
		if slices.Contains(binding.Subjects, subject) {
			granted = append(granted, w.rightsIn(t, binding.Namespace, binding.RoleRef)...)
		}
	}
	return granted
}

func (w *env) rightsIn(t *testing.T, namespace string, ref rbacv1.RoleRef) []right {
	t.Helper()
	var granted []right
	for _, rule := range w.rulesOf(t, namespace, ref) {
		if len(rule.ResourceNames)+len(rule.NonResourceURLs) > 0 {
			t.Errorf("%s %s has a rule that this test cannot weigh: %v", ref.Kind, ref.Name, rule)
		}
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					granted = append(granted, right{namespace, group, resource, verb})
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
