// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/slb"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/perf/bench/textbook"
)

// workers are the programs that the operator is compared with. Each is a subcommand
// of this program that runs as its own process, so that CPU time and RSS are
// measured in the same way. A worker prints its result, if any, as JSON.
var workers = map[string]func(ctx context.Context, o workerOptions, out io.Writer) error{
	"bare-writer": bareWriterWorker,
	"caller":      callerWorker,
	"informer":    informerWorker,
	"naive":       naiveWorker,
	"textbook":    textbookWorker,
}

// workerOptions are the flags of a worker; each worker uses some of them.
type workerOptions struct {
	kubeconfig  string
	endpoint    string
	namespace   string // of the objects; "": all
	metrics     string // address that serves metrics
	concurrency int
	count       int     // of writes
	rate        float64 // per second; 0: as fast as possible
	duration    time.Duration
}

func runWorker(ctx context.Context, args []string, out io.Writer) error {
	work, ok := workers[args[0]]
	if !ok {
		return fmt.Errorf("%q is not a worker of the benchmark", args[0])
	}
	var o workerOptions
	fs := flag.NewFlagSet(args[0], flag.ContinueOnError)
	fs.StringVar(&o.kubeconfig, "kubeconfig", "", "")
	fs.StringVar(&o.endpoint, "endpoint", "", "")
	fs.StringVar(&o.namespace, "namespace", "", "")
	fs.StringVar(&o.metrics, "metrics", "0", "")
	fs.IntVar(&o.concurrency, "concurrency", operatorConcurrency, "")
	fs.IntVar(&o.count, "count", 1, "")
	fs.Float64Var(&o.rate, "rate", 0, "")
	fs.DurationVar(&o.duration, "duration", time.Second, "")
	if err := fs.Parse(args[1:]); err != nil {
		return err
	}
	return work(ctx, o, out)
}

// restConfig returns a configuration without client-side rate limiting.
func (o workerOptions) restConfig() (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = -1, 0
	return config, nil
}

// typed adds a scheme with the operator's types: typed objects have the smallest cache.
func (o workerOptions) typed() (*rest.Config, *runtime.Scheme, error) {
	config, err := o.restConfig()
	scheme := runtime.NewScheme()
	return config, scheme, errors.Join(err, v1alpha1.AddToScheme(scheme))
}

// host returns the endpoint as the SDK expects it.
func (o workerOptions) host() (string, error) {
	parsed, err := url.Parse(o.endpoint)
	if err != nil {
		return "", err
	}
	return parsed.Host, nil
}

func accessKey() (id, secret string) {
	return os.Getenv("ALIBABA_CLOUD_ACCESS_KEY_ID"), os.Getenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET")
}

// shared wraps one transport for all calls: the SDK modifies a bare
// *http.Transport on every call, but no other type.
type shared struct{ http.RoundTripper }

// newCaller returns a caller with a transport for all calls.
func (o workerOptions) newCaller() (textbook.Caller, error) {
	host, err := o.host()
	return textbook.Caller{
		Transport: shared{&http.Transport{MaxIdleConnsPerHost: o.concurrency, IdleConnTimeout: time.Minute}},
		Host:      host, Credentials: credentials.NewStaticAKCredentialsProvider(accessKey()),
	}, err
}

// callerWorker is the limit of observing: it calls the SDK in the cheapest safe way,
// and ignores the responses.
func callerWorker(ctx context.Context, o workerOptions, _ io.Writer) error {
	caller, err := o.newCaller()
	if err != nil {
		return err
	}
	return startAtRate(ctx, o.rate, int(o.rate*o.duration.Seconds()), func(int) error {
		request := slb.CreateDescribeHealthStatusRequest()
		request.RegionId, request.LoadBalancerId = region, callerBalancer
		return caller.Do(region, request, slb.CreateDescribeHealthStatusResponse())
	})
}

// informerWorker is the limit of RSS: only a typed cache of the objects, without
// managedFields, as the operator's.
func informerWorker(ctx context.Context, o workerOptions, _ io.Writer) error {
	config, scheme, err := o.typed()
	if err != nil {
		return err
	}
	c, err := cache.New(config, cache.Options{Scheme: scheme, DefaultTransform: cache.TransformStripManagedFields()})
	if err != nil {
		return err
	}
	if _, err := c.GetInformer(ctx, &v1alpha1.LoadBalancerHealth{}, cache.BlockUntilSynced(false)); err != nil {
		return err
	}
	return c.Start(ctx)
}

// textbookWorker runs the reconciler of package textbook with the operator's concurrency.
func textbookWorker(ctx context.Context, o workerOptions, _ io.Writer) error {
	clients := make(textbook.Clients, o.concurrency)
	for range o.concurrency {
		client, err := o.newClient()
		if err != nil {
			return err
		}
		clients <- client
	}
	return o.reconcile(ctx, clients.Read)
}

// naiveWorker runs the same reconciler, which reads everything for each status.
func naiveWorker(ctx context.Context, o workerOptions, _ io.Writer) error {
	caller, err := o.newCaller()
	if err != nil {
		return err
	}
	return o.reconcile(ctx, (&textbook.Everything{Caller: caller}).Read)
}

func (o workerOptions) reconcile(ctx context.Context, read func(*v1alpha1.LoadBalancerHealth) (*textbook.Health, error)) error {
	config, scheme, err := o.typed()
	if err != nil {
		return err
	}
	options := ctrl.Options{Scheme: scheme, Metrics: metricsserver.Options{BindAddress: o.metrics}, HealthProbeBindAddress: "0"}
	if o.namespace != "" {
		options.Cache.DefaultNamespaces = map[string]cache.Config{o.namespace: {}}
	}
	mgr, err := ctrl.NewManager(config, options)
	if err != nil {
		return err
	}
	reconciler := &textbook.Reconciler{Client: mgr.GetClient(), Read: read, Concurrency: o.concurrency}
	if err := reconciler.SetupWithManager(mgr); err != nil {
		return err
	}
	return mgr.Start(ctx)
}

func (o workerOptions) newClient() (*slb.Client, error) {
	host, err := o.host()
	if err != nil {
		return nil, err
	}
	client, err := slb.NewClientWithOptions(region, sdk.NewConfig().WithScheme("HTTPS"), credentials.NewStaticAKCredentialsProvider(accessKey()))
	if err != nil {
		return nil, err
	}
	client.Domain = host
	return client, nil
}
