// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// statusServer is an API server that records one write of a status.
type statusServer struct {
	code     int
	response string

	method, path, query, accept, contentType string
	body                                     []byte
}

func (s *statusServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.method, s.path, s.query = r.Method, r.URL.Path, r.URL.RawQuery
	s.accept, s.contentType = r.Header.Get("Accept"), r.Header.Get("Content-Type")
	s.body, _ = io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(s.code)
	_, _ = io.WriteString(w, s.response)
}

// client returns a client of the server.
func (s *statusServer) client(t *testing.T) *StatusClient {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	restClient, err := rest.RESTClientFor(&rest.Config{
		Host: server.URL, APIPath: "/apis",
		ContentConfig: rest.ContentConfig{GroupVersion: &v1alpha1.GroupVersion, NegotiatedSerializer: serializer.NewCodecFactory(clientgoscheme.Scheme).WithoutConversion()},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &StatusClient{REST: restClient}
}

const storedMetadata = `{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"web","namespace":"prod","resourceVersion":"8","managedFields":[]}}`

func TestStatusWriteIsPUTOfStatusAlone(t *testing.T) {
	server := &statusServer{code: http.StatusOK, response: storedMetadata}
	object, next := newObject(), statusWithRows(20, withAbnormal(1))
	version, err := server.client(t).UpdateStatus(t.Context(), &object, &next)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "the new version", version, "8")
	equal(t, "the method", server.method, http.MethodPut)
	equal(t, "the path", server.path, "/apis/slb.lbhealth.dev/v1alpha1/namespaces/prod/loadbalancerhealths/web/status")
	equal(t, "the query", server.query, "fieldValidation=Ignore")
	equal(t, "the form of the response", server.accept, "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1")
	equal(t, "the form of the body", server.contentType, "application/json")
	var body map[string]json.RawMessage
	if err := json.Unmarshal(server.body, &body); err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string]string{
		"apiVersion": `"slb.lbhealth.dev/v1alpha1"`, "kind": `"LoadBalancerHealth"`,
		"metadata": `{"namespace":"prod","name":"web","resourceVersion":"7"}`,
	} {
		equal(t, field, string(body[field]), want)
	}
	var status v1alpha1.LoadBalancerHealthStatus
	if err := json.Unmarshal(body["status"], &status); err != nil || !apiequality.Semantic.DeepEqual(status, next) {
		t.Errorf("%v: the status is %s", err, body["status"])
	}
	equal(t, "the number of fields", len(body), 4)
}

func TestStatusWriteIsPatchWithNewerCRD(t *testing.T) {
	server := &statusServer{code: http.StatusOK, response: storedMetadata}
	client := server.client(t)
	client.Newer = func() bool { return true }
	object := newObject(func(o *v1alpha1.LoadBalancerHealth) { o.Status = statusWithRows(20) })
	next := statusWithRows(20, withAbnormal(1))
	version, err := client.UpdateStatus(t.Context(), &object, &next)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "the new version", version, "8")
	equal(t, "the method", server.method, http.MethodPatch)
	equal(t, "the form of the response", server.accept, acceptMetadata)
	equal(t, "the form of the body", server.contentType, "application/json-patch+json")
	var operations []operation
	if err := json.Unmarshal(server.body, &operations); err != nil {
		t.Fatal(err)
	}
	equal(t, "the number of operations", len(operations), 2)
	equal(t, "the precondition", operations[0], operation{Op: "replace", Path: "/metadata/resourceVersion", Value: "7"})
	equal(t, "the changed row", operations[1].Path, "/status/backends/1")
	if len(server.body) > 500 {
		t.Errorf("the patch has %d bytes: %s", len(server.body), server.body)
	}
}

func TestStatusWriteErrors(t *testing.T) {
	for name, test := range map[string]struct {
		code     int
		response string
		is       func(error) bool
	}{
		"a conflict": {http.StatusConflict, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Conflict","code":409}`, apierrors.IsConflict},
		"not found":  {http.StatusNotFound, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`, apierrors.IsNotFound},
		"a response that is cut off": {http.StatusOK, storedMetadata[:50], func(err error) bool {
			return strings.Contains(err.Error(), "the response to a status write")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			server := &statusServer{code: test.code, response: test.response}
			object, next := newObject(), statusWithRows(1)
			if version, err := server.client(t).UpdateStatus(t.Context(), &object, &next); err == nil || !test.is(err) || version != "" {
				t.Errorf("got %q, %v", version, err)
			}
		})
	}
}
