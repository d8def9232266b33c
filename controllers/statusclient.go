// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

const (
	// kubernetesTimeout bounds one request to Kubernetes. While etcd is down the
	// API server blocks a write, and with it a worker, for a minute.
	kubernetesTimeout = 10 * time.Second
	// acceptMetadata requests a response without spec and status: the watch delivers
	// both anyway.
	acceptMetadata = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
)

// StatusClient sends status writes in the form that costs the API server least: a
// PUT of the status. For a JSON patch, the API server encodes the stored object,
// applies the patch and decodes the result: docs/benchmarks.md compares the forms.
type StatusClient struct {
	// REST is a client of the API group.
	REST rest.Interface
	// Newer reports whether the CustomResourceDefinition has fields of the status that
	// the operator does not know. A PUT would delete them, so the client sends a JSON
	// patch of the fields that differ; nil: there are none.
	Newer func() bool
}

// NewStatusClient returns a StatusClient with the configuration of a manager.
func NewStatusClient(mgr manager.Manager, newer func() bool) (*StatusClient, error) {
	kind, config := v1alpha1.GroupVersion.WithKind(v1alpha1.Kind), rest.CopyConfig(mgr.GetConfig())
	if config.WarningHandlerWithContext == nil { // as controller-runtime's client does
		config.WarningHandlerWithContext = log.NewKubeAPIWarningLogger(log.KubeAPIWarningLoggerOptions{})
	}
	client, err := apiutil.RESTClientForGVK(kind, true, false, config, serializer.NewCodecFactory(mgr.GetScheme()), mgr.GetHTTPClient())
	if err != nil {
		return nil, fmt.Errorf("a client of %s: %w", v1alpha1.GroupVersion, err)
	}
	return &StatusClient{REST: client, Newer: newer}, nil
}

// statusUpdate is the body of a PUT. The API server ignores spec and all other
// metadata in a write of the status.
type statusUpdate struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        updatedMetadata                    `json:"metadata"`
	Status          *v1alpha1.LoadBalancerHealthStatus `json:"status"`
}

type updatedMetadata struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// ResourceVersion is the precondition of the write.
	ResourceVersion string `json:"resourceVersion"`
}

// UpdateStatus implements StatusUpdater.
func (c *StatusClient) UpdateStatus(ctx context.Context, object *v1alpha1.LoadBalancerHealth, next *v1alpha1.LoadBalancerHealthStatus) (version string, err error) {
	ctx, cancel := context.WithTimeout(ctx, kubernetesTimeout)
	defer cancel()
	request, body, err := c.request(object, next)
	if err != nil {
		return "", fmt.Errorf("encoding the status: %w", err)
	}
	// Schema reports unknown fields. By default the API server looks for them in every
	// write, to warn of them.
	data, err := request.Namespace(object.Namespace).Resource("loadbalancerhealths").Name(object.Name).SubResource("status").
		Param("fieldValidation", metav1.FieldValidationIgnore).SetHeader("Accept", acceptMetadata).Body(body).DoRaw(ctx)
	if err != nil {
		return "", err
	}
	var response struct {
		Metadata updatedMetadata `json:"metadata"`
	}
	if err := json.Unmarshal(data, &response); err != nil {
		return "", fmt.Errorf("the response to a status write: %w", err)
	}
	return response.Metadata.ResourceVersion, nil
}

// request returns a request in the cheapest form that loses no field, and its body.
func (c *StatusClient) request(object *v1alpha1.LoadBalancerHealth, next *v1alpha1.LoadBalancerHealthStatus) (*rest.Request, []byte, error) {
	if c.Newer != nil && c.Newer() {
		precondition := operation{Op: "replace", Path: "/metadata/resourceVersion", Value: object.ResourceVersion}
		body, err := json.Marshal(append([]operation{precondition}, statusPatch(&object.Status, next)...))
		return c.REST.Patch(types.JSONPatchType), body, err
	}
	body, err := json.Marshal(statusUpdate{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.Kind},
		Metadata: updatedMetadata{Namespace: object.Namespace, Name: object.Name, ResourceVersion: object.ResourceVersion},
		Status:   next,
	})
	return c.REST.Put().SetHeader("Content-Type", runtime.ContentTypeJSON), body, err
}
