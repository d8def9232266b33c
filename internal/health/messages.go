// SPDX-License-Identifier: Apache-2.0

package health

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// Messages have no time, request id, number of attempts or anything else that
// differs between two equal situations: a new message causes a write.

const (
	// messageObserved is in the status of every healthy object: another text would
	// write each of them at an upgrade.
	messageObserved    = "DescribeHealthStatus answered"
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

// messageObservedWith says how many rows of the response were incomplete.
func messageObservedWith(oddRows int) string {
	if oddRows == 0 {
		return messageObserved
	}
	return fmt.Sprintf("%s; %s of the response could not be read in full, and %s as unavailable", messageObserved,
		plural(int32(oddRows), "row", "rows"), map[bool]string{true: "counts", false: "count"}[oddRows == 1])
}

func messageRecovered(reason string) string {
	return "DescribeHealthStatus succeeds again, after " + reason
}

func messageStale(interval time.Duration, why string) string {
	return fmt.Sprintf("the last successful observation is older than %s: %s", staleAfter(interval), why)
}

const messageLate = "observations are late: the API budget (--slb-qps) is used up, calls take too long, or a Secret cannot be read"

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
	if len(others) > 0 {
		text += " (" + strings.Join(others, ", ") + ")"
	}
	if s.Listeners > 1 {
		text += ", on " + strconv.Itoa(int(s.Listeners)) + " listeners"
	}
	return text
}

// messageNoBackends names the target without backends, and the states of its listeners.
func messageNoBackends(target *v1alpha1.ObservedTarget, listeners []v1alpha1.ListenerStatus) string {
	where := target.LoadBalancerID
	if target.ListenerPort != 0 || target.ListenerProtocol != "" {
		where = "listener " + listenerName(target.ListenerPort, string(target.ListenerProtocol)) + " of " + where
	}
	text := "DescribeHealthStatus lists no backends for " + where
	var states []string
	for i := range listeners {
		if listeners[i].Backends > 0 {
			text = "no listener of " + target.LoadBalancerID + " serves"
		}
		if l := &listeners[i]; l.State != "" {
			states = append(states, "listener "+nameOf(l)+" "+stateWords[l.State])
		}
	}
	if len(states) > 0 {
		text += ": " + firstFew(states)
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
func describeListener(l *v1alpha1.ListenerStatus, p policy) string {
	name := "listener " + nameOf(l)
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
	text += " of " + plural(l.Backends, "backend", "backends")
	if l.Missing > 0 {
		text += fmt.Sprintf(" and %d missing", l.Missing)
	}
	return text + fmt.Sprintf(", needs %d healthy", p.required(l.Backends+l.Missing))
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
func firstFew(texts []string) string {
	if len(texts) <= maxListenersNamed {
		return strings.Join(texts, "; ")
	}
	others := plural(int32(len(texts)-maxListenersNamed), "listener", "listeners")
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
