// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

const resource = "loadbalancerhealths"

var scheme = newScheme()

func newScheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, corev1.AddToScheme} {
		if err := add(s); err != nil {
			panic(err) // the list of types is constant
		}
	}
	return s
}

// client reads the objects of a namespace, and requests observations. namespace
// is "" for all.
type client struct {
	rest       rest.Interface
	host       string
	namespace  string
	timeout    time.Duration // --request-timeout; 0: none
	connection *connection
}

func (o *options) client() (*client, error) { return o.clientOf("/apis", v1alpha1.GroupVersion) }

// clientOf returns a client of the kinds of one API group.
func (o *options) clientOf(path string, group schema.GroupVersion) (*client, error) {
	config, err := o.flags.ToRESTConfig()
	if err != nil {
		return nil, err
	}
	config = rest.CopyConfig(config)
	config.APIPath, config.GroupVersion = path, &group
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	config.UserAgent = "kubectl-lbh/" + version
	c := &client{host: config.Host, timeout: config.Timeout, connection: &connection{}}
	o.connection = c.connection
	config.Wrap(c.connection.wrap)
	if c.rest, err = rest.RESTClientFor(config); err != nil {
		return nil, err
	}
	if o.allNamespaces {
		return c, nil
	}
	c.namespace, _, err = o.flags.ToRawKubeConfigLoader().Namespace()
	return c, err
}

// object returns a client, and the object with a name.
func (o *options) object(ctx context.Context, name string) (*client, *v1alpha1.LoadBalancerHealth, error) {
	c, err := o.client()
	if err != nil {
		return nil, nil, err
	}
	found, err := c.get(ctx, name)
	return c, found, err
}

func (c *client) list(ctx context.Context, filter metav1.ListOptions) (*v1alpha1.LoadBalancerHealthList, error) {
	list := &v1alpha1.LoadBalancerHealthList{}
	err := c.rest.Get().NamespaceIfScoped(c.namespace, c.namespace != "").Resource(resource).
		VersionedParams(&filter, metav1.ParameterCodec).Do(ctx).Into(list)
	return list, c.explain(err, "view")
}

func (c *client) get(ctx context.Context, name string) (*v1alpha1.LoadBalancerHealth, error) {
	object := &v1alpha1.LoadBalancerHealth{}
	err := c.rest.Get().Namespace(c.namespace).Resource(resource).Name(name).Do(ctx).Into(object)
	return object, c.explain(err, "view")
}

// requestObservation sets the request annotation of an object.
func (c *client) requestObservation(ctx context.Context, name, value string) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"annotations": map[string]string{v1alpha1.ObserveRequestedAtAnnotation: value},
	}})
	if err != nil {
		return err
	}
	err = c.rest.Patch(types.MergePatchType).Namespace(c.namespace).Resource(resource).Name(name).Body(patch).Do(ctx).Error()
	return c.explain(err, "edit")
}

// listWatch is the ListerWatcher of an informer.
func (c *client) listWatch(edit func(*metav1.ListOptions)) *cache.ListWatch {
	return cache.NewFilteredListWatchFromClient(c.rest, resource, c.namespace, edit)
}

// waitFor calls step with each state of an object until step returns true or an
// error, or the object is deleted.
func (c *client) waitFor(ctx context.Context, name string, step func(*v1alpha1.LoadBalancerHealth) (bool, error)) error {
	lw := c.listWatch(func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("metadata.name", name).String()
	})
	errDeleted := fmt.Errorf("%s was deleted", name)
	// The object may have been deleted before the watch began.
	exists := func(store cache.Store) (bool, error) {
		if len(store.ListKeys()) == 0 {
			return false, errDeleted
		}
		return false, nil
	}
	_, err := watchtools.UntilWithSync(ctx, lw, &v1alpha1.LoadBalancerHealth{}, exists, func(event watch.Event) (bool, error) {
		object, ok := event.Object.(*v1alpha1.LoadBalancerHealth)
		switch {
		case !ok:
			return false, nil
		case event.Type == watch.Deleted:
			return false, errDeleted
		default:
			return step(object)
		}
	})
	return err
}
