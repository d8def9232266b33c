// SPDX-License-Identifier: Apache-2.0

package health

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// Messages have no time, request id, number of attempts or anything else that
// differs between two equal situations: a new message causes a write.

const (
	messageSuspended   = "spec.suspend is true: observation is suspended"
	messagePending     = "waiting for the first observation"
	messageProgressing = "the first observation of this generation is under way"
	messageRequested   = "the observation that " + v1alpha1.ObserveRequestedAtAnnotation + " requests was attempted and has not succeeded yet: it is retried"

	// messageAbsent has no number, which may differ at each observation.
	messageAbsent     = "some of the backends that the cluster expects are not registered yet"
	messageRegistered = "every backend that the cluster expects is registered"

	maxListenersNamed = 3
	maxBackendsNamed  = 3
	// maxMessage bounds a message that names backends, and maxHistoryMessage one of
	// the history, in characters.
	maxMessage        = 1000
	maxHistoryMessage = 256
)

func messagePendingAfter(failure string) string { return "no observation yet: " + failure }

// healthCallOf is the call that returns the health of a target.
func healthCallOf(target *v1alpha1.ObservedTarget) string {
	if productOf(target) == alicloud.ProductCLB {
		return "DescribeHealthStatus"
	}
	return "GetListenerHealthStatus"
}

// productOf is the product of a target: clb, nlb or alb.
func productOf(target *v1alpha1.ObservedTarget) string {
	return alicloud.ProductOf(target.LoadBalancerID)
}

// messageObserved says how many rows of the response were incomplete. It is in the
// status of every healthy object: another text would write each of them at an upgrade.
func messageObserved(call string, oddRows int) string {
	text := call + " answered"
	if oddRows == 0 {
		return text
	}
	return fmt.Sprintf("%s; %s of the response could not be read in full, and %s as unavailable", text,
		plural(int32(oddRows), "row", "rows"), map[bool]string{true: "counts", false: "count"}[oddRows == 1])
}

func messageRecovered(call, reason string) string {
	return call + " succeeds again, after " + reason
}

func messageStale(interval time.Duration, why string) string {
	return fmt.Sprintf("the last successful observation is older than %s: %s", staleAfter(interval), why)
}

const messageLate = "observations are late: the API budget (--slb-qps) is used up, calls take too long, or a Secret cannot be read"

// messageCounts describes the backends where the policy is met.
func messageCounts(s *v1alpha1.Summary, listeners []v1alpha1.ListenerStatus) string {
	if s.Backends == 0 {
		return "there are no backends" + inParentheses(notUsed(s.Unused)) + ", and healthPolicy.minHealthy is 0"
	}
	checkOff := int32(0)
	for i := range listeners {
		checkOff += uncheckedOn(&listeners[i])
	}
	// Concatenation, because this runs for nearly every observation: Sprintf
	// allocates three times as often.
	text := strconv.Itoa(int(s.Normal)) + " of " + plural(s.Backends, "backend is", "backends are") + " normal"
	var others []string
	if s.Abnormal > 0 {
		others = append(others, fmt.Sprintf("%d abnormal", s.Abnormal))
	}
	if n := s.Unavailable - checkOff; n > 0 {
		others = append(others, fmt.Sprintf("%d without a health-check result", n))
	}
	if checkOff > 0 {
		others = append(others, fmt.Sprintf("%d whose health check is off", checkOff))
	}
	if s.Unused > 0 {
		others = append(others, notUsed(s.Unused))
	}
	return text + inParentheses(others...) + onListeners(listeners)
}

// onListeners says on how many listeners the backends are, or in how many server
// groups where a listener has several; "" for one.
func onListeners(listeners []v1alpha1.ListenerStatus) string {
	groups, withGroups := 0, 0
	for i := range listeners {
		l := &listeners[i]
		if l.ServerGroupID == "" {
			continue
		}
		groups++
		if i == 0 || !matches(l, listeners[i-1].Port, listeners[i-1].Protocol) {
			withGroups++
		}
	}
	switch {
	case groups > withGroups:
		return ", in " + strconv.Itoa(groups) + " server groups of " + plural(int32(withGroups), "listener", "listeners")
	case len(listeners) > 1:
		return ", on " + strconv.Itoa(len(listeners)) + " listeners"
	default:
		return ""
	}
}

