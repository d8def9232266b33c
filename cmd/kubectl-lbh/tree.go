// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

func runTree(ctx context.Context, o *options, name string) error {
	_, object, err := o.object(ctx, name)
	if err != nil {
		return err
	}
	return tree(o.Out, object, o)
}

// listenerKey identifies the listener of a backend.
type listenerKey struct {
	port     int32
	protocol string
}

func (k listenerKey) String() string {
	port := "?"
	if k.port != 0 {
		port = strconv.Itoa(int(k.port))
	}
	if k.protocol == "" {
		return port
	}
	return port + "/" + k.protocol
}

// tree prints an object, its listeners, and the backends of each.
func tree(out io.Writer, object *v1alpha1.LoadBalancerHealth, o *options) error {
	colored := o.colored(o.Out)
	p := &printer{out: out}
	r := o.rank(object)
	p.printf("%s  %s  %s  %s\n", object.Name, r.color().paint(r.label(), colored), cmp.Or(sanitize(headReason(object, r)), "-"), sanitize(headTarget(object)))
	if warning := o.notUpdated(object); warning != "" {
		p.printf("│  %s\n", yellow.paint(warning+" This is the stored status:", colored))
	}
	if message := messageOf(object, v1alpha1.ConditionReady); message != "" {
		p.printf("│  %s\n", sanitize(message))
	}
	if r == failing {
		p.printf("│  %s\n", yellow.paint(messageOf(object, v1alpha1.ConditionObserved), colored))
	}
	backends := map[listenerKey][]v1alpha1.BackendStatus{}
	for _, b := range object.Status.Backends {
		key := listenerKey{b.ListenerPort, b.ListenerProtocol}
		backends[key] = append(backends[key], b)
	}
	history := object.Status.History
	for i, l := range object.Status.Listeners {
		branch, trunk := "├─ ", "│  "
		if i == len(object.Status.Listeners)-1 && object.Status.OmittedBackends == 0 && len(history) == 0 {
			branch, trunk = "└─ ", "   "
		}
		key := listenerKey{l.Port, l.Protocol}
		p.printf("%s%s  %s  %d/%d normal\n", branch, sanitize(key.String()), healthColor(l.Health).paint(string(l.Health), colored), l.Normal, l.Backends)
		p.backends(trunk, backends[key], o, colored)
	}
	if n := object.Status.OmittedBackends; n > 0 {
		p.printf("%s and %d backends that the status omits\n", map[bool]string{true: "└─", false: "├─"}[len(history) == 0], n)
	}
	p.history(history, o, colored)
	return p.err
}

// headReason is the reason beside the rank. The reason of a failed observation is
// in a row of its own.
func headReason(object *v1alpha1.LoadBalancerHealth, r rank) string {
	switch r {
	case notUpdated:
		return reasonNotUpdated
	case stalled:
		return reasonOf(object, v1alpha1.ConditionStalled)
	default:
		return reasonOf(object, v1alpha1.ConditionReady)
	}
}

// headTarget is the load balancer and its region, or the Service while that has
// no load balancer.
func headTarget(object *v1alpha1.LoadBalancerHealth) string {
	loadBalancer, region := targetOf(object)
	if region == "-" {
		return loadBalancer
	}
	return loadBalancer + " " + region
}

func healthColor(h v1alpha1.Health) color {
	switch h {
	case v1alpha1.Healthy:
		return green
	case v1alpha1.Unhealthy:
		return red
	default:
		return yellow
	}
}

// printer keeps the first error.
type printer struct {
	out io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.out, format, args...)
	}
}

func (p *printer) backends(trunk string, rows []v1alpha1.BackendStatus, o *options, colored bool) {
	width := 0
	for i := range rows {
		width = max(width, displayWidth(sanitize(rows[i].Address())))
	}
	for i := range rows {
		branch := "├─ "
		if i == len(rows)-1 {
			branch = "└─ "
		}
		state := rows[i].ServerHealthStatus
		p.printf("%s%s%s  %s  since %s%s\n", trunk, branch, sanitize(pad(rows[i].Address(), width)),
			colorOf(state).paint(pad(state, len(v1alpha1.StatusUnavailable)), colored), o.age(&rows[i].LastTransitionTime), locationText(&rows[i]))
	}
}

// locationText is the last part of a backend's row: its node or pod.
func locationText(b *v1alpha1.BackendStatus) string {
	if text := b.Location(); text != "" {
		return "  " + sanitize(text)
	}
	return ""
}
