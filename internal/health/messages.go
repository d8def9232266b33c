// SPDX-License-Identifier: Apache-2.0

package health

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// Messages hold no time, request id, count of attempts or anything else that
// differs between two equal situations: a message that changes is a write.

const (
	messageObserved    = "DescribeHealthStatus answered"
	messageSuspended   = "spec.suspend is true: observation is suspended"
	messagePending     = "waiting for the first answer"
	messageProgressing = "the first observation of this generation is under way"
	messageRequested   = "the observation that " + v1alpha1.ObserveRequestedAtAnnotation + " requests was attempted and is not answered yet: it is retried"

	maxListenersNamed = 3
)

func messagePendingAfter(failure string) string { return "no answer yet: " + failure }

// messageObservedWith says how many rows of an answer could not be read in full.
func messageObservedWith(oddRows int) string {
	if oddRows == 0 {
		return messageObserved
	}
	return fmt.Sprintf("%s; %s of the answer could not be read in full, and %s as unavailable", messageObserved,
		plural(int32(oddRows), "row", "rows"), map[bool]string{true: "counts", false: "count"}[oddRows == 1])
}

func messageRecovered(reason string) string {
	return "DescribeHealthStatus answers again, after " + reason
}

func messageStale(interval time.Duration, why string) string {
	return fmt.Sprintf("the last answer is older than %s: %s", staleAfter(interval), why)
}

const messageLate = "observations are late: the API budget (--slb-qps) is spent, calls take too long, or a Secret cannot be read"

// messageCounts describes the backends where the policy is met.
func messageCounts(s *v1alpha1.Summary, listeners []v1alpha1.ListenerStatus) string {
	if s.Backends == 0 {
		return "there are no backends, and healthPolicy.minHealthy is 0"
	}
	checkOff := int32(0)
	for i := range listeners {
		if listeners[i].HealthCheck == v1alpha1.HealthCheckDisabled {
			checkOff += listeners[i].Unavailable
		}
	}
	text := fmt.Sprintf("%d of %s normal", s.Normal, plural(s.Backends, "backend is", "backends are"))
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
	if len(others) > 0 {
		text += " (" + strings.Join(others, ", ") + ")"
	}
	if s.Listeners > 1 {
		text += fmt.Sprintf(", on %d listeners", s.Listeners)
	}
	return text
}

// messageNoBackends says what was found empty, and in which state the listeners are.
func messageNoBackends(target *v1alpha1.ObservedTarget, listeners []v1alpha1.ListenerStatus) string {
	where := target.LoadBalancerID
	if target.ListenerPort != 0 || target.ListenerProtocol != "" {
		where = "listener " + listenerName(target.ListenerPort, string(target.ListenerProtocol)) + " of " + where
	}
	text := "DescribeHealthStatus lists no backends for " + where
	var named []string
	for i := range listeners {
		if listeners[i].Backends > 0 {
			text = "no listener of " + target.LoadBalancerID + " serves"
		}
		if l := &listeners[i]; l.State != "" {
			named = append(named, "listener "+listenerName(l.Port, l.Protocol)+" "+stateWords[l.State])
		}
	}
	if len(named) > 0 {
		text += ": " + firstFew(named)
	}
	return text
}

// stateWords say what a state of a listener without backends means.
var stateWords = map[v1alpha1.ListenerState]string{
	v1alpha1.ListenerRunning:  "is Running and has none",
	v1alpha1.ListenerStopped:  "is Stopped",
	v1alpha1.ListenerRedirect: "only redirects (Redirect)",
}

// messageMissing names the missing listeners, both explanations and both ways out.
func messageMissing(listeners []v1alpha1.ListenerStatus, unaccepted string) string {
	var named []string
	for i := range listeners {
		if l := &listeners[i]; l.MissingSince != nil {
			named = append(named, listenerName(l.Port, l.Protocol))
		}
	}
	text := "is not in the answer any more: it was emptied, or it was removed; allow slb:DescribeLoadBalancerListeners, which tells them apart, " +
		"or accept that it is gone: annotate " + v1alpha1.ListenersAcceptedAtAnnotation + " with the time of now"
	if len(named) == 1 {
		text = "listener " + named[0] + " " + text
	} else {
		text = "each of the listeners " + firstFew(named) + " " + text
	}
	if unaccepted != "" {
		text += "; the annotation's value " + unaccepted
	}
	return text
}

// describeListener says what a listener has, and what it needs.
func describeListener(l *v1alpha1.ListenerStatus, p policy) string {
	name := "listener " + listenerName(l.Port, l.Protocol)
	switch {
	case l.State == v1alpha1.ListenerStopped:
		return name + " is Stopped: it accepts no connections"
	case l.Backends == 0 && l.Health == v1alpha1.Unknown:
		return name + " has no backends while it is starting, stopping or being configured"
	case l.Backends == 0:
		return name + " has no backends"
	}
	text := fmt.Sprintf("%s has %d normal", name, l.Normal)
	switch {
	case l.Unavailable > 0 && l.HealthCheck == v1alpha1.HealthCheckDisabled:
		text += fmt.Sprintf(" and %d whose health check is off", l.Unavailable)
	case l.Unavailable > 0:
		text += fmt.Sprintf(" and %d without a health-check result", l.Unavailable)
	}
	return text + fmt.Sprintf(" of %s, needs %d healthy", plural(l.Backends, "backend", "backends"), p.required(l.Backends))
}

// firstFew joins the first few of a list, and says how many more there are.
func firstFew(named []string) string {
	if len(named) <= maxListenersNamed {
		return strings.Join(named, "; ")
	}
	others := plural(int32(len(named)-maxListenersNamed), "listener", "listeners")
	return strings.Join(named[:maxListenersNamed], "; ") + "; and " + others + " more"
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
