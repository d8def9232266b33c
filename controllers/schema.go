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

// How often the CustomResourceDefinition is compared again: soon while it is
// outdated or could not be read, because a new one is about to be applied.
const (
	schemaRecheck         = 10 * time.Minute
	schemaRecheckOutdated = 30 * time.Second
)

// The fields that objects with serviceRef cannot do without.
const (
	fieldServiceRef          = "spec.serviceRef"
	fieldServiceLoadBalancer = "status.serviceLoadBalancer"
)

// crdRemedy is what to do about an outdated CustomResourceDefinition.
const crdRemedy = "apply the CustomResourceDefinition of the operator's version: kubectl apply --server-side -f config/crd/bases/slb.lbhealth.dev_loadbalancerhealths.yaml"

// Schema knows which fields that the operator writes the CustomResourceDefinition
// of the cluster lacks. The API server drops them from what is written, so that a
// status would never be found as it was written. nil lacks nothing.
type Schema struct {
	// Read reads the OpenAPI v3 document of the API. Whoever is authenticated may
	// (ClusterRole system:discovery), so it takes no right of the operator's own.
	Read func(ctx context.Context) ([]byte, error)
	// Log takes what is found.
	Log logr.Logger

	lacks atomic.Pointer[lacking] // nil: not known yet, or nothing
	known atomic.Bool
	// unread tells that it was said already that the document cannot be read.
	unread bool
}

// lacking is what a CustomResourceDefinition lacks.
type lacking struct {
	// paths are the fields, as in status.listeners[].state.
	paths []string
	// status is the same below status.
	status fieldSet
}

// fieldSet are fields of a struct by index; an empty one below stands for the
// whole field.
type fieldSet map[int]fieldSet

// ReadOpenAPI reads the document that Schema compares with.
func ReadOpenAPI(client discovery.DiscoveryInterface) func(context.Context) ([]byte, error) {
	return func(ctx context.Context) ([]byte, error) {
		ctx, cancel := context.WithTimeout(ctx, kubernetesTimeout)
		defer cancel()
		return client.RESTClient().Get().AbsPath("/openapi/v3/apis/"+v1alpha1.GroupVersion.String()).SetHeader("Accept", "application/json").Do(ctx).Raw()
	}
}

// Start implements manager.Runnable: it compares again now and then until ctx ends.
func (s *Schema) Start(ctx context.Context) error {
	for {
		wait := schemaRecheck
		if s.Outdated() || !s.known.Load() {
			wait = schemaRecheckOutdated
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
			s.Check(ctx)
		}
	}
}

// NeedLeaderElection implements manager.LeaderElectionRunnable: a standby is to know when it leads.
func (*Schema) NeedLeaderElection() bool { return false }

// Check compares with the CustomResourceDefinition as it is now, and logs what
// is new. Where it cannot be read, what was known before holds.
func (s *Schema) Check(ctx context.Context) {
	document, err := s.Read(ctx)
	if err == nil {
		err = s.compare(document)
	}
	if err != nil && ctx.Err() == nil && !s.known.Load() && !s.unread {
		s.unread = true
		s.Log.Info("the CustomResourceDefinition could not be compared with what the operator writes; that is tried again", "reason", err.Error())
	}
}

func (s *Schema) compare(document []byte) error {
	is, err := lackingIn(document)
	if err != nil {
		return err
	}
	was := s.lacks.Swap(is)
	s.known.Store(true)
	switch {
	case is == nil && was != nil:
		s.Log.Info("the CustomResourceDefinition has every field that the operator writes now")
	case is != nil && (was == nil || !slices.Equal(is.paths, was.paths)):
		s.Log.Error(nil, "the CustomResourceDefinition "+crdName+" is older than the operator and lacks fields that it writes, which are left out: "+crdRemedy, "fields", is.paths)
	}
	return nil
}

const crdName = "loadbalancerhealths.slb.lbhealth.dev"

// Outdated tells whether the CustomResourceDefinition lacks a field.
func (s *Schema) Outdated() bool { return s != nil && s.lacks.Load() != nil }

// Lacks tells whether a field, one above it or one below it is missing.
func (s *Schema) Lacks(path string) bool {
	if s == nil {
		return false
	}
	is := s.lacks.Load()
	return is != nil && slices.ContainsFunc(is.paths, func(missing string) bool {
		return strings.HasPrefix(path+".", missing+".") || strings.HasPrefix(missing, path+".")
	})
}

// outdatedFor says that an object cannot do without a field that is missing.
func outdatedFor(field string) string {
	return "the CustomResourceDefinition " + crdName + " is older than the operator and has no " + field + ": " + crdRemedy
}

// Fit leaves out of a status what the API server would drop. What the status
// shares with others is not changed.
func (s *Schema) Fit(status *v1alpha1.LoadBalancerHealthStatus) {
	if s == nil {
		return
	}
	if is := s.lacks.Load(); is != nil {
		leaveOut(reflect.ValueOf(status).Elem(), is.status)
	}
}

// leaveOut sets fields of a struct to zero, in copies of what pointers and
// slices below it hold.
func leaveOut(v reflect.Value, fields fieldSet) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			held := reflect.New(v.Type().Elem())
			held.Elem().Set(v.Elem())
			v.Set(held)
			leaveOut(held.Elem(), fields)
		}
	case reflect.Slice:
		held := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(held, v)
		v.Set(held)
		for i := range held.Len() {
			leaveOut(held.Index(i), fields)
		}
	default:
		for i, below := range fields {
			if len(below) == 0 {
				v.Field(i).SetZero()
			} else {
				leaveOut(v.Field(i), below)
			}
		}
	}
}

// property is the part of an OpenAPI schema that tells which fields there are.
type property struct {
	Properties map[string]*property      `json:"properties"`
	Items      *property                 `json:"items"`
	Open       bool                      `json:"x-kubernetes-preserve-unknown-fields"`
	Kinds      []metav1.GroupVersionKind `json:"x-kubernetes-group-version-kind"`
}

// lackingIn compares an OpenAPI v3 document with the fields that the operator
// writes: the status, and spec.serviceRef of the objects that Services ask for.
// nil: it has them all.
func lackingIn(document []byte) (*lacking, error) {
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
		if !slices.Contains(schema.Kinds, ours) {
			continue
		}
		is := &lacking{}
		is.status = is.compare("status", reflect.TypeFor[v1alpha1.LoadBalancerHealthStatus](), schema.Properties["status"])
		if spec := schema.Properties["spec"]; spec != nil {
			is.compare(fieldServiceRef, reflect.TypeFor[v1alpha1.ServiceReference](), spec.Properties["serviceRef"])
		}
		if len(is.paths) == 0 {
			return nil, nil
		}
		return is, nil
	}
	return nil, fmt.Errorf("the OpenAPI document of %s has no %s", v1alpha1.GroupVersion, v1alpha1.Kind)
}

// compare notes which fields of a type a schema lacks, and returns them by index.
func (l *lacking) compare(path string, of reflect.Type, schema *property) fieldSet {
	switch {
	case schema == nil:
		l.paths = append(l.paths, path)
		return nil
	case of.Kind() == reflect.Pointer:
		return l.compare(path, of.Elem(), schema)
	case of.Kind() == reflect.Slice:
		return l.compare(path+"[]", of.Elem(), schema.Items)
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
		before := len(l.paths)
		if part := l.compare(in, field.Type, found); len(l.paths) > before {
			missing[i] = part
		}
	}
	return missing
}
