// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// How often the operator compares the CustomResourceDefinition again: sooner
// while it is outdated or could not be read, so that the operator finds a new one.
const (
	schemaRecheck         = 10 * time.Minute
	schemaRecheckOutdated = 30 * time.Second
)

// The fields that objects with serviceRef or ingressRef require.
const (
	fieldServiceRef          = "spec.serviceRef"
	fieldServiceLoadBalancer = "status.serviceLoadBalancer"
	fieldIngressLoadBalancer = "status.ingressLoadBalancer"
)

// crdRemedy is what to do about an outdated CustomResourceDefinition.
const crdRemedy = "apply the CustomResourceDefinition of the operator's version: kubectl apply --server-side -f config/crd/bases/slb.lbhealth.dev_loadbalancerhealths.yaml"

// Schema compares the fields that the operator writes with those of the
// cluster's CustomResourceDefinition. The API server drops a field that it does
// not know, so that a stored status would always differ from the one that the
// operator wrote. A nil Schema lacks no field.
type Schema struct {
	// Read reads the OpenAPI v3 document of the API. Every authenticated user may
	// (ClusterRole system:discovery), so the operator needs no role for it.
	Read func(ctx context.Context) ([]byte, error)
	// Log reports a change.
	Log logr.Logger

	missing atomic.Pointer[missingFields] // nil: none, or not compared yet
	newer   atomic.Bool
	// compared is true after the first comparison.
	compared atomic.Bool
	// failureLogged is true after Check has logged that it cannot read the document.
	failureLogged bool
}

// missingFields are the fields that a CustomResourceDefinition lacks.
type missingFields struct {
	// paths are all of them, such as status.listeners[].state.
	paths []string
	// status are those below status.
	status fieldSet
}

// fieldSet is a set of struct fields by index; the value is a subset of the
// field's own fields, empty for the whole field.
type fieldSet map[int]fieldSet

// ReadOpenAPI returns a function that reads the OpenAPI v3 document of the API.
func ReadOpenAPI(client discovery.DiscoveryInterface) func(context.Context) ([]byte, error) {
	return func(ctx context.Context) ([]byte, error) {
		ctx, cancel := context.WithTimeout(ctx, kubernetesTimeout)
		defer cancel()
		return client.RESTClient().Get().AbsPath("/openapi/v3/apis/"+v1alpha1.GroupVersion.String()).SetHeader("Accept", "application/json").Do(ctx).Raw()
	}
}

// Start implements manager.Runnable: it checks periodically until ctx is done.
func (s *Schema) Start(ctx context.Context) error {
	for {
		interval := schemaRecheck
		if s.Outdated() || !s.compared.Load() {
			interval = schemaRecheckOutdated
		}
		timer := time.NewTimer(interval)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
			s.Check(ctx)
		}
	}
}

// NeedLeaderElection implements manager.LeaderElectionRunnable: a standby checks
// too, so that it knows the result when it becomes the leader.
func (*Schema) NeedLeaderElection() bool { return false }

// Check compares the operator with the current CustomResourceDefinition, and logs
// a change. The last result stays in use while the document cannot be read.
func (s *Schema) Check(ctx context.Context) {
	document, err := s.Read(ctx)
	if err == nil {
		err = s.compare(document)
	}
	if err != nil && ctx.Err() == nil && !s.compared.Load() && !s.failureLogged {
		s.failureLogged = true
		s.Log.Error(err, "the CustomResourceDefinition could not be compared with what the operator writes; the operator retries")
	}
}

func (s *Schema) compare(document []byte) error {
	schema, err := schemaIn(document)
	if err != nil {
		return err
	}
	missing, newer := missingFieldsIn(schema), hasUnknownField(schema.Properties["status"], reflect.TypeFor[v1alpha1.LoadBalancerHealthStatus]())
	if s.newer.Swap(newer) != newer {
		s.Log.Info("compared the CustomResourceDefinition: the operator patches statuses if it has fields that the operator does not know", "unknownFields", newer)
	}
	previous := s.missing.Swap(missing)
	s.compared.Store(true)
	switch {
	case missing == nil && previous != nil:
		s.Log.Info("the CustomResourceDefinition now has every field that the operator writes")
	case missing != nil && (previous == nil || !slices.Equal(missing.paths, previous.paths)):
		s.Log.Error(nil, "the CustomResourceDefinition "+crdName+" is older than the operator and lacks fields, which the operator omits: "+crdRemedy, "fields", missing.paths)
	}
	return nil
}

const crdName = "loadbalancerhealths.slb.lbhealth.dev"

// Outdated reports whether the CustomResourceDefinition lacks a field.
func (s *Schema) Outdated() bool { return s != nil && s.missing.Load() != nil }

// Newer reports whether the CustomResourceDefinition has fields of the status that the
// operator does not know, as after a downgrade of the operator alone.
func (s *Schema) Newer() bool { return s != nil && s.newer.Load() }

