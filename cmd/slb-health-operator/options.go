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

// maxStatusBackends is what fits into an object: etcd refuses more than 1.5 MiB.
const maxStatusBackends = 5000

// maxRate is more than any API gives, in calls per second.
const maxRate = 1_000_000

// Values of --listener-details.
const (
	listenerDetailsAuto = "auto"
	listenerDetailsOff  = "off"
)

// options are the command line.
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

// parseOptions reads the command line. Its errors are one line that names the
// flag and what to write; usage goes to out when it is asked for.
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
	fs.StringVar(&o.metricsAddress, "metrics-bind-address", ":8443", "Where metrics are served; 0 turns them off.")
	fs.BoolVar(&o.metricsSecure, "metrics-secure", true, "Serve metrics over HTTPS, to clients that Kubernetes authenticates and authorizes.")
	fs.StringVar(&o.metricsCertificate.folder, "metrics-cert-path", "", "Folder with the TLS certificate of metrics, read again when it changes. Default: one that is made at start, and that nobody vouches for.")
	fs.StringVar(&o.metricsCertificate.name, "metrics-cert-name", "tls.crt", "File of the certificate in --metrics-cert-path.")
	fs.StringVar(&o.metricsCertificate.key, "metrics-cert-key", "tls.key", "File of the key in --metrics-cert-path.")
	fs.StringVar(&o.probeAddress, "health-probe-bind-address", ":8081", "Where /healthz and /readyz are served; 0 turns them off.")
	fs.BoolVar(&o.leaderElect, "leader-elect", false, "Elect a leader among the replicas; the others stand by.")
	fs.StringVar(&o.leaderElectionNamespace, "leader-election-namespace", "", "Namespace of the leader's Lease. Default: the pod's own.")
	fs.Func("leader-election-id", "Name of the leader's Lease. Default: "+defaultElectionID+", followed by a hash where namespaces or labels make a shard.", func(name string) error {
		if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
			return errors.New(problems[0])
		}
		o.leaderElectionID = name
		return nil
	})
	fs.StringVar(endpoint, "slb-endpoint", "", "SLB API for every region, http:// or https:// and host:port. Default: the region's own, over HTTPS.")
	fs.StringVar(network, "slb-network", alicloud.NetworkInternet, "Network of the regions' own endpoints: internet or vpc.")
	fs.Float64Var(&o.qps, "slb-qps", 10, "Calls per second allowed for each account and region.")
	fs.IntVar(&o.burst, "slb-burst", 20, "Calls allowed at once for each account and region.")
	fs.DurationVar(&o.timeout, "slb-timeout", 10*time.Second, "How long one call may take.")
	fs.StringVar(&o.credentialsPath, "credentials-path", "", "Folder with the operator's own access key in the files accessKeyId, accessKeySecret and, optional, securityToken, read again while it runs. One without these files is passed over.")
	fs.BoolVar(&o.requireCredentials, "require-credentials", false, "Observe only for objects that name a Secret in spec.credentials; the operator's own identity serves nobody.")
	fs.StringVar(&o.listenerDetails, "listener-details", listenerDetailsAuto, "List the listeners of load balancers, also those without backends: auto, where the identity has the permission slb:DescribeLoadBalancerListeners, or off.")
	fs.BoolVar(&o.serviceDiscovery, "service-discovery", false, "Observe the load balancers of Services: for objects with spec.serviceRef, and for Services annotated "+v1alpha1.MonitorAnnotation+"=true. Needs leave to watch Services, and nodes unless --region-id is set.")
	fs.StringVar(&o.regionID, "region-id", "", "Region of the load balancers of Services, such as cn-hangzhou. Default: that of the nodes.")
	fs.BoolVar(&o.backendNames, "backend-names", false, "Say in the status which node or pod a backend is, and where the cluster contradicts its health. Needs leave to watch nodes and pods; what may not be watched is left out.")
	fs.IntVar(&o.concurrency, "concurrency", 32, "Load balancers worked on at once.")
	fs.Func("watch-namespace", "Namespace to serve; repeatable. Default: all.", func(name string) error {
		if problems := validation.IsDNS1123Label(name); len(problems) > 0 {
			return errors.New(problems[0])
		}
		o.namespaces = append(o.namespaces, name)
		return nil
	})
	fs.Func("watch-selector", "Labels of the objects to serve: one shard. Default: all.", func(text string) (err error) {
		o.selector, err = labels.Parse(text)
		return err
	})
	fs.DurationVar(&o.heartbeat, "status-heartbeat", 5*time.Minute, "How old lastObservedTime of an unchanged status gets at most, before it is written to show that it is current.")
	fs.IntVar(&o.maxStatusBackends, "max-status-backends", 500, "Rows in status.backends at most.")
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
		{o.metricsCertificate.folder == "" || o.metricsSecure, "--metrics-cert-path is for TLS, which --metrics-secure=false turns off: leave one of them out"},
		{o.regionID == "" || o.serviceDiscovery, "--region-id is for the Services that --service-discovery finds: set that too, or leave it out"},
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

// isBindAddress tells whether a server can listen there, or is turned off.
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
