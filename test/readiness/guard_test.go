// SPDX-License-Identifier: Apache-2.0

package readiness

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	operatorUser = "system:serviceaccount:slb-health-operator-system:slb-health-operator-controller-manager"

	foreignConditions = "no conditions but those of health.slb.lbhealth.dev"
	openGate          = "may not change or remove an open gate"
	oneCondition      = "must keep one condition for each gate"
	noMetadata        = "may write no metadata"
	statusFields      = "no part of a pod's status but its conditions"
)

// condition returns a condition of a pod as JSON.
func condition(conditionType, status, reason string) string {
	return fmt.Sprintf(`{"type": %q, "status": %q, "reason": %q}`, conditionType, status, reason)
}

// merge returns a strategic merge patch of conditions, as the operator sends it.
func merge(conditions ...string) client.Patch {
	return client.RawPatch(types.StrategicMergePatchType, []byte(`{"status": {"conditions": [`+strings.Join(conditions, ",")+`]}}`))
}

// jsonPatch returns a JSON patch of one operation.
func jsonPatch(op, path, value string) client.Patch {
	return client.RawPatch(types.JSONPatchType, fmt.Appendf(nil, `[{"op": %q, "path": %q, "value": %s}]`, op, path, value))
}

// patchStatus patches the status of a pod with a client.
func patchStatus(ctx context.Context, c client.Client, pod *corev1.Pod, patch client.Patch) error {
	return c.Status().Patch(ctx, pod.DeepCopy(), patch)
}

// newGatedPod creates a pod as the kubelet has it: with addresses, and with one gate
// that is open, one that is closed, and the cloud controller manager's.
func (e *env) newGatedPod(t *testing.T) *corev1.Pod {
	t.Helper()
	pod := newPod("guard", nil, withGates(ownGate+"open", ownGate+"closed", cloudGate+"open"))
	e.create(t, pod)
	pod.Status.HostIP, pod.Status.HostIPs = "10.0.0.1", []corev1.HostIP{{IP: "10.0.0.1"}}
	pod.Status.PodIP, pod.Status.PodIPs = "10.1.0.1", []corev1.PodIP{{IP: "10.1.0.1"}}
	pod.Status.Conditions = []corev1.PodCondition{
		{Type: ownGate + "open", Status: corev1.ConditionTrue, Reason: "BackendNormal", LastTransitionTime: metav1.Now()},
		{Type: corev1.ContainersReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()},
		{Type: corev1.PodReady, Status: corev1.ConditionFalse, Reason: "ReadinessGatesNotReady"},
		{Type: ownGate + "closed", Status: corev1.ConditionFalse, Reason: "BackendAbnormal"},
		{Type: cloudGate + "open", Status: corev1.ConditionFalse},
	}
	if err := e.admin.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	return pod
}

// awaitGuard waits until the API server applies the guard to a user.
func (e *env) awaitGuard(t *testing.T, user string, pod *corev1.Pod) {
	t.Helper()
	c := e.as(t, user)
	NewWithT(t).Eventually(t.Context(), func(ctx context.Context) error {
		return c.Status().Patch(ctx, pod.DeepCopy(), jsonPatch("add", "/status/message", `"x"`), client.DryRunAll)
	}).WithTimeout(patience).Should(MatchError(ContainSubstring(statusFields)))
}

func (e *env) testGuard(t *testing.T) {
	e.createNamespace(t, "guard")
	e.awaitGuard(t, operatorUser, e.newGatedPod(t))
	t.Run("permits the operator's conditions", e.testPermitted)
	t.Run("refuses other conditions", e.testConditions)
	t.Run("refuses the rest of the status", e.testStatusFields)
	t.Run("refuses metadata", e.testMetadata)
	t.Run("applies to no other account", e.testOtherAccounts)
}

