// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/harness"
)

const resource = "loadbalancerhealths"

var (
	cluster *harness.ControlPlane
	// typed is the client of a Go program; raw sends bytes unchanged.
	typed client.Client
	raw   *rest.RESTClient
)

func TestAPI(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "API")
}

var _ = BeforeSuite(func() {
	SetDefaultEventuallyTimeout(20 * time.Second)
	var err error
	cluster, err = harness.StartControlPlane(context.Background(), harness.ControlPlaneOptions{})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(cluster.Stop()).To(Succeed()) })

	scheme := runtime.NewScheme()
	Expect(clientgoscheme.AddToScheme(scheme)).To(Succeed())
	Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())
	typed, err = client.New(cluster.Config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())

	config := rest.CopyConfig(cluster.Config)
	config.GroupVersion = &v1alpha1.GroupVersion
	config.APIPath = "/apis"
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	raw, err = rest.RESTClientFor(config)
	Expect(err).NotTo(HaveOccurred())
})

// newNamespace creates a namespace for one spec.
func newNamespace(ctx context.Context) string {
	GinkgoHelper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "api-"}}
	Expect(typed.Create(ctx, namespace)).To(Succeed())
	return namespace.Name
}

// fields are the top-level fields of a spec in JSON; null omits one.
type fields map[string]string

const webID = "lb-bp1qjwo61pqz3ahltv0mw"

// specWith returns the smallest valid spec, with some fields replaced.
func specWith(edits fields) json.RawMessage {
	GinkgoHelper()
	spec := map[string]json.RawMessage{"loadBalancerId": json.RawMessage(`"` + webID + `"`), "regionId": json.RawMessage(`"cn-hangzhou"`)}
	for name, value := range edits {
		if spec[name] = json.RawMessage(value); value == "null" {
			delete(spec, name)
		}
	}
	return encode(spec)
}

func encode(value any) json.RawMessage {
	GinkgoHelper()
	encoded, err := json.Marshal(value)
	Expect(err).NotTo(HaveOccurred())
	return encoded
}

// create posts an object under strict validation.
func create(ctx context.Context, namespace, name string, spec json.RawMessage) error {
	return raw.Post().Namespace(namespace).Resource(resource).Param("fieldValidation", "Strict").
		SetHeader("Content-Type", "application/json").
		Body([]byte(encode(map[string]any{
			"apiVersion": v1alpha1.GroupVersion.String(), "kind": v1alpha1.Kind,
			"metadata": map[string]string{"name": name}, "spec": spec,
		}))).Do(ctx).Error()
}

// update patches the spec of an object under strict validation.
func update(ctx context.Context, namespace, name string, edits fields) error {
	patch := map[string]json.RawMessage{}
	for field, value := range edits {
		patch[field] = json.RawMessage(value)
	}
	return raw.Patch(types.MergePatchType).Namespace(namespace).Resource(resource).Name(name).
		Param("fieldValidation", "Strict").Body([]byte(encode(map[string]any{"spec": patch}))).Do(ctx).Error()
}

// stored reads an object as JSON.
func stored(ctx context.Context, namespace, name string) string {
	GinkgoHelper()
	body, err := raw.Get().Namespace(namespace).Resource(resource).Name(name).
		SetHeader("Accept", "application/json").Do(ctx).Raw()
	Expect(err).NotTo(HaveOccurred())
	return string(body)
}

// read reads an object with the typed client.
func read(ctx context.Context, namespace, name string) *v1alpha1.LoadBalancerHealth {
	GinkgoHelper()
	object := &v1alpha1.LoadBalancerHealth{}
	Expect(typed.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, object)).To(Succeed())
	return object
}

func kubectl(ctx context.Context, args ...string) (string, error) {
	command := exec.CommandContext(ctx, cluster.Kubectl(), append([]string{"--kubeconfig", cluster.Kubeconfig()}, args...)...)
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	err := command.Run()
	return strings.TrimSpace(output.String()), err
}
