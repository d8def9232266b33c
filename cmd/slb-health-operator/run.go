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

// run serves until ctx ends.
func run(ctx context.Context, o *options) error {
	lease, locator := newFence(leadsFor), &cluster.BackendLocator{}
	mgr, err := newManager(o, lease, locator)
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
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	select {
	case err := <-ended:
		recorder.Flush(ctx)
		return err
	case <-lease.lost:
		return errLeaseLost // at once: there is nothing left to hand over
	}
}

// addControllers adds both controllers to the manager, with their metrics.
func addControllers(ctx context.Context, o *options, mgr manager.Manager, recorder controllers.EventRecorder, locator *cluster.BackendLocator) error {
	schema, err := compareSchema(ctx, mgr)
	if err != nil {
		return err
	}
	decide := health.Options{MaxBackends: o.maxStatusBackends, Heartbeat: o.heartbeat, Fit: schema.Fit}
	status := &controllers.StatusWriter{Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Selector: o.selector, Events: recorder}
	reconciler, err := newReconciler(o, mgr)
	if err != nil {
		return err
	}
	fleet := metrics.New(metrics.Options{Reader: mgr.GetCache(), LastAnswered: reconciler.LastAnswered, Elected: mgr.Elected()})
	ctrlmetrics.Registry.MustRegister(fleet, ratelimit.RateLimits{Limiter: reconciler.Limiter, Now: time.Now})
	reconciler.Status, reconciler.Options, reconciler.Locator = status, decide, locator
	status.Metrics, reconciler.Metrics = fleet, fleet
	if err := reconciler.SetupWithManager(ctx, mgr, controllers.Settings{Concurrency: o.concurrency, CallTimeout: o.timeout}); err != nil {
		return fmt.Errorf("setting up the controller: %w", err)
	}
	if o.backendNames {
		if err := locator.SetupWithManager(ctx, mgr, o.namespaces); err != nil {
			return fmt.Errorf("setting up the names of backends: %w", err)
		}
	}
	services := &controllers.ServiceReconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Selector: o.selector, Status: status, Events: recorder,
		Enabled: o.serviceDiscovery, RegionID: o.regionID, Schema: schema, Options: decide, Now: time.Now,
	}
	if err := services.Allowed(ctx, mgr.GetAPIReader(), o.namespaces); err != nil {
		return err
	}
	if err := services.SetupWithManager(ctx, mgr); err != nil {
		return fmt.Errorf("setting up the controller of Services: %w", err)
	}
	return nil
}

// newReconciler returns a Reconciler with the API, the credentials and the limiter.
func newReconciler(o *options, mgr manager.Manager) (*controllers.Reconciler, error) {
	sdk, err := alicloud.NewClient(alicloud.ClientOptions{
		Endpoint: o.endpoint, Timeout: o.timeout, Concurrency: o.concurrency,
		UserAgent: programName + "/" + version,
	})
	if err != nil {
		return nil, err
	}
	signers, err := credentials(o, mgr.GetAPIReader())
	if err != nil {
		return nil, err
	}
	api := alicloud.Instrument(sdk, ctrlmetrics.Registry)
	reconciler := &controllers.Reconciler{
		Reader:      mgr.GetClient(),
		API:         api,
		Credentials: signers,
		Limiter:     ratelimit.New(ratelimit.Options{QPS: o.qps, Burst: o.burst, Concurrency: o.concurrency}),
		Now:         time.Now,
	}
	if o.listenerDetails == listenerDetailsAuto {
		reconciler.Details = &controllers.ListenerDetails{API: api, Credentials: signers, Limiter: reconciler.Limiter, Now: time.Now}
	}
	if o.serviceDiscovery {
		reconciler.Ports = &cluster.ServicePorts{Reader: mgr.GetClient()}
	}
	return reconciler, nil
}

// compareSchema compares the CustomResourceDefinition with what the operator
// writes, now and from time to time, and exports what came of it.
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

// credentials are those of Secrets, and the operator's own unless none may use them.
func credentials(o *options, reader client.Reader) (*controllers.SecretCredentials, error) {
	source := &controllers.SecretCredentials{Reader: reader, Now: time.Now}
	if o.requireCredentials {
		return source, nil
	}
	if o.credentialsPath != "" {
		// One that does not exist, or has no files, is an optional Secret that does not exist yet.
		if _, err := os.ReadDir(o.credentialsPath); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("--credentials-path must be a folder that can be read, such as that of a mounted Secret: %w", err)
		}
	}
	source.Own = alicloud.NewIdentity(time.Now, o.credentialsPath)
	return source, nil
}

// passProxies keeps requests to the API server from the proxy in the
// environment, which is for Alibaba Cloud and seldom leads to the cluster.
// A proxy-url in the kubeconfig is for the API server, and stays.
func passProxies(kubeconfig *rest.Config) {
	if kubeconfig.Proxy == nil {
		kubeconfig.Proxy = http.ProxyURL(nil)
	}
}

func newManager(o *options, lease *fence, locator *cluster.BackendLocator) (manager.Manager, error) {
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
	passProxies(kubeconfig)
	if o.leaderElect {
		if err := lease.guard(kubeconfig); err != nil {
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
