// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

func runTree(ctx context.Context, o *options, name string) error {
	_, object, err := o.object(ctx, name)
	if err != nil {
		return err
	}
	return tree(o.Out, object, o)
}

// printer keeps the first error.
type printer struct {
	out     io.Writer
	o       *options
	colored bool
	err     error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.out, format, args...)
	}
}

// tree prints an object, its listeners and their server groups, the backends of each,
// and the last changes of its health. What needs attention is first.
func tree(out io.Writer, object *v1alpha1.LoadBalancerHealth, o *options) error {
	p := &printer{out: out, o: o, colored: o.colored(o.Out)}
	p.head(object)
	ports, history := byPort(listenersOf(object)), object.Status.History
	for i, groups := range ports {
		branch, trunk := fork(i == len(ports)-1 && len(history) == 0)
		if len(groups) == 1 {
			p.printf("%s%s\n", branch, p.listener(&groups[0], groups[0].key().String()))
			p.backends(trunk, &groups[0], object.Name)
			continue
		}
		p.printf("%s%s\n", branch, p.groups(groups))
		for j := range groups {
			branch, below := fork(j == len(groups)-1)
			p.printf("%s%s%s\n", trunk, branch, p.listener(&groups[j], cmp.Or(groups[j].ServerGroupID, groups[j].key().String())))
			p.backends(trunk+below, &groups[j], object.Name)
		}
	}
	p.history(history)
	return p.err
}

// fork is what is before a row and before the rows below it.
func fork(last bool) (branch, below string) {
	if last {
		return "└─ ", "   "
	}
	return "├─ ", "│  "
}

// head prints what is known of the object as a whole.
func (p *printer) head(object *v1alpha1.LoadBalancerHealth) {
	r := p.o.rank(object)
	p.printf("%s  %s  %s  %s%s\n", sanitize(object.Name), r.color().paint(r.label(), p.colored), cmp.Or(sanitize(headReason(object, r)), "-"),
		sanitize(headTarget(object)), p.since(item{options: p.o, object: object}.since()))
	if warning := p.o.notUpdated(object); warning != "" {
		p.printf("│  %s\n", yellow.paint(warning+" This is the stored status:", p.colored))
	}
	if message := messageOf(object, v1alpha1.ConditionReady); message != "" {
		p.printf("│  %s\n", sanitize(message))
	}
	if r == failing {
		p.printf("│  %s\n", yellow.paint(messageOf(object, v1alpha1.ConditionObserved), p.colored))
	}
	if c := meta.FindStatusCondition(object.Status.Conditions, v1alpha1.ConditionRegistered); c != nil {
		text := fmt.Sprintf("Registered %s, %s: %s", c.Status, c.Reason, c.Message)
		p.printf("│  %s%s\n", registeredColor(c.Status).paint(text, p.colored), p.since(c.LastTransitionTime.Time))
	}
	p.printf("│  %s\n", sanitize(policyText(object)))
	if at := object.Status.LastObservedTime; !at.IsZero() {
		p.printf("│  status of an observation %s ago, interval %s\n", p.o.age(at), duration.HumanDuration(intervalOf(object)))
	}
}

func registeredColor(status metav1.ConditionStatus) color {
	switch status {
	case metav1.ConditionTrue:
		return plain
	case metav1.ConditionFalse:
		return red
	default:
		return yellow
	}
}

// policyText is the policy of an object, and how many backends may fail.
func policyText(object *v1alpha1.LoadBalancerHealth) string {
	minHealthy, unavailable := "1", v1alpha1.Unknown
	if p := object.Spec.HealthPolicy; p != nil {
		if p.MinHealthy != nil {
			minHealthy = p.MinHealthy.String()
		}
		unavailable = cmp.Or(p.Unavailable, unavailable)
	}
	text := fmt.Sprintf("policy: minHealthy %s, unavailable %s", minHealthy, unavailable)
	if allowed := summaryOf(object).DisruptionsAllowed; allowed != nil {
		text += "; " + plural(int(*allowed), "disruption") + " allowed"
	}
	return text
}

// since is the age of a time, as the last part of a row; "" for the zero time.
func (p *printer) since(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return "  since " + p.o.age(&metav1.Time{Time: at})
}

// groups is the row of a listener with several server groups, the worst of them first.
func (p *printer) groups(groups []listener) string {
	counts := map[v1alpha1.Health]int{}
	for i := range groups {
		counts[groups[i].Health]++
	}
	var parts []string
	for _, health := range urgencies {
		if n := counts[health]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, health))
		}
	}
	worst := groups[0].Health
	name := listenerKey{port: groups[0].Port, protocol: groups[0].Protocol}.String()
	return fmt.Sprintf("%s  %s  %s: %s", sanitize(name), healthColor(worst).paint(string(worst), p.colored), plural(len(groups), "server group"), strings.Join(parts, ", "))
}

// listener is the row of a listener or of a server group.
func (p *printer) listener(l *listener, name string) string {
	text := fmt.Sprintf("%s  %s  %d/%d normal, needs %d", sanitize(name), healthColor(l.Health).paint(string(l.Health), p.colored), l.Normal, l.Backends, l.required)
	if l.Expected != nil && l.Missing > 0 {
		text += "  " + red.paint(fmt.Sprintf("%d of %d expected missing", l.Missing, *l.Expected), p.colored)
	}
	if l.Unused > 0 {
		text += fmt.Sprintf("  %d not used: weight 0", l.Unused)
	}
	if state := l.stateShown(); state != "" && state != string(v1alpha1.ListenerRunning) {
		text += "  " + yellow.paint(state, p.colored)
	}
	if l.HealthCheck == v1alpha1.HealthCheckDisabled {
		text += "  " + yellow.paint("health check off", p.colored)
	}
	return text + p.since(l.since())
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

// headTarget is the load balancer and its region, and the Service or Ingress that names it.
func headTarget(object *v1alpha1.LoadBalancerHealth) string {
	loadBalancer, region := targetOf(object)
	switch {
	case region == "-":
		return loadBalancer
	case object.Spec.HasReference():
		return loadBalancer + " " + region + " " + referenceOf(object)
	default:
		return loadBalancer + " " + region
	}
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

// notesOf is the last part of a backend's row: why its check fails, and its node or pod.
func notesOf(b *v1alpha1.BackendStatus) string {
	var text strings.Builder
	for _, note := range []string{b.Reason, b.Location()} {
		if note != "" {
			text.WriteString("  " + sanitize(note))
		}
	}
	return text.String()
}
