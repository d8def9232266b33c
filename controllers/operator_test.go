// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/labels"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/lbhealth/slb-health-operator/controllers"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/alicloud/clb"
	"github.com/lbhealth/slb-health-operator/internal/cluster"
	"github.com/lbhealth/slb-health-operator/internal/events"
	"github.com/lbhealth/slb-health-operator/internal/health"
	"github.com/lbhealth/slb-health-operator/internal/metrics"
	"github.com/lbhealth/slb-health-operator/internal/ratelimit"
)

// shardLabel selects the operator of this suite that serves an object.
const shardLabel = "test.lbhealth.dev/shard"

const callTimeout = 10 * time.Second

// settings are the operator's flags that specs set.
type settings struct {
	shard            string
	heartbeat        time.Duration
	serviceDiscovery bool
	// monitorAll is --monitor=all; regionID "" is that of the nodes.
	monitorAll   bool
	regionID     string
	backendNames bool
	// gates is --readiness-gates, with unknownTimeout.
	gates          bool
	unknownTimeout time.Duration
	// fastInterval is --fast-interval; 0: off.
	fastInterval time.Duration
	// awaited are the load balancers that a pod waits for.
	awaited func(alicloud.Target) bool
	// namespaces are those of --watch-namespace; none: all.
	namespaces []string
}

func (s settings) selector() labels.Selector {
	return labels.SelectorFromSet(labels.Set{shardLabel: s.shard})
}

// operator is the program as cmd/slb-health-operator wires it, without its servers.
type operator struct {
	shard    string
	registry *prometheus.Registry
	// reconciler observes; cache is what it reads.
	reconciler *controllers.Reconciler
	cache      client.Reader
	stop       func()
}

// startOperator runs an operator until stop or the end of the spec or suite that
// started it.
func startOperator(s settings) *operator {
	GinkgoHelper()
	locator := &cluster.BackendLocator{}
	mgr, err := ctrl.NewManager(operatorConfig, ctrl.Options{
		Scheme:                 newScheme(),
		Metrics:                metricsserver.Options{BindAddress: "0"},
		HealthProbeBindAddress: "0",
		Controller:             config.Controller{SkipNameValidation: new(true)},
		Cache:                  cluster.CacheOptions(s.namespaces, s.selector(), locator),
	})
	Expect(err).NotTo(HaveOccurred())
	registry := prometheus.NewRegistry()
	ctx, cancel := context.WithCancel(context.Background())
	if s.backendNames {
		Expect(locator.SetupWithManager(ctx, mgr, s.namespaces)).To(Succeed())
	}
	reconciler := addControllers(ctx, mgr, s, locator, registry)
	stopped := make(chan error, 1)
	go func() { stopped <- mgr.Start(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		Eventually(stopped).Should(Receive(BeNil()))
	})
	DeferCleanup(stop)
	Eventually(mgr.Elected()).Should(BeClosed())
	return &operator{shard: s.shard, registry: registry, reconciler: reconciler, cache: mgr.GetClient(), stop: stop}
}

// addControllers adds both controllers, the event recorder and the metrics to a
// manager, and returns the reconciler of load balancers.
func addControllers(ctx context.Context, mgr ctrl.Manager, s settings, locator *cluster.BackendLocator, registry *prometheus.Registry) *controllers.Reconciler {
	GinkgoHelper()
	recorder := events.New(events.Options{Client: mgr.GetClient(), Controller: "slb-health-operator", Instance: "test", Now: time.Now, Log: mgr.GetLogger()})
	Expect(mgr.Add(recorder)).To(Succeed())
	statuses, err := controllers.NewStatusClient(mgr, nil)
	Expect(err).NotTo(HaveOccurred())
	status := &controllers.StatusWriter{Client: statuses, Live: mgr.GetAPIReader(), Selector: s.selector(), Events: recorder}
	options := health.Options{MaxBackends: 500, Heartbeat: cmp.Or(s.heartbeat, 5*time.Minute)}
	reconciler := &controllers.Reconciler{
		Reader:      mgr.GetClient(),
		Status:      status,
		API:         clb.NewClient(newCaller(registry)),
		Credentials: &controllers.SecretCredentials{Reader: mgr.GetAPIReader(), Own: alicloud.NewIdentity(time.Now, ""), Now: time.Now},
		Limiter:     ratelimit.New(ratelimit.Options{QPS: 1000, Burst: 1000, Concurrency: 32}),
		Locator:     locator,
		Options:     options,
		Now:         time.Now,

		FastInterval: s.fastInterval, Awaited: s.awaited,
	}
	if s.serviceDiscovery {
		reconciler.Ingresses = &cluster.Ingresses{Locator: locator}
		Expect(reconciler.Ingresses.SetupWithManager(ctx, mgr, s.namespaces)).To(Succeed())
		expected := &cluster.ServiceBackends{Locator: locator, Ingresses: reconciler.Ingresses, Now: time.Now}
		Expect(expected.SetupWithManager(ctx, mgr, s.namespaces)).To(Succeed())
		reconciler.Expected = expected
	}
	if s.serviceDiscovery && s.fastInterval > 0 {
		reconciler.Services = &cluster.ServiceSelectors{Reader: mgr.GetClient()}
		Expect(reconciler.Services.SetupWithManager(ctx, mgr)).To(Succeed())
	}
	gates := addGates(ctx, mgr, s, recorder, registry)
	if reconciler.Gates = gates; gates != nil {
		reconciler.Ports = &cluster.ServicePorts{Reader: mgr.GetClient()}
		gates.Wake, reconciler.Awaited = reconciler.Signal, gates.Awaited
	}
	fleet := metrics.New(metrics.Options{Reader: mgr.GetCache(), LastObservedAt: reconciler.LastObservedAt, Elected: mgr.Elected()})
	reconciler.Metrics, status.Metrics = fleet, fleet
	registry.MustRegister(fleet, ratelimit.RateLimits{Limiter: reconciler.Limiter, Now: time.Now})
	Expect(reconciler.SetupWithManager(ctx, mgr, controllers.Settings{Concurrency: 8, CallTimeout: callTimeout})).To(Succeed())
	services := &controllers.ServiceReconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Selector: s.selector(), Status: status, Events: recorder,
		Enabled: s.serviceDiscovery, MonitorAll: s.monitorAll, RegionID: s.regionID, Options: options, Now: time.Now,
	}
	registry.MustRegister(metrics.Services{Each: services.EachService})
	Expect(services.SetupWithManager(ctx, mgr)).To(Succeed())
	ingresses := &controllers.IngressReconciler{
		Client: mgr.GetClient(), Ingresses: reconciler.Ingresses, Status: status,
		AlbConfigs: &cluster.AlbConfigs{Reader: mgr.GetAPIReader(), Mapper: mgr.GetRESTMapper()},
		RegionID:   s.regionID, Options: options, Now: time.Now,
	}
	Expect(ingresses.SetupWithManager(ctx, mgr)).To(Succeed())
	return reconciler
}

