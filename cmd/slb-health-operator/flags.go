// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client/config"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// helpWidth is the width of --help.
const helpWidth = 100

// flagGroup is a part of the flags, as --help and docs/flags.md show them.
type flagGroup struct {
	title string
	flags *flag.FlagSet
}

// flagGroups declares the flags.
func (o *options) flagGroups() []flagGroup {
	group := func(title string, bind func(*flag.FlagSet)) flagGroup {
		fs := flag.NewFlagSet(title, flag.ContinueOnError)
		bind(fs)
		return flagGroup{title, fs}
	}
	return []flagGroup{
		group("Alibaba Cloud API", o.bindAPI),
		group("Credentials", o.bindCredentials),
		group("Services and backends", o.bindCluster),
		group("Objects", o.bindObjects),
		group("Leader election", o.bindLeaderElection),
		group("Metrics and probes", o.bindServing),
		group("Kubernetes", bindKubeconfig),
		group("Logging", o.bindLogging),
	}
}

func (o *options) bindAPI(fs *flag.FlagSet) {
	fs.StringVar(&o.endpointURL, "slb-endpoint", "", "Endpoint of the API for every region: http:// or https://, and host:port. Default: the endpoint of each region, over HTTPS.")
	o.productURLs = map[string]string{}
	for _, product := range []string{alicloud.ProductNLB, alicloud.ProductALB} {
		fs.Func(product+"-endpoint", "Endpoint of the API of "+strings.ToUpper(product)+", a `URL` as in --slb-endpoint. Default: --slb-endpoint, else the endpoint of each region.", func(url string) error {
			o.productURLs[product] = url
			return nil
		})
	}
	fs.StringVar(&o.network, "slb-network", alicloud.NetworkInternet, "Network of the endpoint of each region: internet or vpc.")
	fs.Float64Var(&o.qps, "slb-qps", 10, "Maximum calls per second for each account, region and product.")
	fs.IntVar(&o.burst, "slb-burst", 20, "Maximum burst of calls for each account, region and product.")
	fs.DurationVar(&o.timeout, "slb-timeout", 10*time.Second, "Timeout of one call.")
	fs.StringVar(&o.listenerDetails, "listener-details", listenerDetailsAuto, "List the listeners of CLB instances, also those without backends: auto, where the identity has the permission slb:DescribeLoadBalancerListeners, or off.")
	fs.DurationVar(&o.fastInterval, "fast-interval", 5*time.Second, "Interval of observation after a change in the cluster or of a backend's health, until the load balancer was steady for 90 s; 0 disables it. It uses only calls that no other observation needs, and at most half of the rate.")
	fs.IntVar(&o.concurrency, "concurrency", 32, "Load balancers reconciled at once.")
}

func (o *options) bindCredentials(fs *flag.FlagSet) {
	fs.StringVar(&o.credentialsPath, "credentials-path", "", "Folder with the operator's own access key in the files accessKeyId, accessKeySecret and, optional, securityToken; the operator reloads them while it runs. A folder without these files is ignored.")
	fs.BoolVar(&o.requireCredentials, "require-credentials", false, "Observe only objects that name a Secret in spec.credentials; the operator's own identity is not used.")
}

func (o *options) bindCluster(fs *flag.FlagSet) {
	fs.BoolVar(&o.serviceDiscovery, "service-discovery", false, "Observe the load balancers of Services and Ingresses: for objects with spec.serviceRef or spec.ingressRef, and for the Services of --monitor. The operator then also compares the backends with those that the cluster expects. Requires permission to watch Services, EndpointSlices, Ingresses, and nodes unless --region-id is set; without that for EndpointSlices it does not compare, and without that for Ingresses it does not observe their load balancers.")
	fs.StringVar(&o.monitor, "monitor", monitorAnnotated, "Services that the operator creates an object for: annotated, those with the annotation "+v1alpha1.MonitorAnnotation+"=true, or all, each Service with a CLB or NLB instance, except those with the annotation "+v1alpha1.MonitorAnnotation+"=false. Requires --service-discovery.")
	fs.StringVar(&o.regionID, "region-id", "", "Region of the load balancers of Services, such as cn-hangzhou. Default: the region of the nodes.")
	fs.BoolVar(&o.backendNames, "backend-names", false, "Show in the status which node or pod a backend is, and the probable cause where it is abnormal or missing. Requires permission to watch nodes, pods and NetworkPolicies; the operator omits what it may not watch.")
	fs.BoolVar(&o.readinessGates, "readiness-gates", false, "Open the readiness gates "+v1alpha1.ReadinessGatePrefix+"SERVICE of pods, once the pod is normal on the load balancer of the Service. Implies --service-discovery and --backend-names. Requires permission to patch the status of pods.")
	fs.DurationVar(&o.unknownTimeout, "readiness-gate-unknown-timeout", 10*time.Minute, "How long a readiness gate waits while nothing is known of the pod's health, as while the SLB API does not answer; the gate is then opened. 0 waits forever. A pod that is known not to be normal waits however long.")
}