// uncheckedOn is how many backends of a listener have no result because its health
// check, or that of its server group, is off.
func uncheckedOn(l *v1alpha1.ListenerStatus) int32 {
	if l.HealthCheck != v1alpha1.HealthCheckDisabled {
		return 0
	}
	return l.Unavailable
}

// notUsed counts the backends that get no requests, and are in no other count; "" for none.
func notUsed(unused int32) string {
	if unused == 0 {
		return ""
	}
	return strconv.Itoa(int(unused)) + " not used: weight 0"
}

// inParentheses joins the texts that are not empty; "" for none.
func inParentheses(texts ...string) string {
	if texts = slices.DeleteFunc(texts, func(text string) bool { return text == "" }); len(texts) == 0 {
		return ""
	}
	return " (" + strings.Join(texts, ", ") + ")"
}

// switchOf says where the health check of a product is switched on, where that is
// not where users expect it. ALB Ingress switches it off by default.
func switchOf(product string) string {
	if product != alicloud.ProductALB {
		return ""
	}
	return " (of an ALB Ingress by the annotation alb.ingress.kubernetes.io/healthcheck-enabled)"
}

// failOpenNote says what a product does while all backends of a server group fail.
func failOpenNote(product string) string {
	return "an " + strings.ToUpper(product) + " still sends requests to all of them"
}

// messageNoBackends names the target without backends, and the states of its listeners.
func messageNoBackends(target *v1alpha1.ObservedTarget, listeners []v1alpha1.ListenerStatus, unused int32) string {
	where := target.LoadBalancerID
	if target.ListenerPort != 0 || target.ListenerProtocol != "" {
		where = "listener " + listenerName(target.ListenerPort, string(target.ListenerProtocol)) + " of " + where
	}
	text := "DescribeHealthStatus lists no backends for " + where
	if productOf(target) != alicloud.ProductCLB { // it takes several calls to know
		text = "there are no backends behind " + where
	}
	text += inParentheses(notUsed(unused))
	var states []string
	for i := range listeners {
		if listeners[i].Backends > 0 {
			text = "no listener of " + target.LoadBalancerID + " serves"
		}
		if l := &listeners[i]; l.State != "" {
			states = append(states, "listener "+nameAmong(listeners, l)+" "+stateWords[l.State])
		}
	}
	if len(states) > 0 {
		text += ": " + fewOf(states, unitOf(listeners))
	}
	return text
}

// stateWords describe a listener without backends by its state.
var stateWords = map[v1alpha1.ListenerState]string{
	v1alpha1.ListenerRunning:  "is Running and has none",
	v1alpha1.ListenerStopped:  "is Stopped",
	v1alpha1.ListenerRedirect: "only redirects (Redirect)",
}

// messageMissing names the missing listeners, the two possible causes, and the
// two remedies.
func messageMissing(listeners []v1alpha1.ListenerStatus, acceptProblem string) string {
	var names []string
	for i := range listeners {
		if l := &listeners[i]; l.MissingSince != nil {
			names = append(names, nameOf(l))
		}
	}
	text := "is no longer in the response: it was emptied, or it was removed; allow slb:DescribeLoadBalancerListeners, which distinguishes them, " +
		"or accept that it was removed: annotate " + v1alpha1.ListenersAcceptedAtAnnotation + " with the current time"
	if len(names) == 1 {
		text = "listener " + names[0] + " " + text
	} else {
		text = "each of the listeners " + firstFew(names) + " " + text
	}
	if acceptProblem != "" {
		text += "; the annotation's value " + acceptProblem
	}
	return text
}

// describeListener says how many backends a listener has, and how many healthy
// ones it needs.
func describeListener(l *v1alpha1.ListenerStatus, name string, p policy) string {
	name = "listener " + name
	switch {
	case l.State == v1alpha1.ListenerStopped:
		return name + " is Stopped: it accepts no connections"
	case l.Backends == 0 && l.Health == v1alpha1.Unknown:
		return name + " has no backends while it is starting, stopping or being configured"
	case l.Backends == 0:
		return name + " has no backends" + inParentheses(notUsed(l.Unused))
	}
	text := fmt.Sprintf("%s has %d normal", name, l.Normal)
	switch {
	case uncheckedOn(l) > 0:
		text += fmt.Sprintf(" and %d whose health check is off", l.Unavailable)
	case l.Unavailable > 0:
		text += fmt.Sprintf(" and %d without a health-check result", l.Unavailable)
	}
	text += " of " + plural(l.Backends, "backend", "backends")
	if l.Missing > 0 {
		text += fmt.Sprintf(" and %d missing", l.Missing)
	}
	return text + inParentheses(notUsed(l.Unused)) + fmt.Sprintf(", needs %d healthy", p.required(l.Backends+l.Missing))
}

