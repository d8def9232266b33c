// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/discovery"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/controllers"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/alicloud/alb"
	"github.com/lbhealth/slb-health-operator/internal/alicloud/clb"
	"github.com/lbhealth/slb-health-operator/internal/alicloud/nlb"
	"github.com/lbhealth/slb-health-operator/internal/cluster"
	"github.com/lbhealth/slb-health-operator/internal/events"
	"github.com/lbhealth/slb-health-operator/internal/health"
	"github.com/lbhealth/slb-health-operator/internal/metrics"
	"github.com/lbhealth/slb-health-operator/internal/ratelimit"
)

const programName = "slb-health-operator"

// instance names this process in its events.
func instance() string {
	host, err := os.Hostname()
	if err != nil {
		return programName
	}
	return programName + "-" + host
}

// run runs the manager until ctx ends or the lease is lost.
func run(ctx context.Context, o *options) error {
	guard, locator := newLeaseGuard(writePeriod), &cluster.BackendLocator{}
	mgr, err := newManager(o, guard, locator)
	if err != nil {
		return err
	}
	recorder := events.New(events.Options{
		Client: mgr.GetClient(), Controller: programName, Instance: instance(), Now: time.Now,
		Log: mgr.GetLogger().WithName("events"),
	})
	if err := mgr.Add(recorder); err != nil {
		return err
	}
	if err := addControllers(ctx, o, mgr, recorder, locator); err != nil {
		return err
	}
	mgr.GetLogger().Info("starting", "version", version)
	stopped := make(chan error, 1)
	go func() { stopped <- mgr.Start(ctx) }()
	select {
	case err := <-stopped:
		recorder.Flush(ctx)
		return err
	case <-guard.lost:
		return errLeaseLost // at once: another replica leads already
	}
}

// addControllers adds both controllers to the manager, with their metrics.
func addControllers(ctx context.Context, o *options, mgr manager.Manager, recorder controllers.EventRecorder, locator *cluster.BackendLocator) error {
	schema, err := compareSchema(ctx, mgr)
	if err != nil {
		return err
	}
	decide := health.Options{MaxBackends: o.maxStatusBackends, Heartbeat: o.heartbeat, Fit: schema.Fit}
	statuses, err := controllers.NewStatusClient(mgr, schema.Newer)
	if err != nil {
		return err
	}
	status := &controllers.StatusWriter{Client: statuses, Live: mgr.GetAPIReader(), Selector: o.selector, Events: recorder}
	reconciler, err := newReconciler(o, mgr)
	if err != nil {
		return err
	}
	fleet := metrics.New(metrics.Options{Reader: mgr.GetCache(), LastObservedAt: reconciler.LastObservedAt, Elected: mgr.Elected()})
	ctrlmetrics.Registry.MustRegister(fleet, ratelimit.RateLimits{Limiter: reconciler.Limiter, Now: time.Now})
	reconciler.Status, reconciler.Options, reconciler.Locator = status, decide, locator
	if gates := newGates(o, mgr, recorder); gates != nil {
		reconciler.Gates, reconciler.Awaited, gates.Wake = gates, gates.Awaited, reconciler.Signal
	}
	status.Metrics, reconciler.Metrics = fleet, fleet
	services := &controllers.ServiceReconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Selector: o.selector, Status: status, Events: recorder,
		Enabled: o.serviceDiscovery, MonitorAll: o.monitor == monitorAll, RegionID: o.regionID, Schema: schema, Options: decide, Now: time.Now,
	}
	if err := services.Allowed(ctx, mgr.GetAPIReader(), o.namespaces); err != nil {
		return err
	}
	if err := setUpReaders(ctx, o, mgr, reconciler); err != nil {
		return err
	}
	if err := reconciler.SetupWithManager(ctx, mgr, controllers.Settings{Concurrency: o.concurrency, CallTimeout: o.timeout}); err != nil {
		return fmt.Errorf("setting up the controller: %w", err)
	}
	ctrlmetrics.Registry.MustRegister(metrics.Services{Each: services.EachService})
	if err := setUpReferences(ctx, mgr, services, reconciler.Ingresses); err != nil {
		return err
	}
	return setUpGates(ctx, o, mgr, reconciler.Gates, reconciler.Ingresses)
}

