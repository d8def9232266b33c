// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

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

// Values of --monitor.
const (
	monitorAnnotated = "annotated"
	monitorAll       = "all"
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

	endpointURL string
	network     string
	endpoint    alicloud.Endpoint // of both
	// productURLs are the endpoints of single products, and productEndpoints what
	// they parse to, by product.
	productURLs      map[string]string
	productEndpoints map[string]alicloud.Endpoint
	qps              float64
	burst            int
	timeout          time.Duration

	fastInterval time.Duration

	requireCredentials bool
	listenerDetails    string
	credentialsPath    string

	serviceDiscovery bool
	monitor          string
	regionID         string
	backendNames     bool
	readinessGates   bool
	unknownTimeout   time.Duration

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
	groups := o.flagGroups()
	fs := flag.NewFlagSet(programName, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	for _, group := range groups {
		group.flags.VisitAll(func(f *flag.Flag) { fs.Var(f.Value, f.Name, f.Usage) })
	}
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			printUsage(out, groups)
		}
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("%q is not a flag: flags start with --", fs.Arg(0))
	}
	var err error
	if o.endpoint, err = alicloud.ParseEndpoint(o.endpointURL, o.network); err != nil {
		return nil, err
	}
	if err := o.parseProductEndpoints(); err != nil {
		return nil, err
	}
	if o.leaderElectionID == "" {
		o.leaderElectionID = electionID(o.namespaces, o.selector)
	}
	if o.readinessGates { // a gate needs the Service, its object and the pods
		o.serviceDiscovery, o.backendNames = true, true
	}
	if err := o.validate(); err != nil {
		return nil, err
	}
	return o, nil
}

func (o *options) parseProductEndpoints() error {
	o.productEndpoints = map[string]alicloud.Endpoint{}
	for _, product := range slices.Sorted(maps.Keys(o.productURLs)) {
		endpoint, err := alicloud.ParseProductEndpoint(product, o.productURLs[product])
		if err != nil {
			return err
		}
		o.productEndpoints[product] = endpoint
	}
	return nil
}

func (o *options) validate() error {
	for _, rule := range []struct {
		ok      bool
		message string
	}{
		{o.qps > 0 && o.qps <= maxRate, fmt.Sprintf("--slb-qps must be more than 0 and at most %d, such as 10", maxRate)},
		{o.burst >= 1 && o.burst <= maxRate, fmt.Sprintf("--slb-burst must be from 1 to %d, such as 20", maxRate)},
		{o.timeout >= 100*time.Millisecond && o.timeout <= time.Minute, "--slb-timeout must be from 100ms to 1m, such as 10s"},
		{isFastInterval(o.fastInterval), "--fast-interval must be from 1s to 1m, such as 5s, or 0"},
		{o.concurrency >= 1 && o.concurrency <= 1000, "--concurrency must be from 1 to 1000, such as 32"},
		{o.heartbeat >= time.Second, "--status-heartbeat must be 1s or more, such as 5m"},
		{o.maxStatusBackends >= 1 && o.maxStatusBackends <= maxStatusBackends,
			fmt.Sprintf("--max-status-backends must be from 1 to %d, such as 500: a larger object does not fit into etcd", maxStatusBackends)},
		{o.listenerDetails == listenerDetailsAuto || o.listenerDetails == listenerDetailsOff, "--listener-details must be auto or off"},
		{isBindAddress(o.metricsAddress), "--metrics-bind-address must be an address such as :8443, or 0"},
		{o.metricsCertificate.folder == "" || o.metricsSecure, "--metrics-cert-path requires TLS, which --metrics-secure=false disables: remove one of them"},
		{o.monitor == monitorAnnotated || o.monitor == monitorAll, "--monitor must be annotated or all"},
		{o.monitor != monitorAll || o.serviceDiscovery, "--monitor=all requires --service-discovery: set that too, or remove it"},
		{o.regionID == "" || o.serviceDiscovery, "--region-id requires --service-discovery: set that too, or remove it"},
		{o.regionID == "" || alicloud.IsRegionID(o.regionID), "--region-id must be an Alibaba Cloud region id in lower case, such as cn-hangzhou or ap-southeast-1"},
		{o.unknownTimeout >= 0, "--readiness-gate-unknown-timeout must be 0 or more, such as 10m"},
		{isBindAddress(o.probeAddress), "--health-probe-bind-address must be an address such as :8081, or 0"},
		{o.leaderElectionNamespace == "" || len(validation.IsDNS1123Label(o.leaderElectionNamespace)) == 0, "--leader-election-namespace must be the name of a namespace"},
	} {
		if !rule.ok {
			return errors.New(rule.message)
		}
	}
	return nil
}

// isFastInterval reports whether fast observation can have the interval; 0 disables it.
func isFastInterval(interval time.Duration) bool {
	return interval == 0 || interval >= time.Second && interval <= time.Minute
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
