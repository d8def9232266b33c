// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/harness"
)

const (
	resource = "loadbalancerhealths"
	// acceptMetadata makes the API server respond with the metadata only.
	acceptMetadata = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
	// setupConcurrency is for requests that are not measured.
	setupConcurrency = 32
)

// An api is a typed client, and a bare one that counts its bytes on the wire.
type api struct {
	client.Client
	raw            *rest.RESTClient
	sent, received atomic.Int64
}

func newAPI(config *rest.Config) (*api, error) {
	a := &api{}
	var err error
	if a.Client, err = harness.NewClient(config); err != nil {
		return nil, fmt.Errorf("a client: %w", err)
	}
	bare := rest.CopyConfig(config)
	bare.APIPath, bare.GroupVersion = "/apis", &v1alpha1.GroupVersion
	bare.NegotiatedSerializer = clientgoscheme.Codecs.WithoutConversion()
	bare.Dial = a.dial
	if a.raw, err = rest.RESTClientFor(bare); err != nil {
		return nil, fmt.Errorf("a bare client: %w", err)
	}
	return a, nil
}

// write sends a status in one form, and returns the response undecoded.
func (a *api) write(ctx context.Context, form writeForm, name string, body []byte) ([]byte, error) {
	request := a.raw.Patch(form.kind)
	if form.kind == "" {
		request = a.raw.Verb(http.MethodPut).SetHeader("Content-Type", "application/json")
	}
	request.SetHeader("Accept", "application/json")
	if form.metadataOnly {
		request.SetHeader("Accept", acceptMetadata)
	}
	if form.kind == types.ApplyYAMLPatchType {
		request.Param("fieldManager", "bench").Param("force", "true")
	}
	return request.Namespace(namespace).Resource(resource).Name(name).SubResource("status").Body(body).DoRaw(ctx)
}

// create creates the namespace and the objects, many at a time.
func (a *api) create(ctx context.Context, objects []*v1alpha1.LoadBalancerHealth) error {
	err := a.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	return parallel(setupConcurrency, objects, func(_ int, object *v1alpha1.LoadBalancerHealth) error {
		return a.Create(ctx, object)
	})
}

// clear deletes every object, one by one: a single request for ten thousand
// would exceed the API server's timeout. The objects have no finalizers, so none
// exists when it returns.
func (a *api) clear(ctx context.Context) error {
	objects, err := a.list(ctx)
	if err != nil {
		return err
	}
	return parallel(setupConcurrency, objects, func(_ int, object v1alpha1.LoadBalancerHealth) error {
		return client.IgnoreNotFound(a.Delete(ctx, &object))
	})
}

func (a *api) list(ctx context.Context) ([]v1alpha1.LoadBalancerHealth, error) {
	var list v1alpha1.LoadBalancerHealthList
	if err := a.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("list the objects: %w", err)
	}
	return list.Items, nil
}

func (a *api) dial(ctx context.Context, network, address string) (net.Conn, error) {
	connection, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &countedConn{Conn: connection, api: a}, nil
}

type countedConn struct {
	net.Conn
	api *api
}

func (c *countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.api.received.Add(int64(n))
	return n, err
}

func (c *countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.api.sent.Add(int64(n))
	return n, err
}

// requested counts requests that the API server has served.
type requested struct {
	creations    int // of objects
	statusWrites int // including those without a change
	events       int // created or patched
	writes       int // of objects, statuses, Services and Events
}

// since returns the requests since an earlier count.
func (r requested) since(earlier requested) requested {
	return requested{
		creations: r.creations - earlier.creations, statusWrites: r.statusWrites - earlier.statusWrites,
		events: r.events - earlier.events, writes: r.writes - earlier.writes,
	}
}

func (a *api) requested(ctx context.Context) (requested, error) {
	served, err := harness.ScrapeAPIServer(ctx, a.raw)
	const family = "apiserver_request_total"
	counted := requested{
		creations:    int(served.Sum(family, `resource="`+resource+`"`, `verb="POST"`)),
		statusWrites: int(served.Sum(family, `resource="`+resource+`"`, `subresource="status"`)),
		events:       int(served.Sum(family, `group="events.k8s.io"`, `resource="events"`)),
	}
	for _, written := range []string{resource, "services", "events"} {
		for _, verb := range []string{"POST", "PUT", "PATCH", "APPLY", "DELETE"} {
			counted.writes += int(served.Sum(family, `resource="`+written+`"`, `verb="`+verb+`"`))
		}
	}
	return counted, err
}
