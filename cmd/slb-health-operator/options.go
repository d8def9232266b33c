// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// maxStatusBackends is the most rows that fit into an object: etcd accepts 1.5 MiB.
const maxStatusBackends = 5000

// maxRate is more than any API allows, in calls per second.
const maxRate = 1_000_000

// Values of --listener-details.
const (
	listenerDetailsAuto = "auto"
	listenerDetailsOff  = "off"
)

// options are the parsed flags.
type options struct {
	metricsAddress          string
	metricsSecure           bool
	metricsCertificate      certificate
	probeAddress            string
	leaderElect             bool
	leaderElectionNamespace string
	leaderElectionID        string

	endpoint alicloud.Endpoint
	qps      float64
	burst    int
	timeout  time.Duration

	requireCredentials bool
	listenerDetails    string
	credentialsPath    string

	serviceDiscovery bool
	regionID         string
	backendNames     bool

	concurrency       int
	namespaces        []string
	selector          labels.Selector
	heartbeat         time.Duration
	maxStatusBackends int

	logging zap.Options
}

// parseOptions parses the flags. An error is one line that names the flag and a
// valid value. With --help, it prints the usage to out and returns flag.ErrHelp.
func parseOptions(args []string, out io.Writer) (*options, error) {
	o := &options{selector: labels.Everything()}
	var endpoint, network string
	fs := flag.NewFlagSet("slb-health-operator", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	o.bind(fs, &endpoint, &network)
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fs.SetOutput(out)
			fs.PrintDefaults()
		}
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("%q is not a flag: flags start with --", fs.Arg(0))
	}
	var err error
	if o.endpoint, err = alicloud.ParseEndpoint(endpoint, network); err != nil {
		return nil, err
	}
	if o.leaderElectionID == "" {
		o.leaderElectionID = electionID(o.namespaces, o.selector)
	}
	if err := o.validate(); err != nil {
		return nil, err
	}
	return o, nil
}

// bind declares the flags.
func (o *options) bind(fs *flag.FlagSet, endpoint, network *string) {
	config.RegisterFlags(fs)
	o.logging.BindFlags(fs)
	o.bindServing(fs)
	o.bindLeaderElection(fs)
	o.bindAPI(fs, endpoint, network)
	o.bindScope(fs)
	fs.BoolVar(&o.serviceDiscovery, "service-discovery", false, "Observe the load balancers of Services: for objects with spec.serviceRef, and for Services annotated "+v1alpha1.MonitorAnnotation+"=true. Requires permission to watch Services, and nodes unless --region-id is set.")
	fs.StringVar(&o.regionID, "region-id", "", "Region of the load balancers of Services, such as cn-hangzhou. Default: the region of the nodes.")
	fs.BoolVar(&o.backendNames, "backend-names", false, "Show in the status which node or pod a backend is, and where the cluster contradicts its health. Requires permission to watch nodes and pods; the operator omits what it may not watch.")
	fs.IntVar(&o.concurrency, "concurrency", 32, "Load balancers reconciled at once.")
	fs.DurationVar(&o.heartbeat, "status-heartbeat", 5*time.Minute, "Maximum age of lastObservedTime in an unchanged status; the operator then writes the status to show that it is current.")
	fs.IntVar(&o.maxStatusBackends, "max-status-backends", 500, "Maximum number of rows in status.backends.")
}

func (o *options) bindServing(fs *flag.FlagSet) {
	fs.StringVar(&o.metricsAddress, "metrics-bind-address", ":8443", "Address that serves metrics; 0 disables them.")
	fs.BoolVar(&o.metricsSecure, "metrics-secure", true, "Serve metrics over HTTPS, to clients that Kubernetes authenticates and authorizes.")
	fs.StringVar(&o.metricsCertificate.folder, "metrics-cert-path", "", "Folder with the TLS certificate for metrics; the operator reloads it when it changes. Default: a self-signed certificate, created at start.")
	fs.StringVar(&o.metricsCertificate.name, "metrics-cert-name", "tls.crt", "File of the certificate in --metrics-cert-path.")
	fs.StringVar(&o.metricsCertificate.key, "metrics-cert-key", "tls.key", "File of the key in --metrics-cert-path.")
	fs.StringVar(&o.probeAddress, "health-probe-bind-address", ":8081", "Address that serves /healthz and /readyz; 0 disables them.")
}