func (o *options) bindObjects(fs *flag.FlagSet) {
	fs.Func("watch-namespace", "Watch this `namespace`; repeatable. Default: all namespaces.", func(name string) error {
		if problems := validation.IsDNS1123Label(name); len(problems) > 0 {
			return errors.New(problems[0])
		}
		o.namespaces = append(o.namespaces, name)
		return nil
	})
	fs.Func("watch-selector", "Watch the objects with these `labels`, a label selector: one shard. Default: all objects.", func(text string) (err error) {
		o.selector, err = labels.Parse(text)
		return err
	})
	fs.DurationVar(&o.heartbeat, "status-heartbeat", 5*time.Minute, "Maximum age of lastObservedTime in an unchanged status; the operator then writes the status to show that it is current.")
	fs.IntVar(&o.maxStatusBackends, "max-status-backends", 500, "Maximum number of rows in status.backends.")
}

func (o *options) bindLeaderElection(fs *flag.FlagSet) {
	fs.BoolVar(&o.leaderElect, "leader-elect", false, "Elect a leader among the replicas; the others stand by.")
	fs.StringVar(&o.leaderElectionNamespace, "leader-election-namespace", "", "Namespace of the leader's Lease. Default: the namespace of the pod.")
	fs.Func("leader-election-id", "The `name` of the leader's Lease. Default: "+defaultElectionID+", with a hash as suffix where --watch-namespace or --watch-selector select a shard.", func(name string) error {
		if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
			return errors.New(problems[0])
		}
		o.leaderElectionID = name
		return nil
	})
}

func (o *options) bindServing(fs *flag.FlagSet) {
	fs.StringVar(&o.metricsAddress, "metrics-bind-address", ":8443", "Address that serves metrics; 0 disables them.")
	fs.BoolVar(&o.metricsSecure, "metrics-secure", true, "Serve metrics over HTTPS, to clients that Kubernetes authenticates and authorizes.")
	fs.StringVar(&o.metricsCertificate.folder, "metrics-cert-path", "", "Folder with the TLS certificate for metrics; the operator reloads it when it changes. Default: a self-signed certificate, created at start.")
	fs.StringVar(&o.metricsCertificate.name, "metrics-cert-name", "tls.crt", "File of the certificate in --metrics-cert-path.")
	fs.StringVar(&o.metricsCertificate.key, "metrics-cert-key", "tls.key", "File of the key in --metrics-cert-path.")
	fs.StringVar(&o.probeAddress, "health-probe-bind-address", ":8081", "Address that serves /healthz and /readyz; 0 disables them.")
}

// bindKubeconfig declares the flag of controller-runtime.
func bindKubeconfig(fs *flag.FlagSet) {
	config.RegisterFlags(fs)
	fs.Lookup(config.KubeconfigFlagName).Usage = "File that names the cluster to work in. Default: that of the variable KUBECONFIG, else the pod's own cluster, else ~/.kube/config."
}

// bindLogging declares the flags of zap, with the defaults that apply here.
func (o *options) bindLogging(fs *flag.FlagSet) {
	o.logging.BindFlags(fs)
	for name, usage := range map[string]string{
		"zap-devel":            "Development mode: the defaults are then console, debug and stack traces from warn.",
		"zap-encoder":          "The `format` of the log: json or console. Default: json.",
		"zap-log-level":        "Lowest `level` that is logged: debug, info, error, panic, or a number above 0 for more. Default: info.",
		"zap-stacktrace-level": "Lowest `level` that is logged with a stack trace: info, error or panic. Default: error.",
		"zap-time-encoding":    "The `format` of times: epoch, millis, nano, iso8601, rfc3339 or rfc3339nano. Default: rfc3339.",
	} {
		fs.Lookup(name).Usage = usage
	}
}

// printUsage prints the flags by group.
func printUsage(out io.Writer, groups []flagGroup) {
	fmt.Fprintln(out, "slb-health-operator reports the health of Alibaba Cloud load balancers in the status of\nLoadBalancerHealth objects.\n\nUsage:\n  slb-health-operator [flags]")
	for _, group := range groups {
		fmt.Fprintf(out, "\n%s:\n", group.title)
		group.flags.VisitAll(func(f *flag.Flag) {
			valueType, usage := flag.UnquoteUsage(f)
			heading := strings.TrimSpace("--" + f.Name + " " + valueType)
			if value := defaultOf(f); value != "" && value != "false" {
				heading += " (default " + value + ")"
			}
			fmt.Fprintf(out, "  %s\n%s", heading, indent(usage, "      "))
		})
	}
}

// defaultOf is the default of a flag, with a duration as users write it: 5m, not 5m0s.
func defaultOf(f *flag.Flag) string {
	if strings.HasSuffix(f.DefValue, "m0s") {
		return strings.TrimSuffix(f.DefValue, "0s")
	}
	return f.DefValue
}

// indent wraps a text to lines of at most helpWidth, each after a prefix.
func indent(text, prefix string) string {
	var lines strings.Builder
	line := prefix
	for word := range strings.FieldsSeq(text) {
		if len(line)+len(word) > helpWidth && line != prefix {
			lines.WriteString(strings.TrimRight(line, " ") + "\n")
			line = prefix
		}
		line += word + " "
	}
	lines.WriteString(strings.TrimRight(line, " ") + "\n")
	return lines.String()
}