// addGates adds the controller of readiness gates; nil: they are off.
func addGates(ctx context.Context, mgr ctrl.Manager, s settings, recorder *events.Recorder, registry *prometheus.Registry) *controllers.GateReconciler {
	GinkgoHelper()
	if !s.gates {
		return nil
	}
	gates := &controllers.GateReconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Selector: s.selector(), Events: recorder, UnknownTimeout: s.unknownTimeout, Now: time.Now,
	}
	collector := metrics.NewGates(gates.EachWaiting)
	gates.Metrics = collector
	registry.MustRegister(collector)
	Expect(gates.Allowed(ctx, mgr.GetAPIReader(), s.namespaces)).To(Succeed())
	Expect(gates.SetupWithManager(ctx, mgr)).To(Succeed())
	return gates
}

func newCaller(registry *prometheus.Registry) *alicloud.Caller {
	GinkgoHelper()
	endpoint, err := alicloud.ParseEndpoint(cloud.url, alicloud.NetworkInternet)
	Expect(err).NotTo(HaveOccurred())
	caller, err := alicloud.NewCaller(alicloud.CallerOptions{Endpoint: endpoint, Timeout: callTimeout, Concurrency: 8, UserAgent: "slb-health-operator/test", Metrics: registry})
	Expect(err).NotTo(HaveOccurred())
	return caller
}

// trafficLog records the requests of the operators to the API server.
type trafficLog struct {
	mu        sync.Mutex
	forbidden []string
	secrets   []string
	conflicts map[string]int // by namespace
	creations map[string]int // of objects, by namespace
	patches   map[string]int // of the status of pods, by namespace
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (t *trafficLog) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		response, err := next.RoundTrip(r)
		if err == nil {
			t.add(r, response.StatusCode, response.StatusCode == http.StatusForbidden && isUnauthorized(response))
		}
		return response, err
	})
}

// isUnauthorized reports whether the operator lacks a permission. Otherwise
// admission, such as a quota, refused the request.
func isUnauthorized(response *http.Response) bool {
	body, err := io.ReadAll(response.Body)
	response.Body = io.NopCloser(bytes.NewReader(body))
	return err != nil || bytes.Contains(body, []byte(operatorUser+`\" cannot `)) || bytes.Contains(body, []byte(operatorUser+`" cannot `))
}

func (t *trafficLog) add(r *http.Request, status int, unauthorized bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	call := r.Method + " " + r.URL.RequestURI()
	path := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if unauthorized || status == http.StatusUnauthorized {
		t.forbidden = append(t.forbidden, call)
	}
	if at := slices.Index(path, "secrets"); at >= 0 && (r.Method != http.MethodGet || at != len(path)-2) {
		t.secrets = append(t.secrets, call)
	}
	if at := slices.Index(path, "namespaces"); status == http.StatusConflict && at >= 0 {
		t.conflicts[path[at+1]]++
	}
	if at := slices.Index(path, "namespaces"); r.Method == http.MethodPost && at >= 0 && last(path) == "loadbalancerhealths" {
		t.creations[path[at+1]]++
	}
	if at := slices.Index(path, "pods"); r.Method == http.MethodPatch && at > 0 && last(path) == "status" && status == http.StatusOK {
		t.patches[path[at-1]]++
	}
}

// podPatchesIn counts the successful patches of the status of pods.
func (t *trafficLog) podPatchesIn(namespace string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.patches[namespace]
}

func (t *trafficLog) creationsIn(namespace string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.creations[namespace]
}

func (t *trafficLog) refused() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.forbidden)
}

func (t *trafficLog) secretsOtherThanGet() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.secrets)
}

func (t *trafficLog) conflictsIn(namespace string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.conflicts[namespace]
}

// logBuffer keeps the log of the operators, and writes it to GinkgoWriter, too.
type logBuffer struct {
	mu    sync.Mutex
	bytes bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, _ = GinkgoWriter.Write(p)
	return b.bytes.Write(p)
}

func (b *logBuffer) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bytes.Reset()
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bytes.String()
}