func (o *options) bindLeaderElection(fs *flag.FlagSet) {
	fs.BoolVar(&o.leaderElect, "leader-elect", false, "Elect a leader among the replicas; the others stand by.")
	fs.StringVar(&o.leaderElectionNamespace, "leader-election-namespace", "", "Namespace of the leader's Lease. Default: the namespace of the pod.")
	fs.Func("leader-election-id", "Name of the leader's Lease. Default: "+defaultElectionID+", with a hash as suffix where --watch-namespace or --watch-selector select a shard.", func(name string) error {
		if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
			return errors.New(problems[0])
		}
		o.leaderElectionID = name
		return nil
	})
}

func (o *options) bindAPI(fs *flag.FlagSet, endpoint, network *string) {
	fs.StringVar(endpoint, "slb-endpoint", "", "Endpoint of the SLB API for every region: http:// or https://, and host:port. Default: the endpoint of each region, over HTTPS.")
	fs.StringVar(network, "slb-network", alicloud.NetworkInternet, "Network of the endpoint of each region: internet or vpc.")
	fs.Float64Var(&o.qps, "slb-qps", 10, "Maximum calls per second for each account and region.")
	fs.IntVar(&o.burst, "slb-burst", 20, "Maximum calls at once for each account and region.")
	fs.DurationVar(&o.timeout, "slb-timeout", 10*time.Second, "Timeout of one call.")
	fs.StringVar(&o.credentialsPath, "credentials-path", "", "Folder with the operator's own access key in the files accessKeyId, accessKeySecret and, optional, securityToken; the operator reloads them while it runs. A folder without these files is ignored.")
	fs.BoolVar(&o.requireCredentials, "require-credentials", false, "Observe only objects that name a Secret in spec.credentials; the operator's own identity is not used.")
	fs.StringVar(&o.listenerDetails, "listener-details", listenerDetailsAuto, "List the listeners of load balancers, also those without backends: auto, where the identity has the permission slb:DescribeLoadBalancerListeners, or off.")
}

func (o *options) bindScope(fs *flag.FlagSet) {
	fs.Func("watch-namespace", "Namespace to watch; repeatable. Default: all namespaces.", func(name string) error {
		if problems := validation.IsDNS1123Label(name); len(problems) > 0 {
			return errors.New(problems[0])
		}
		o.namespaces = append(o.namespaces, name)
		return nil
	})
	fs.Func("watch-selector", "Label selector of the objects to watch: one shard. Default: all objects.", func(text string) (err error) {
		o.selector, err = labels.Parse(text)
		return err
	})
}

func (o *options) validate() error {
	for _, rule := range []struct {
		ok      bool
		message string
	}{
		{o.qps > 0 && o.qps <= maxRate, fmt.Sprintf("--slb-qps must be more than 0 and at most %d, such as 10", maxRate)},
		{o.burst >= 1 && o.burst <= maxRate, fmt.Sprintf("--slb-burst must be from 1 to %d, such as 20", maxRate)},
		{o.timeout >= 100*time.Millisecond && o.timeout <= time.Minute, "--slb-timeout must be from 100ms to 1m, such as 10s"},
		{o.concurrency >= 1 && o.concurrency <= 1000, "--concurrency must be from 1 to 1000, such as 32"},
		{o.heartbeat >= time.Second, "--status-heartbeat must be 1s or more, such as 5m"},
		{o.maxStatusBackends >= 1 && o.maxStatusBackends <= maxStatusBackends,
			fmt.Sprintf("--max-status-backends must be from 1 to %d, such as 500: a larger object does not fit into etcd", maxStatusBackends)},
		{o.listenerDetails == listenerDetailsAuto || o.listenerDetails == listenerDetailsOff, "--listener-details must be auto or off"},
		{isBindAddress(o.metricsAddress), "--metrics-bind-address must be an address such as :8443, or 0"},
		{o.metricsCertificate.folder == "" || o.metricsSecure, "--metrics-cert-path requires TLS, which --metrics-secure=false disables: remove one of them"},
		{o.regionID == "" || o.serviceDiscovery, "--region-id requires --service-discovery: set that too, or remove it"},
		{o.regionID == "" || alicloud.IsRegionID(o.regionID), "--region-id must be an Alibaba Cloud region id in lower case, such as cn-hangzhou or ap-southeast-1"},
		{isBindAddress(o.probeAddress), "--health-probe-bind-address must be an address such as :8081, or 0"},
		{o.leaderElectionNamespace == "" || len(validation.IsDNS1123Label(o.leaderElectionNamespace)) == 0, "--leader-election-namespace must be the name of a namespace"},
	} {
		if !rule.ok {
			return errors.New(rule.message)
		}
	}
	return nil
}

// isBindAddress reports whether a server can listen at the address, or is disabled by 0.
func isBindAddress(address string) bool {
	if address == "0" {
		return true
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}
