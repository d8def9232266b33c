// SPDX-License-Identifier: Apache-2.0

package standin

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// The health of a backend, as DescribeHealthStatus returns it.
const (
	Normal      = "normal"
	Abnormal    = "abnormal"
	Unavailable = "unavailable"
)

// Check returns the health that a health check finds for the backend of an address.
type Check func(ip string) string

// Always is a Check with one result for every backend.
func Always(health string) Check { return func(string) string { return health } }

// Listener is a listener of a load balancer.
type Listener struct {
	Port, BackendPort int32
	Protocol          string
	// CheckDelay is the time from the registration of a backend to the first result
	// of its health check. Until then the backend is unavailable.
	CheckDelay time.Duration
}

// LoadBalancer has the health checks of one load balancer. The simulator has its
// rows, and LoadBalancer is the only one that changes them.
type LoadBalancer struct {
	ID string

	listeners []Listener
	admin     Admin
	ctx       context.Context // of the health checks
	changed   func()          // called after each change of a row
	failed    func(error)

	mu     sync.Mutex
	check  Check
	rows   map[string][]*row // by address, one for each listener
	syncs  int
	paused bool
}

// row is one backend behind one listener.
type row struct {
	checked bool
	health  string
}

// Addresses returns the registered addresses, sorted.
func (l *LoadBalancer) Addresses() []string { return l.addresses(func(string) bool { return true }) }

// normal returns the addresses that are normal behind every listener, sorted.
func (l *LoadBalancer) normal() []string {
	return l.addresses(func(health string) bool { return health == Normal })
}

func (l *LoadBalancer) addresses(matches func(health string) bool) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []string
	for ip, rows := range l.rows {
		if !slices.ContainsFunc(rows, func(r *row) bool { return !matches(r.health) }) {
			found = append(found, ip)
		}
	}
	slices.Sort(found)
	return found
}

// Syncs returns how many times the cloud controller compared the backends to the Service.
func (l *LoadBalancer) Syncs() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.syncs
}

// Pause makes the cloud controller ignore the Service of the load balancer, as one that
// is down does, or continue.
func (l *LoadBalancer) Pause(paused bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paused = paused
}

func (l *LoadBalancer) isPaused() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.paused
}

// IsNormal reports whether an address is normal behind every listener.
func (l *LoadBalancer) IsNormal(ip string) bool { return slices.Contains(l.normal(), ip) }

// SetCheck changes what health checks find, at once for backends that were checked before.
func (l *LoadBalancer) SetCheck(check Check) error {
	defer l.changed()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.check = check
	for ip, rows := range l.rows {
		for i, r := range rows {
			if !r.checked {
				continue
			}
			if err := l.report(ip, i, check(ip)); err != nil {
				return err
			}
		}
	}
	return nil
}

// sync registers and deregisters backends until the load balancer has those of the addresses.
func (l *LoadBalancer) sync(ctx context.Context, addresses []string) error {
	defer l.changed()
	l.mu.Lock()
	defer l.mu.Unlock()
	for ip := range l.rows {
		if slices.Contains(addresses, ip) {
			continue
		}
		if err := l.admin(ctx, http.MethodDelete, l.path()+"?serverIp="+url.QueryEscape(ip), nil); err != nil {
			return err
		}
		delete(l.rows, ip)
	}
	for _, ip := range addresses {
		if _, registered := l.rows[ip]; registered {
			continue
		}
		if err := l.register(ctx, ip); err != nil {
			return err
		}
	}
	l.syncs++
	return nil
}

func (l *LoadBalancer) register(ctx context.Context, ip string) error {
	rows := make([]*row, len(l.listeners))
	for i, listener := range l.listeners {
		err := l.admin(ctx, http.MethodPost, l.path(), map[string]any{
			"serverId": "eni-" + strings.ReplaceAll(ip, ".", "-"), "serverIp": ip, "type": "eni",
			"listenerPort": listener.Port, "listenerProtocol": listener.Protocol, "port": listener.BackendPort,
			"serverHealthStatus": Unavailable,
		})
		if err != nil {
			return err
		}
		rows[i] = &row{health: Unavailable}
		time.AfterFunc(listener.CheckDelay, func() { l.runCheck(ip, i, rows[i]) })
	}
	l.rows[ip] = rows
	return nil
}

// runCheck reports the first result for a row, unless its backend was deregistered meanwhile.
func (l *LoadBalancer) runCheck(ip string, listener int, r *row) {
	if l.ctx.Err() != nil {
		return
	}
	defer l.changed()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Contains(l.rows[ip], r) {
		return
	}
	r.checked = true
	if err := l.report(ip, listener, l.check(ip)); err != nil && l.ctx.Err() == nil {
		l.failed(err)
	}
}

func (l *LoadBalancer) report(ip string, listener int, health string) error {
	r := l.rows[ip][listener]
	if r.health == health {
		return nil
	}
	r.health = health
	return l.admin(l.ctx, http.MethodPatch, l.path(), map[string]any{
		"serverIp": ip, "listenerPort": l.listeners[listener].Port, "serverHealthStatus": health,
	})
}

func (l *LoadBalancer) path() string { return "loadbalancers/" + l.ID + "/backends" }
