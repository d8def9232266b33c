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
	messageSuspended   = "spec.suspend is true: nobody looks at this load balancer"
	messagePending     = "waiting for the first answer"
	messageProgressing = "the first observation of this generation is under way"

	maxListenersNamed = 3
)

func messagePendingAfter(failure string) string { return "no answer yet: " + failure }

func messageRecovered(reason string) string {
	return "DescribeHealthStatus answers again, after " + reason
}

func messageStale(interval time.Duration, why string) string {
	return fmt.Sprintf("the last answer is older than %s: %s", staleAfter(interval), why)
}

const messageLate = "observations are late: the API budget (--slb-qps) is spent, calls take too long, or a Secret cannot be read"

// messageCounts describes the backends where the policy is met.
func messageCounts(s *v1alpha1.Summary) string {
	if s.Backends == 0 {
		return "there are no backends, and healthPolicy.minHealthy is 0"
	}
	text := fmt.Sprintf("%d of %s normal", s.Normal, plural(s.Backends, "backend is", "backends are"))
	var others []string
	if s.Abnormal > 0 {
		others = append(others, fmt.Sprintf("%d abnormal", s.Abnormal))
	}
	if s.Unavailable > 0 {
		others = append(others, fmt.Sprintf("%d without a health-check result", s.Unavailable))
	}
	if len(others) > 0 {
		text += " (" + strings.Join(others, ", ") + ")"
	}
	if s.Listeners > 1 {
		text += fmt.Sprintf(", on %d listeners", s.Listeners)
	}
	return text
}

// messageNoBackends says what was looked at and found empty.
func messageNoBackends(target *v1alpha1.ObservedTarget) string {
	where := target.LoadBalancerID
	if target.ListenerPort != 0 || target.ListenerProtocol != "" {
		where = "listener " + listenerName(target.ListenerPort, string(target.ListenerProtocol)) + " of " + where
	}
	return "DescribeHealthStatus lists no backends for " + where
}

// messageListeners names the listeners at fault, the first few of them.
func messageListeners(listeners []v1alpha1.ListenerStatus, at v1alpha1.Health, p policy) string {
	var named []string
	others := 0
	for i := range listeners {
		l := &listeners[i]
		if l.Health != at {
			continue
		}
		if len(named) == maxListenersNamed {
			others++
			continue
		}
		text := fmt.Sprintf("listener %s has %d normal", listenerName(l.Port, l.Protocol), l.Normal)
		if l.Unavailable > 0 {
			text += fmt.Sprintf(" and %d without a health-check result", l.Unavailable)
		}
		text += fmt.Sprintf(" of %s, needs %d healthy", plural(l.Backends, "backend", "backends"), p.required(l.Backends))
		named = append(named, text)
	}
	text := strings.Join(named, "; ")
	if others > 0 {
		text += fmt.Sprintf("; and %s more", plural(int32(others), "listener", "listeners"))
	}
	return text
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
