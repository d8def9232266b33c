// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// A gatesForm configures the measurement of readiness gates: the pods of one load
// balancer wait, while others are observed.
type gatesForm struct {
	Pods      int           `json:"pods"`
	Balancers int           `json:"otherLoadBalancers"`
	Interval  time.Duration `json:"intervalNanoseconds"`
	Window    time.Duration `json:"windowNanoseconds"`
}

// gatesOnly is the form that measures readiness gates and nothing else.
func gatesOnly() form {
	return form{name: "gates", timeout: 15 * time.Minute, gates: &gatesForm{
		Pods: 1000, Balancers: 200, Interval: 30 * time.Second, Window: time.Minute,
	}}
}

// A gatesResult contains what the gates of all pods cost.
type gatesResult struct {
	Form gatesForm `json:"form"`
	// Closed is while the pods become ready and their gates are closed, Opened while one
	// observation opens them.
	Closed gateWrites `json:"closed"`
	Opened gateWrites `json:"opened"`
	// Before is a window in which no pod waits, Waiting one in which all wait.
	Before  gateWindow `json:"before"`
	Waiting gateWindow `json:"waiting"`
}

// gateWrites are the patches of the status of pods.
type gateWrites struct {
	Patches int `json:"patches"`
	// Body is the size of a patch in bytes, on average.
	Body float64 `json:"bodyBytes"`
	// Seconds are from the response of the SLB API to the last gate, and the CPU time
	// that the operator used meanwhile.
	Seconds    float64 `json:"seconds,omitempty"`
	CPUSeconds float64 `json:"cpuSeconds,omitempty"`
}

// A gateWindow is the observation of load balancers during a window.
type gateWindow struct {
	// CallsPerMinute are those for the load balancer of the pods.
	CallsPerMinute float64 `json:"callsPerMinute"`
	// OtherCalls is the number of calls for each other load balancer and interval, and
	// Lag how late routine observations started, on average.
	OtherCalls float64 `json:"otherCallsPerInterval"`
	Lag        float64 `json:"lagSeconds"`
}

// measureGates runs one operator, first without waiting pods.
func (b *bench) measureGates(ctx context.Context) error {
	if b.form.gates == nil {
		return nil
	}
	b.watcher.reset()
	f := *b.form.gates
	b.logf("readiness gates: %d pods of one load balancer wait, beside %d other load balancers", f.Pods, f.Balancers)
	fleet := &gatesFleet{env: b.env, form: f}
	if err := fleet.open(ctx); err != nil {
		return err
	}
	defer func() {
		fleet.watch.stop()
		fleet.operator.Stop()
	}()
	if err := b.awaitFirst(ctx, f.Balancers+1, f.Interval); err != nil {
		return err
	}
	r := &gatesResult{Form: f}
	var err error
	if r.Before, err = fleet.window(ctx); err != nil {
		return err
	}
	b.logf("  the pods become ready")
	if r.Closed, err = fleet.writes(ctx, fleet.becomeReady); err != nil {
		return err
	}
	if r.Waiting, err = fleet.window(ctx); err != nil {
		return err
	}
	b.logf("  all become normal at once")
	if r.Opened, err = fleet.writes(ctx, fleet.becomeNormal); err != nil {
		return err
	}
	b.results.Gates = r
	return fleet.remove(ctx)
}

// window measures the observation of the load balancers.
func (f *gatesFleet) window(ctx context.Context) (gateWindow, error) {
	if err := f.simulator.Admin(ctx, http.MethodDelete, "calls", nil, nil); err != nil {
		return gateWindow{}, err
	}
	before, err := harness.Scrape(ctx, f.metrics)
	if err != nil {
		return gateWindow{}, err
	}
	if err := harness.Wait(ctx, f.form.Window); err != nil {
		return gateWindow{}, err
	}
	after, err := harness.Scrape(ctx, f.metrics)
	if err != nil {
		return gateWindow{}, err
	}
	report, err := f.simulator.calls(ctx, 1)
	others := 0
	for i := range f.form.Balancers {
		others += report.ByLoadBalancer[f.balancer(i)]
	}
	intervals := f.form.Window.Seconds() / f.form.Interval.Seconds()
	const lag = "slb_health_observation_lag_seconds"
	return gateWindow{
		CallsPerMinute: float64(report.ByLoadBalancer[gatedBalancer]) / f.form.Window.Minutes(),
		OtherCalls:     float64(others) / float64(f.form.Balancers) / intervals,
		Lag:            (after.Sum(lag+"_sum") - before.Sum(lag+"_sum")) / max(after.Sum(lag+"_count")-before.Sum(lag+"_count"), 1),
	}, err
}