func (e *env) testPermitted(t *testing.T) {
	operator := e.as(t, operatorUser)
	for name, patch := range map[string]client.Patch{
		"open a gate":                merge(condition(ownGate+"closed", "True", "BackendNormal")),
		"change the reason":          merge(condition(ownGate+"closed", "False", "NotRegistered")),
		"add a closed gate":          merge(condition(ownGate+"new", "False", "WaitingForObservation")),
		"add an open gate":           merge(condition(ownGate+"new", "True", "NotObserved")),
		"write two":                  merge(condition(ownGate+"closed", "True", "BackendNormal"), condition(ownGate+"new", "True", "BackendNormal")),
		"repeat an open gate":        merge(`{"type": "` + ownGate + `open", "status": "True"}`),
		"open a gate by a JSON path": jsonPatch("replace", "/status/conditions/3/status", `"True"`),
	} {
		t.Run(name, func(t *testing.T) {
			pod := e.newGatedPod(t)
			if err := patchStatus(t.Context(), operator, pod, patch); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("of a pod that terminates", func(t *testing.T) {
		pod := e.newGatedPod(t)
		pod.Finalizers = []string{"example.com/wait"}
		if err := e.admin.Update(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
		if err := e.admin.Delete(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
		if err := patchStatus(t.Context(), operator, pod, merge(condition(ownGate+"closed", "True", "BackendNormal"))); err != nil {
			t.Error(err)
		}
	})
}

func (e *env) testConditions(t *testing.T) {
	operator := e.as(t, operatorUser)
	remove := func(n int) client.Patch {
		return client.RawPatch(types.JSONPatchType, fmt.Appendf(nil, `[{"op": "remove", "path": "/status/conditions/%d"}]`, n))
	}
	for name, test := range map[string]struct {
		patch client.Patch
		says  string
	}{
		"Ready":                               {merge(condition("Ready", "True", "")), foreignConditions},
		"ContainersReady":                     {merge(condition("ContainersReady", "False", "")), foreignConditions},
		"the cloud's gate":                    {merge(condition(cloudGate+"open", "True", "")), foreignConditions},
		"a new type":                          {merge(condition("example.com/warm", "True", "")), foreignConditions},
		"the prefix without its slash":        {merge(condition("health.slb.lbhealth.dev", "True", "")), foreignConditions},
		"a prefix that begins like it":        {merge(condition("health.slb.lbhealth.dev.example/web", "True", "")), foreignConditions},
		"remove a foreign one":                {remove(1), foreignConditions},
		"remove all":                          {jsonPatch("replace", "/status/conditions", `[]`), foreignConditions},
		"close an open gate":                  {merge(condition(ownGate+"open", "False", "BackendAbnormal")), openGate},
		"make an open gate unknown":           {merge(condition(ownGate+"open", "Unknown", "")), openGate},
		"change the reason of an open gate":   {merge(condition(ownGate+"open", "True", "HealthUnknown")), openGate},
		"remove an open gate":                 {remove(0), openGate},
		"remove a closed gate":                {remove(3), oneCondition},
		"a second condition of an open gate":  {jsonPatch("add", "/status/conditions/0", condition(ownGate+"open", "False", "")), oneCondition},
		"a second condition of a closed gate": {jsonPatch("add", "/status/conditions/-", condition(ownGate+"closed", "True", "")), oneCondition},
	} {
		t.Run(name, func(t *testing.T) {
			pod := e.newGatedPod(t)
			e.refused(t, operator, pod, test.patch, test.says)
			// Another account may do it: nothing else is wrong with the patch.
			if err := patchStatus(t.Context(), e.admin, pod, test.patch); err != nil {
				t.Errorf("an administrator: %v", err)
			}
		})
	}
}

// refused demands that the guard refuses a patch, and that the pod stays as it is.
func (e *env) refused(t *testing.T, c client.Client, pod *corev1.Pod, patch client.Patch, says string) {
	t.Helper()
	err := patchStatus(t.Context(), c, pod, patch)
	if err == nil || !strings.Contains(err.Error(), "readiness-gates-guard") || !strings.Contains(err.Error(), says) {
		t.Errorf("it should be refused with %q: %v", says, err)
	}
	if difference := cmp.Diff(pod, e.live(t, pod)); difference != "" {
		t.Errorf("the pod changed: %s", difference)
	}
}

func (e *env) live(t *testing.T, pod *corev1.Pod) *corev1.Pod {
	t.Helper()
	live := &corev1.Pod{}
	if err := e.admin.Get(t.Context(), client.ObjectKeyFromObject(pod), live); err != nil {
		t.Fatal(err)
	}
	live.TypeMeta = pod.TypeMeta
	return live
}

// statusPatches changes each field of PodStatus but conditions.
var statusPatches = map[string]string{
	"observedGeneration": `7`, "phase": `"Failed"`, "message": `"m"`, "reason": `"r"`, "nominatedNodeName": `"node-2"`,
	"hostIP": `"10.0.0.2"`, "hostIPs": `[{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]`,
	"podIP": `"10.1.0.2"`, "podIPs": `[{"ip": "10.1.0.1"}, {"ip": "fd00::2"}]`, "startTime": `"2026-01-02T03:04:05Z"`,
	"initContainerStatuses": runningContainer, "containerStatuses": runningContainer, "ephemeralContainerStatuses": runningContainer,
	"qosClass": `"Guaranteed"`, "resize": `"InProgress"`, "resourceClaimStatuses": `[{"name": "gpu", "resourceClaimName": "web-gpu"}]`,
	"extendedResourceClaimStatus": `{"resourceClaimName": "web", "requestMappings": [{"containerName": "web", "resourceName": "example.com/gpu", "requestName": "r"}]}`,
	"allocatedResources":          `{"cpu": "1"}`, "resources": `{"requests": {"cpu": "1"}}`,
	"nodeAllocatableResourceClaimStatuses": `[{"resourceClaimName": "web", "containers": ["web"], "resources": {"cpu": "1"}}]`,
	"volumeHealth":                         `[{"name": "data", "status": "Abnormal"}]`,
}

const runningContainer = `[{"name": "web", "image": "web", "imageID": "i", "ready": true, "restartCount": 1, "state": {"running": {"startedAt": "2026-01-02T03:04:05Z"}}}]`

// metadataPatches changes each field of ObjectMeta but resourceVersion and managedFields,
// which change with every write.
var metadataPatches = map[string]string{
	"name": `"other"`, "generateName": `"other-"`, "namespace": `"default"`, "selfLink": `"/other"`,
	"uid": `"00000000-0000-0000-0000-000000000000"`, "generation": `7`, "creationTimestamp": `"2026-01-02T03:04:05Z"`,
	"deletionTimestamp": `"2026-01-02T03:04:05Z"`, "deletionGracePeriodSeconds": `0`,
	"labels": `{"app": "stolen"}`, "annotations": `{"example.com/a": "1"}`, "finalizers": `["example.com/hold"]`,
	"ownerReferences": `[{"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "00000000-0000-0000-0000-000000000000"}]`,
}

// jsonFields returns the JSON names of a struct's fields.
func jsonFields[T any]() []string {
	var names []string
	for _, field := range reflect.VisibleFields(reflect.TypeFor[T]()) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

// testStatusFields patches field by field. The API server itself refuses or ignores some
// patches; what it accepts from an administrator, the guard must refuse.
func (e *env) testStatusFields(t *testing.T) {
	e.testFields(t, "/status/", statusPatches, statusFields, 12)
}

func (e *env) testMetadata(t *testing.T) {
	e.testFields(t, "/metadata/", metadataPatches, noMetadata, 3)
	t.Run("as part of a strategic merge", func(t *testing.T) {
		patch := client.RawPatch(types.StrategicMergePatchType, []byte(`{"metadata": {"labels": {"app": "stolen"}}, "status": {"conditions": [`+condition(ownGate+"closed", "True", "")+`]}}`))
		e.refused(t, e.as(t, operatorUser), e.newGatedPod(t), patch, noMetadata)
	})
	t.Run("the spec", func(t *testing.T) { // which this subresource ignores
		pod := e.newGatedPod(t)
		if err := patchStatus(t.Context(), e.as(t, operatorUser), pod, jsonPatch("replace", "/spec/containers/0/image", `"stolen"`)); err != nil {
			t.Fatal(err)
		}
		if difference := cmp.Diff(pod.Spec, e.live(t, pod).Spec); difference != "" {
			t.Errorf("the spec changed: %s", difference)
		}
	})
}

// testFields patches fields as the operator and as an administrator. An administrator can
// change at least so many.
func (e *env) testFields(t *testing.T, prefix string, patches map[string]string, says string, least int) {
	t.Helper()
	operator := e.as(t, operatorUser)
	changeable := []string{}
	for name, value := range patches {
		pod := e.newGatedPod(t)
		patch := jsonPatch("add", prefix+name, value)
		err := patchStatus(t.Context(), operator, pod, patch)
		if now := e.live(t, pod); !cmp.Equal(withoutBookkeeping(pod), withoutBookkeeping(now)) {
			t.Errorf("the operator changed %s%s", prefix, name)
			continue
		}
		if patchStatus(t.Context(), e.admin, pod, patch) != nil || cmp.Equal(withoutBookkeeping(pod), withoutBookkeeping(e.live(t, pod))) {
			continue
		}
		changeable = append(changeable, name)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s%s should be refused with %q: %v", prefix, name, says, err)
		}
	}
	slices.Sort(changeable)
	t.Logf("Kubernetes %s permits an administrator to change %s of %s", e.version, strings.Join(changeable, ", "), prefix)
	if len(changeable) < least {
		t.Errorf("these are fewer than %d", least)
	}
}

func withoutBookkeeping(pod *corev1.Pod) *corev1.Pod {
	pod = pod.DeepCopy()
	pod.ResourceVersion, pod.ManagedFields = "", nil
	return pod
}

// testOtherAccounts writes an address of a pod with accounts that lack one of the two
// properties of the operator's, and with an administrator.
func (e *env) testOtherAccounts(t *testing.T) {
	status := func(verbs ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods/status"}, Verbs: verbs}
	}
	lbh := rbacv1.PolicyRule{APIGroups: []string{"slb.lbhealth.dev"}, Resources: []string{"loadbalancerhealths/status"}, Verbs: []string{"patch"}}
	accounts := map[string][]rbacv1.PolicyRule{
		"system:serviceaccount:guard:writes-pods": {status("patch")},
		"system:serviceaccount:guard:kubelet":     {status("patch", "update"), lbh},
		"no-service-account":                      {status("patch"), lbh},
	}
	for user, rules := range accounts {
		name := strings.ReplaceAll(user, ":", "-")
		e.create(t,
			&rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules},
			&rbacv1.ClusterRoleBinding{
				ObjectMeta: metav1.ObjectMeta{Name: name}, Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
				RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
			})
	}
	for user := range accounts {
		c := e.as(t, user)
		pod := e.newGatedPod(t)
		NewWithT(t).Eventually(t.Context(), func(ctx context.Context) error { // RBAC needs a moment
			return patchStatus(ctx, c, pod, jsonPatch("replace", "/status/podIP", `"10.1.0.9"`))
		}).WithTimeout(patience).Should(Succeed(), user)
	}
}

// TestGuardKnowsEveryField compares the guard and the tables above to the types of
// Kubernetes: a new field of PodStatus or ObjectMeta needs a decision.
func TestGuardKnowsEveryField(t *testing.T) {
	// The API server keeps these whatever a write to pods/status says.
	kept := []string{"name", "namespace", "selfLink", "uid", "generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"}
	compared := func(of, name string) bool {
		expression := "object." + of + ".?" + name + " == oldObject." + of + ".?" + name
		return slices.ContainsFunc(guardExpressions(t), func(text string) bool { return strings.Contains(text+" ", expression+" ") })
	}
	for _, name := range jsonFields[corev1.PodStatus]() {
		if name == "conditions" {
			continue
		}
		if statusPatches[name] == "" || !json.Valid([]byte(statusPatches[name])) {
			t.Errorf("statusPatches has no value for %s", name)
		}
		if !compared("status", name) {
			t.Errorf("the guard does not compare status.%s", name)
		}
	}
	for _, name := range jsonFields[metav1.ObjectMeta]() {
		if name == "resourceVersion" || name == "managedFields" {
			continue
		}
		if metadataPatches[name] == "" || !json.Valid([]byte(metadataPatches[name])) {
			t.Errorf("metadataPatches has no value for %s", name)
		}
		if compared("metadata", name) == slices.Contains(kept, name) {
			t.Errorf("the guard compares metadata.%s, or it should", name)
		}
	}
}
