// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// The values that the API knows.
const (
	StatusNormal      = "normal"
	StatusAbnormal    = "abnormal"
	StatusUnavailable = "unavailable"
)

var (
	healthStatuses = []string{StatusNormal, StatusAbnormal, StatusUnavailable}
	protocols      = []string{"tcp", "udp", "http", "https"}
	backendTypes   = []string{"ecs", "eni"}

	loadBalancerIDs      = shape{regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`), "id", "1 to 128 letters, digits, - or _"}
	loadBalancerPatterns = shape{regexp.MustCompile(`^[A-Za-z0-9_*-]{1,128}$`), "pattern", "a load balancer id, with * for any characters"}
	listenerIDs          = shape{regexp.MustCompile(`^[A-Za-z0-9@_-]{1,128}$`), "listener id", "1 to 128 letters, digits, @, - or _"}
	groupIDs             = shape{regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`), "id", "1 to 128 letters, digits, - or _"}
	fieldNames           = shape{regexp.MustCompile(`^[A-Za-z]{1,64}$`), "field", "a name of the response, such as HeathCheckEnabled"}
	regionIDs            = shape{regexp.MustCompile(`^[a-z]{2,3}(-[a-z0-9]+)+$`), "region", "one such as cn-hangzhou"}
	accessKeyIDs         = shape{regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`), "key id", "1 to 128 letters, digits, ., - or _"}
	errorCodes           = shape{regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`), "error code", "one such as Throttling.User"}
)

// shape is the form of one sort of ids.
type shape struct {
	pattern    *regexp.Regexp
	noun, rule string
}

func (s shape) check(field, value string) error {
	if s.pattern.MatchString(value) {
		return nil
	}
	return fmt.Errorf("%s: %q is no %s: write %s", field, value, s.noun, s.rule)
}

// Validate reports the first value that the API could not have, by its path in the file.
func (c Config) Validate() error {
	if c.Accounts != nil && len(c.Accounts) == 0 {
		return errors.New("accounts: the list is empty: write an account, or omit it to accept any key")
	}
	seen := map[string]bool{}
	for i, account := range c.Accounts {
		at := fmt.Sprintf("accounts[%d]", i)
		if err := account.validate(at); err != nil {
			return err
		}
		if seen[account.AccessKeyID] {
			return fmt.Errorf("%s.accessKeyId: %q stands twice: write each key once", at, account.AccessKeyID)
		}
		seen[account.AccessKeyID] = true
	}
	seen = map[string]bool{}
	for i, lb := range c.LoadBalancers {
		at := fmt.Sprintf("loadBalancers[%d].", i)
		if err := lb.validate(at); err != nil {
			return err
		}
		if seen[lb.LoadBalancerID] {
			return fmt.Errorf("%sloadBalancerId: %q stands twice: write each load balancer once", at, lb.LoadBalancerID)
		}
		seen[lb.LoadBalancerID] = true
	}
	return cmp.Or(c.NLB.validate("nlb.", ProductNLB), c.ALB.validate("alb.", ProductALB))
}

func (a Account) validate(at string) error {
	switch {
	case a.AccessKeyID == "":
		return fmt.Errorf("%s.accessKeyId: missing: write the key's id", at)
	case a.AccessKeySecret == "":
		return fmt.Errorf("%s.accessKeySecret: missing: write the key's secret", at)
	case a.QPS < 0:
		return fmt.Errorf("%s.qps: %v is below 0: write calls per second, or omit it for no limit", at, a.QPS)
	case a.Burst < 0 || a.Burst > 0 && a.QPS == 0:
		return fmt.Errorf("%s.burst: %d makes no sense here: write a positive number beside qps", at, a.Burst)
	}
	for i, pattern := range a.Allow {
		if err := loadBalancerPatterns.check(fmt.Sprintf("%s.allow[%d]", at, i), pattern); err != nil {
			return err
		}
	}
	return accessKeyIDs.check(at+".accessKeyId", a.AccessKeyID)
}

// validate reports fields below at, which is empty or has a dot at its end.
func (lb LoadBalancer) validate(at string) error {
	if err := loadBalancerIDs.check(at+"loadBalancerId", lb.LoadBalancerID); err != nil {
		return err
	}
	if err := regionIDs.check(at+"regionId", lb.RegionID); err != nil {
		return err
	}
	seen := map[backendKey]bool{}
	for i, backend := range lb.Backends {
		below := fmt.Sprintf("%sbackends[%d].", at, i)
		if err := backend.validate(below); err != nil {
			return err
		}
		if seen[backend.key()] {
			return fmt.Errorf("%sserverId: %q stands twice behind this listener: write each server, address and port once",
				below, backend.ServerID)
		}
		seen[backend.key()] = true
	}
	return lb.validateListeners(at)
}

func (lb LoadBalancer) validateListeners(at string) error {
	seen := map[ListenerSelector]bool{}
	for i, l := range lb.Listeners {
		below := fmt.Sprintf("%slisteners[%d].", at, i)
		if err := l.validate(below); err != nil {
			return err
		}
		key := ListenerSelector{l.ListenerPort, l.ListenerProtocol}
		if seen[key] {
			return fmt.Errorf("%slistenerPort: %d %s stands twice: write each listener once", below, l.ListenerPort, l.ListenerProtocol)
		}
		seen[key] = true
	}
	return nil
}

func (b Backend) validate(at string) error {
	if b.ServerID == "" {
		return fmt.Errorf("%sserverId: missing: write the id of the instance or network interface", at)
	}
	for _, port := range []struct {
		field string
		value int
	}{{"listenerPort", b.ListenerPort}, {"port", b.Port}} {
		if port.value < 0 || port.value > 65535 {
			return fmt.Errorf("%s%s: %d is no port: write 1 to 65535, or omit it", at, port.field, port.value)
		}
	}
	if err := checkWords(at, word{"type", b.Type, backendTypes}, word{"listenerProtocol", b.ListenerProtocol, protocols},
		word{"serverHealthStatus", b.ServerHealthStatus, healthStatuses}); err != nil {
		return err
	}
	for _, address := range []struct{ field, value string }{{"serverIp", b.ServerIP}, {"eniHost", b.EniHost}} {
		if _, err := netip.ParseAddr(address.value); address.value != "" && err != nil {
			return fmt.Errorf("%s%s: %q is no IP address: write one such as 10.0.0.1, or omit it", at, address.field, address.value)
		}
	}
	return nil
}

// word is an optional value and those that the API knows.
type word struct {
	field, value string
	known        []string
}

// checkWords reports the first unknown value.
func checkWords(at string, words ...word) error {
	for _, w := range words {
		if w.value != "" && !slices.Contains(w.known, w.value) {
			return fmt.Errorf("%s%s: %q is not known: write one of %s", at, w.field, w.value, strings.Join(w.known, ", "))
		}
	}
	return nil
}
