// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// gatedPod is a pod with a gate for web, whose containers became ready some time before noon; 0: they are not.
func gatedPod(name string, waiting time.Duration, conditions ...corev1.PodCondition) corev1.Pod {
	pod := corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: name, UID: types.UID("uid-" + name)},
		Spec: corev1.PodSpec{ReadinessGates: []corev1.PodReadinessGate{
			{ConditionType: "health.slb.lbhealth.dev/web"}, {ConditionType: "service.readiness.alibabacloud.com/web"}, {ConditionType: "health.slb.lbhealth.dev/web"},
		}},
		Status: corev1.PodStatus{Conditions: conditions},
	}
	if waiting > 0 {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{
			Type: corev1.ContainersReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(noon.Add(-waiting)),
		})
	}
	return pod
}

func gate(service string, status corev1.ConditionStatus, reason string) corev1.PodCondition {
	return corev1.PodCondition{Type: corev1.PodConditionType("health.slb.lbhealth.dev/" + service), Status: status, Reason: reason, Message: "about " + reason}
}

// gatePods are pods in all states of a gate.
func gatePods() []corev1.Pod {
	api := gatedPod("api-1", 5*time.Minute, gate("api", corev1.ConditionFalse, v1alpha1.GateNotRegistered))
	api.Spec.ReadinessGates[0].ConditionType, api.Spec.ReadinessGates[2].ConditionType = "health.slb.lbhealth.dev/api", "example.com/other"
	terminating := gatedPod("web-9", time.Minute)
	terminating.DeletionTimestamp = new(metav1.NewTime(noon))
	return []corev1.Pod{
		gatedPod("web-4", 0), gatedPod("web-3", 5*time.Second),
		gatedPod("web-2", 2*time.Minute, gate("web", corev1.ConditionFalse, v1alpha1.GateBackendAbnormal)), api,
		gatedPod("web-1", time.Hour, gate("web", corev1.ConditionTrue, v1alpha1.GateBackendNormal)), terminating, {},
	}
}

func TestGatesAreListedLongestFirst(t *testing.T) {
	o, out := newOptions()
	if err := o.gateTable(closedGates(gatePods(), nil), true).write(out, false); err != nil {
		t.Fatal(err)
	}
	want := `NAMESPACE   POD     SERVICE   REASON               WAITING   MESSAGE
prod        api-1   api       NotRegistered        5m        about NotRegistered
prod        web-2   web       BackendAbnormal      2m        about BackendAbnormal
prod        web-3   web       -                    5s        the operator has not written a reason: it does so after 10 s, if it runs with --readiness-gates
prod        web-4   web       ContainersNotReady   -         the gate is decided on once the containers are ready
`
	if out.String() != want {
		t.Errorf("got\n%s", out)
	}
	var names []string
	for _, g := range closedGates(gatePods(), []string{"api", "other"}) {
		names = append(names, g.pod.Name)
	}
	if strings.Join(names, " ") != "api-1" {
		t.Errorf("of Service api, got %s", names)
	}
}

// podServer is an API server with pods, in pages of two.
type podServer struct {
	mu       sync.Mutex
	pods     []corev1.Pod
	selector string
	patches  map[string]string
	status   map[string]int // of the response to a patch, by pod
}

func (s *podServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if r.Method == http.MethodPatch {
		name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/api/v1/namespaces/prod/pods/"), "/status")
		body, _ := io.ReadAll(r.Body)
		s.patches[name] = r.Header.Get("Content-Type") + " " + string(body)
		code := max(s.status[name], http.StatusOK)
		w.WriteHeader(code)
		var reply any = corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}}
		if code != http.StatusOK {
			reply = metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure, Code: int32(code), Reason: map[int]metav1.StatusReason{403: metav1.StatusReasonForbidden, 404: metav1.StatusReasonNotFound, 409: metav1.StatusReasonConflict}[code], Message: "refused"}
		}
		_ = json.NewEncoder(w).Encode(reply)
		return
	}
	s.selector = r.URL.Query().Get("fieldSelector")
	list := corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}, Items: s.pods[:2]}
	if r.URL.Query().Get("continue") == "" {
		list.Continue = "more"
	} else {
		list.Items = s.pods[2:]
	}
	_ = json.NewEncoder(w).Encode(list)
}

func newPodServer(t *testing.T, status map[string]int) (*podServer, *options, func() string) {
	s := &podServer{pods: gatePods(), patches: map[string]string{}, status: status}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	o, out := newOptions()
	o.flags.APIServer, o.flags.Namespace = &server.URL, new("prod")
	return s, o, out.String
}

func TestGatesAreOpened(t *testing.T) {
	s, o, out := newPodServer(t, map[string]int{"web-3": http.StatusNotFound})
	if err := runOpenGates(context.Background(), o, "web"); err != nil {
		t.Fatal(err)
	}
	if want := "pod/web-2: health.slb.lbhealth.dev/web opened\npod/web-4: health.slb.lbhealth.dev/web opened\n"; out() != want {
		t.Errorf("got %q", out())
	}
	if len(s.patches) != 3 || s.selector != "status.phase!=Succeeded,status.phase!=Failed" {
		t.Errorf("%d patches, selector %s", len(s.patches), s.selector)
	}
	for _, part := range []string{"application/strategic-merge-patch+json ", `"uid":"uid-web-2"`, `"type":"health.slb.lbhealth.dev/web"`, `"status":"True"`, `"reason":"Disabled"`} {
		if !strings.Contains(s.patches["web-2"], part) {
			t.Errorf("the patch lacks %s: %s", part, s.patches["web-2"])
		}
	}
}

func TestOpenReportsWhatItCouldNotOpen(t *testing.T) {
	_, o, out := newPodServer(t, map[string]int{"web-2": http.StatusConflict})
	err := runOpenGates(context.Background(), o, "web")
	if err == nil || !strings.Contains(err.Error(), "pod web-2: ") || strings.Count(out(), "opened") != 2 {
		t.Errorf("%v, and %q", err, out())
	}
	_, o, _ = newPodServer(t, map[string]int{"web-2": http.StatusForbidden})
	if err := runOpenGates(context.Background(), o, "web"); err == nil || !strings.Contains(err.Error(), "permission to patch pods/status") {
		t.Error(err)
	}
	_, o, _ = newPodServer(t, nil)
	if err := runOpenGates(context.Background(), o, "none"); err == nil || err.Error() != "no pod in namespace prod has a closed readiness gate for Service none" {
		t.Error(err)
	}
}