// setUpReferences adds the controllers of Services and Ingresses to the manager.
func setUpReferences(ctx context.Context, mgr manager.Manager, services *controllers.ServiceReconciler, read *cluster.Ingresses) error {
	if err := services.SetupWithManager(ctx, mgr); err != nil {
		return fmt.Errorf("setting up the controller of Services: %w", err)
	}
	ingresses := &controllers.IngressReconciler{
		Client: services.Client, Ingresses: read, Status: services.Status,
		AlbConfigs: &cluster.AlbConfigs{Reader: services.Live, Mapper: mgr.GetRESTMapper()},
		RegionID:   services.RegionID, Schema: services.Schema, Options: services.Options, Now: services.Now,
	}
	if err := ingresses.SetupWithManager(ctx, mgr); err != nil {
		return fmt.Errorf("setting up the controller of Ingresses: %w", err)
	}
	return nil
}

// newGates returns the controller of readiness gates; nil: they are off.
func newGates(o *options, mgr manager.Manager, recorder controllers.EventRecorder) *controllers.GateReconciler {
	if !o.readinessGates {
		return nil
	}
	return &controllers.GateReconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Selector: o.selector, Events: recorder,
		UnknownTimeout: o.unknownTimeout, Now: time.Now,
	}
}

// setUpGates adds the controller of readiness gates to the manager, with its metrics.
func setUpGates(ctx context.Context, o *options, mgr manager.Manager, gates *controllers.GateReconciler, ingresses *cluster.Ingresses) error {
	if gates == nil {
		return nil
	}
	gates.Ingresses = ingresses
	if err := gates.Allowed(ctx, mgr.GetAPIReader(), o.namespaces); err != nil {
		return err
	}
	collector := metrics.NewGates(gates.EachWaiting)
	ctrlmetrics.Registry.MustRegister(collector)
	gates.Metrics = collector
	if err := gates.SetupWithManager(ctx, mgr); err != nil {
		return fmt.Errorf("setting up the controller of readiness gates: %w", err)
	}
	return nil
}

// setUpReaders indexes what a reconciler reads from the cache.
func setUpReaders(ctx context.Context, o *options, mgr manager.Manager, reconciler *controllers.Reconciler) error {
	if o.backendNames {
		if err := reconciler.Locator.SetupWithManager(ctx, mgr, o.namespaces); err != nil {
			return fmt.Errorf("setting up the names of backends: %w", err)
		}
	}
	if o.serviceDiscovery {
		reconciler.Ingresses = &cluster.Ingresses{Locator: reconciler.Locator}
		if err := reconciler.Ingresses.SetupWithManager(ctx, mgr, o.namespaces); err != nil {
			return fmt.Errorf("setting up Ingresses: %w", err)
		}
		expected := &cluster.ServiceBackends{Locator: reconciler.Locator, Ingresses: reconciler.Ingresses, Now: time.Now}
		if err := expected.SetupWithManager(ctx, mgr, o.namespaces); err != nil {
			return fmt.Errorf("setting up the expected backends: %w", err)
		}
		reconciler.Expected = expected
	}
	if reconciler.Services != nil {
		if err := reconciler.Services.SetupWithManager(ctx, mgr); err != nil {
			return fmt.Errorf("setting up the selectors of Services: %w", err)
		}
	}
	return nil
}