// message names the first few missing backends with their causes, and where to look.
func (c *comparison) message() string {
	var names []string
	for i := range min(len(c.rows), maxBackendsNamed) {
		b := &c.rows[i]
		about := "listener " + listenerName(b.ListenerPort, b.ListenerProtocol)
		if c.causes[i].Diagnosis != "" {
			about += ": " + strings.TrimSuffix(c.causes[i].Message, ": "+seeController)
		}
		names = append(names, b.Address()+" ("+about+")")
	}
	if others := int(c.missing) - len(names); others > 0 {
		names = append(names, "and "+strconv.Itoa(others)+" more")
	}
	text := fmt.Sprintf("%d of %s not registered: ", c.missing, plural(c.expects, "expected backend is", "expected backends are"))
	const where = "; " + seeController
	return shortened(text+strings.Join(names, "; "), maxMessage-len(where)) + where
}

func messageNotDetermined(why []string) string {
	return shortened("which backends the cluster expects is not determined: "+firstFew(why), maxMessage)
}

// shortened returns at most a number of characters of a text.
func shortened(text string, maximum int) string {
	if len(text) <= maximum || utf8.RuneCountInString(text) <= maximum {
		return text
	}
	return string([]rune(text)[:maximum-len("...")]) + "..."
}

// firstFew joins the first few texts, which are about one listener each, and
// says how many more there are.
func firstFew(texts []string) string { return fewOf(texts, "listener") }

// fewOf is firstFew for texts that are about one unit each.
func fewOf(texts []string, unit string) string {
	if len(texts) <= maxListenersNamed {
		return strings.Join(texts, "; ")
	}
	others := plural(int32(len(texts)-maxListenersNamed), unit, unit+"s")
	return strings.Join(texts[:maxListenersNamed], "; ") + "; and " + others + " more"
}

// nameOf is port/protocol of a listener, and its server group where it has one.
func nameOf(l *v1alpha1.ListenerStatus) string {
	name := listenerName(l.Port, l.Protocol)
	if l.ServerGroupID == "" {
		return name
	}
	return name + " (server group " + l.ServerGroupID + ")"
}

// nameAmong is port/protocol of one of the listeners, and its server group where
// the listener has several.
func nameAmong(listeners []v1alpha1.ListenerStatus, l *v1alpha1.ListenerStatus) string {
	if isOneOfSeveral(listeners, l) {
		return nameOf(l)
	}
	return listenerName(l.Port, l.Protocol)
}

// unitOf is what each entry of the listeners is about.
func unitOf(listeners []v1alpha1.ListenerStatus) string {
	if slices.ContainsFunc(listeners, func(l v1alpha1.ListenerStatus) bool { return isOneOfSeveral(listeners, &l) }) {
		return "server group"
	}
	return "listener"
}

// isOneOfSeveral returns whether an entry is for one of several server groups of a listener.
func isOneOfSeveral(listeners []v1alpha1.ListenerStatus, l *v1alpha1.ListenerStatus) bool {
	return l.ServerGroupID != "" && slices.ContainsFunc(listeners, func(other v1alpha1.ListenerStatus) bool {
		return other.ServerGroupID != l.ServerGroupID && matches(l, other.Port, other.Protocol)
	})
}

// listenerName is port/protocol, as far as they are known.
func listenerName(port int32, protocol string) string {
	switch {
	case port == 0 && protocol == "":
		return "of unknown port"
	case port == 0:
		return protocol
	case protocol == "":
		return strconv.Itoa(int(port))
	default:
		return strconv.Itoa(int(port)) + "/" + protocol
	}
}

func plural(n int32, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(int(n)) + " " + many
}