// Lacks reports whether a field, one of its parents or one of its children is missing.
func (s *Schema) Lacks(path string) bool {
	if s == nil {
		return false
	}
	missing := s.missing.Load()
	return missing != nil && slices.ContainsFunc(missing.paths, func(p string) bool {
		return strings.HasPrefix(path+".", p+".") || strings.HasPrefix(p, path+".")
	})
}

// outdatedFor is the message about an object that requires a missing field.
func outdatedFor(field string) string {
	return "the CustomResourceDefinition " + crdName + " is older than the operator and has no " + field + ": " + crdRemedy
}

// Fit clears the fields of a status that the API server would drop. It copies
// what the status shares with others before it changes it.
func (s *Schema) Fit(status *v1alpha1.LoadBalancerHealthStatus) {
	if s == nil {
		return
	}
	if missing := s.missing.Load(); missing != nil {
		clearFields(reflect.ValueOf(status).Elem(), missing.status)
	}
}

// clearFields sets fields of a struct to zero, in copies of the values behind its
// pointers and slices.
func clearFields(v reflect.Value, fields fieldSet) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			clone := reflect.New(v.Type().Elem())
			clone.Elem().Set(v.Elem())
			v.Set(clone)
			clearFields(clone.Elem(), fields)
		}
	case reflect.Slice:
		clone := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(clone, v)
		v.Set(clone)
		for i := range clone.Len() {
			clearFields(clone.Index(i), fields)
		}
	default:
		for i, below := range fields {
			if len(below) == 0 {
				v.Field(i).SetZero()
			} else {
				clearFields(v.Field(i), below)
			}
		}
	}
}

// property is the part of an OpenAPI schema that lists the fields.
type property struct {
	Properties map[string]*property `json:"properties"`
	Items      *property            `json:"items"`
	// Open schemas accept fields that they do not list.
	Open  bool                      `json:"x-kubernetes-preserve-unknown-fields"`
	Kinds []metav1.GroupVersionKind `json:"x-kubernetes-group-version-kind"`
}

// schemaIn returns the schema of the objects in an OpenAPI v3 document.
func schemaIn(document []byte) (*property, error) {
	var openAPI struct {
		Components struct {
			Schemas map[string]*property `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(document, &openAPI); err != nil {
		return nil, fmt.Errorf("reading the OpenAPI document: %w", err)
	}
	ours := metav1.GroupVersionKind{Group: v1alpha1.GroupVersion.Group, Version: v1alpha1.GroupVersion.Version, Kind: v1alpha1.Kind}
	for _, schema := range openAPI.Components.Schemas {
		if slices.Contains(schema.Kinds, ours) {
			return schema, nil
		}
	}
	return nil, fmt.Errorf("the OpenAPI document of %s has no %s", v1alpha1.GroupVersion, v1alpha1.Kind)
}

// missingFieldsIn compares a schema with the fields that the operator writes: the
// status, and spec.serviceRef of the objects that it creates for Services. It returns
// nil when no field is missing.
func missingFieldsIn(schema *property) *missingFields {
	missing := &missingFields{}
	missing.status = missing.compare("status", reflect.TypeFor[v1alpha1.LoadBalancerHealthStatus](), schema.Properties["status"])
	if spec := schema.Properties["spec"]; spec != nil {
		missing.compare(fieldServiceRef, reflect.TypeFor[v1alpha1.ServiceReference](), spec.Properties["serviceRef"])
	}
	if len(missing.paths) == 0 {
		return nil
	}
	return missing
}

// hasUnknownField reports whether a schema allows a field that a type does not have.
func hasUnknownField(schema *property, of reflect.Type) bool {
	switch {
	case schema == nil:
		return false
	case of.Kind() == reflect.Pointer:
		return hasUnknownField(schema, of.Elem())
	case of.Kind() == reflect.Slice:
		return hasUnknownField(schema.Items, of.Elem())
	}
	if schema.Open {
		return true
	}
	known := map[string]reflect.Type{}
	if of.Kind() == reflect.Struct {
		for _, field := range reflect.VisibleFields(of) { // also those of embedded structs
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			known[name] = field.Type
		}
	}
	for name, below := range schema.Properties {
		if of, found := known[name]; !found || hasUnknownField(below, of) {
			return true
		}
	}
	return false
}

// compare adds the paths of the fields of a type that a schema lacks, and
// returns these fields by index.
func (m *missingFields) compare(path string, of reflect.Type, schema *property) fieldSet {
	switch {
	case schema == nil:
		m.paths = append(m.paths, path)
		return nil
	case of.Kind() == reflect.Pointer:
		return m.compare(path, of.Elem(), schema)
	case of.Kind() == reflect.Slice:
		return m.compare(path+"[]", of.Elem(), schema.Items)
	case of.Kind() != reflect.Struct || of == reflect.TypeFor[metav1.Time]() || schema.Open:
		return nil
	}
	missing := fieldSet{}
	for i := range of.NumField() {
		field := of.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		in, found := path+"."+name, schema.Properties[name]
		if name == "" { // embedded
			in, found = path, schema
		}
		before := len(m.paths)
		if part := m.compare(in, field.Type, found); len(m.paths) > before {
			missing[i] = part
		}
	}
	return missing
}