// writes measures the patches that change causes. It returns when the last gate was
// written, with the time of the response that the operator decided on; zero: unknown.
func (f *gatesFleet) writes(ctx context.Context, change func(context.Context) (time.Time, error)) (gateWrites, error) {
	before, err := f.patchSeries(ctx)
	if err != nil {
		return gateWrites{}, err
	}
	usage, err := f.operator.Usage()
	if err != nil {
		return gateWrites{}, err
	}
	responded, err := change(ctx)
	if err != nil {
		return gateWrites{}, err
	}
	w := gateWrites{}
	if !responded.IsZero() {
		w.Seconds = f.watch.last().Sub(responded).Seconds()
		after, err := f.operator.Usage()
		if err != nil {
			return gateWrites{}, err
		}
		w.CPUSeconds = (after.CPU - usage.CPU).Seconds()
	}
	after, err := f.patchSeries(ctx)
	if err != nil {
		return gateWrites{}, err
	}
	patches := after.requests - before.requests
	w.Patches = int(patches)
	w.Body = (after.bytes - before.bytes) / max(patches, 1)
	return w, nil
}

// patchSeries are the API server's metrics of the patches of pods, which are all of the operator.
type patchSeries struct{ requests, bytes float64 }

func (f *gatesFleet) patchSeries(ctx context.Context) (patchSeries, error) {
	all, err := harness.ScrapeAPIServer(ctx, f.api.raw)
	return patchSeries{
		requests: all.Sum("apiserver_request_total", `resource="pods"`, `verb="PATCH"`),
		bytes:    all.Sum("apiserver_request_body_size_bytes_sum", `resource="pods"`, `verb="patch"`),
	}, err
}

// startOperator runs an operator for the objects of the fleet.
func (f *gatesFleet) startOperator(ctx context.Context) (err error) {
	if f.metrics, err = harness.FreeAddress(ctx); err != nil {
		return err
	}
	f.operator, err = harness.Start(ctx, f.Folder, "gates", f.Environment(accessKeyID, accessKeySecret), f.builtOperator(),
		"--kubeconfig", f.Plane.Kubeconfig(), "--slb-endpoint", f.simulator.URL, "--watch-namespace", gatesNamespace,
		"--readiness-gates", "--region-id", region, "--listener-details", "off", "--status-heartbeat", "1h",
		"--metrics-bind-address", f.metrics, "--metrics-secure=false", "--health-probe-bind-address", "0")
	return err
}

// printGates prints the measurement.
func printGates(out io.Writer, r *gatesResult) {
	f, most := r.Form, time.Minute.Seconds()/defaultFastInterval.Seconds()+time.Minute.Seconds()/r.Form.Interval.Seconds()
	fmt.Fprintf(out, "%d pods of one Service become ready, and wait for a health check. After a minute it passes for all of them at once, and the\n"+
		"next response of the SLB API opens every gate. The operator observes %d other load balancers meanwhile, each every %s. The\n"+
		"API server counted the patches.\n\n", f.Pods, f.Balancers, f.Interval)
	fmt.Fprint(out, "| | goal | the gates are closed | the gates are opened |\n| --- | ---: | ---: | ---: |\n")
	fmt.Fprintf(out, "| patches for each pod | ≤ 1 | %s | %s |\n", perPod(r.Closed, f), perPod(r.Opened, f))
	fmt.Fprintf(out, "| bytes of a patch | – | %.0f | %.0f |\n", r.Closed.Body, r.Opened.Body)
	fmt.Fprintf(out, "| from the SLB API's response to the last gate, s | – | – | %.1f |\n| CPU of the operator meanwhile, s | – | – | %.1f |\n", r.Opened.Seconds, r.Opened.CPUSeconds)
	fmt.Fprint(out, "\n| | goal | no pod waits | all pods wait |\n| --- | ---: | ---: | ---: |\n")
	fmt.Fprintf(out, "| SLB API calls per minute for the load balancer of the pods | ≤ %.0f | %.0f | %.0f%s |\n", most, r.Before.CallsPerMinute, r.Waiting.CallsPerMinute, missedIf(r.Waiting.CallsPerMinute > most))
	fmt.Fprintf(out, "| calls for each other load balancer and interval | 1 | %.2f | %.2f |\n", r.Before.OtherCalls, r.Waiting.OtherCalls)
	limit := r.Before.Lag + maxLagGrowth
	fmt.Fprintf(out, "| how late routine observations started, s | ≤ %.3f | %.3f | %.3f%s |\n", limit, r.Before.Lag, r.Waiting.Lag, missedIf(r.Waiting.Lag > limit))
}

// maxLagGrowth is what routine observations may start later, in seconds, while pods wait:
// the CPU time of a larger response and its decisions.
const maxLagGrowth = 0.05

// defaultFastInterval is the default of --fast-interval.
const defaultFastInterval = 5 * time.Second

func perPod(w gateWrites, f gatesForm) string {
	each := float64(w.Patches) / float64(f.Pods)
	return fmt.Sprintf("%.3f%s", each, missedIf(each > 1))
}

func missedIf(missed bool) string {
	if missed {
		return " (missed)"
	}
	return ""
}