// newReconciler returns a Reconciler with the API, the credentials and the limiter.
func newReconciler(o *options, mgr manager.Manager) (*controllers.Reconciler, error) {
	caller, err := alicloud.NewCaller(alicloud.CallerOptions{
		Endpoint: o.endpoint, Endpoints: o.productEndpoints, Timeout: o.timeout, Concurrency: o.concurrency,
		UserAgent: programName + "/" + version, Metrics: ctrlmetrics.Registry,
	})
	if err != nil {
		return nil, err
	}
	credentials, err := newCredentials(o, mgr.GetAPIReader())
	if err != nil {
		return nil, err
	}
	api := clb.NewClient(caller)
	reconciler := &controllers.Reconciler{
		Reader: mgr.GetClient(),
		API:    api,
		ServerGroups: map[string]controllers.ServerGroupsAPI{
			alicloud.ProductNLB: nlb.NewClient(caller), alicloud.ProductALB: alb.NewClient(caller),
		},
		Credentials:  credentials,
		Limiter:      ratelimit.New(ratelimit.Options{QPS: o.qps, Burst: o.burst, Concurrency: o.concurrency}),
		FastInterval: o.fastInterval,
		Now:          time.Now,
	}
	if o.listenerDetails == listenerDetailsAuto {
		reconciler.Details = &controllers.ListenerDetails{API: api, Credentials: credentials, Limiter: reconciler.Limiter, Now: time.Now}
	}
	if o.serviceDiscovery {
		reconciler.Ports = &cluster.ServicePorts{Reader: mgr.GetClient()}
	}
	if o.serviceDiscovery && o.fastInterval > 0 {
		reconciler.Services = &cluster.ServiceSelectors{Reader: mgr.GetClient()}
	}
	return reconciler, nil
}

// compareSchema compares the CustomResourceDefinition with the fields that the
// operator writes, now and periodically, and exports the result.
func compareSchema(ctx context.Context, mgr manager.Manager) (*controllers.Schema, error) {
	reader, err := discovery.NewDiscoveryClientForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return nil, err
	}
	schema := &controllers.Schema{Read: controllers.ReadOpenAPI(reader), Log: mgr.GetLogger().WithName("schema")}
	schema.Check(ctx)
	ctrlmetrics.Registry.MustRegister(metrics.CRDOutdated(schema.Outdated))
	return schema, mgr.Add(schema)
}

// newCredentials reads credentials from Secrets and, unless --require-credentials
// is set, from the operator's own identity.
func newCredentials(o *options, reader client.Reader) (*controllers.SecretCredentials, error) {
	source := &controllers.SecretCredentials{Reader: reader, Now: time.Now}
	if o.requireCredentials {
		return source, nil
	}
	if o.credentialsPath != "" {
		// A folder that does not exist, or is empty, belongs to an optional Secret that does not exist yet.
		if _, err := os.ReadDir(o.credentialsPath); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("--credentials-path must be a readable folder, such as that of a mounted Secret: %w", err)
		}
	}
	source.Own = alicloud.NewIdentity(time.Now, o.credentialsPath)
	return source, nil
}

// bypassProxy sends requests to the API server past the proxy of the environment,
// which is for Alibaba Cloud and rarely reaches the cluster. A proxy-url in the
// kubeconfig is for the API server and remains in use.
func bypassProxy(kubeconfig *rest.Config) {
	if kubeconfig.Proxy == nil {
		kubeconfig.Proxy = http.ProxyURL(nil)
	}
}

func newManager(o *options, guard *leaseGuard, locator *cluster.BackendLocator) (manager.Manager, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	kubeconfig, err := ctrl.GetConfig()
	if err != nil {
		return nil, fmt.Errorf("no cluster to work in: run in a pod, or set --kubeconfig: %w", err)
	}
	bypassProxy(kubeconfig)
	if o.leaderElect {
		if err := guard.wrap(kubeconfig); err != nil {
			return nil, err
		}
	}
	serving, err := metricsServing(o)
	if err != nil {
		return nil, err
	}
	mgr, err := ctrl.NewManager(kubeconfig, ctrl.Options{
		Scheme:                        scheme,
		Metrics:                       serving,
		HealthProbeBindAddress:        o.probeAddress,
		LeaderElection:                o.leaderElect,
		LeaderElectionID:              o.leaderElectionID,
		LeaderElectionNamespace:       o.leaderElectionNamespace,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 new(leaseDuration),
		RenewDeadline:                 new(renewDeadline),
		RetryPeriod:                   new(retryPeriod),
		Cache:                         cluster.CacheOptions(o.namespaces, o.selector, locator),
	})
	if err != nil {
		return nil, err
	}
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return nil, err
	}
	return mgr, mgr.AddReadyzCheck("ping", healthz.Ping)
}
