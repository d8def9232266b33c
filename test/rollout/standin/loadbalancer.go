// SPDX-License-Identifier: Apache-2.0

package standin

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// The health of a backend, as DescribeHealthStatus returns it.
const (
	Normal      = "normal"
	Abnormal    = "abnormal"
	Unavailable = "unavailable"
)

// Check returns the health that a health check finds for a backend: the address of
// a pod, or the id of a node.
type Check func(key string) string

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

	// work is held while the cloud controller reconciles the Service, so that what the
	// tests change counts for the next time.
	work sync.Mutex

	mu       sync.Mutex
	check    Check
	backends map[string]*registered // by key
	syncs    int
	paused   bool
	skipped  []string // keys
	nodes    bool
}

// backend is what the cloud controller registers.
type backend struct {
	// key is the address of a pod, or the id of a node.
	key    string
	isNode bool
	// ports are one for each listener.
	ports []int32
	// pod is the pod; nil for a node.
	pod *corev1.ObjectReference
}

// registered is a backend with its rows, one for each listener.
type registered struct {
	backend
	rows []*row
}

// row is one backend behind one listener.
type row struct {
	checked bool
	health  string
}

// Addresses returns the keys of the registered backends, sorted.
func (l *LoadBalancer) Addresses() []string { return l.keys(func(string) bool { return true }) }

// normal returns the keys of the backends that are normal behind every listener, sorted.
func (l *LoadBalancer) normal() []string {
	return l.keys(func(health string) bool { return health == Normal })
}

func (l *LoadBalancer) keys(matches func(health string) bool) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []string
	for key, b := range l.backends {
		if !slices.ContainsFunc(b.rows, func(r *row) bool { return !matches(r.health) }) {
			found = append(found, key)
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
	l.work.Lock()
	defer l.work.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paused = paused
}

// UseNodes makes nodes the backends, and not pods: a setting of the cloud controller
// that the cluster does not show.
func (l *LoadBalancer) UseNodes() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.nodes = true
}

func (l *LoadBalancer) usesNodes() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.nodes
}

// Skip makes the cloud controller ignore these backends from its next reconcile on, and
// no others: it registers none of them, and removes those that are registered.
func (l *LoadBalancer) Skip(keys ...string) {
	l.work.Lock()
	defer l.work.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.skipped = keys
}

// Deregister removes registered backends, as a user of the console can.
func (l *LoadBalancer) Deregister(ctx context.Context, keys ...string) error {
	defer l.changed()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, key := range keys {
		if b := l.backends[key]; b == nil {
			return fmt.Errorf("%s is not registered", key)
		} else if err := l.deregister(ctx, b); err != nil {
			return err
		}
	}
	return nil
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
	for _, b := range l.backends {
		for i, r := range b.rows {
			if !r.checked {
				continue
			}
			if err := l.report(b, i, check(b.key)); err != nil {
				return err
			}
		}
	}
	return nil
}

// has reports whether a backend is registered.
func (l *LoadBalancer) has(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.backends[key] != nil
}

// ports returns a port for each listener.
func (l *LoadBalancer) ports(of func(listener int32) int32) []int32 {
	ports := make([]int32, 0, len(l.listeners))
	for i := range l.listeners {
		ports = append(ports, of(l.listeners[i].Port))
	}
	return ports
}

// sync registers and deregisters backends until the load balancer has these. One whose
// port changed is registered again.
func (l *LoadBalancer) sync(ctx context.Context, wanted []backend) error {
	defer l.changed()
	l.mu.Lock()
	defer l.mu.Unlock()
	wanted = slices.DeleteFunc(slices.Clone(wanted), func(b backend) bool { return slices.Contains(l.skipped, b.key) })
	for _, b := range l.backends {
		isSame := func(w backend) bool { return w.key == b.key && slices.Equal(w.ports, b.ports) }
		if slices.ContainsFunc(wanted, isSame) {
			continue
		}
		if err := l.deregister(ctx, b); err != nil {
			return err
		}
	}
	for i := range wanted {
		if l.backends[wanted[i].key] != nil {
			continue
		}
		if err := l.register(ctx, wanted[i]); err != nil {
			return err
		}
	}
	l.syncs++
	return nil
}

func (l *LoadBalancer) deregister(ctx context.Context, b *registered) error {
	field, value := b.selector()
	if err := l.admin(ctx, http.MethodDelete, l.path()+"?"+field+"="+url.QueryEscape(value), nil); err != nil {
		return err
	}
	delete(l.backends, b.key)
	return nil
}

// selector selects the rows of the backend.
func (b *backend) selector() (field, value string) {
	if b.isNode {
		return "serverId", b.key
	}
	return "serverIp", b.key
}

func (l *LoadBalancer) register(ctx context.Context, b backend) error {
	r := &registered{b, make([]*row, len(l.listeners))}
	for i, listener := range l.listeners {
		body := map[string]any{
			"listenerPort": listener.Port, "listenerProtocol": listener.Protocol, "port": b.ports[i], "serverHealthStatus": Unavailable,
		}
		if b.isNode {
			body["serverId"], body["type"] = b.key, "ecs"
		} else {
			body["serverId"], body["serverIp"], body["type"] = "eni-"+strings.ReplaceAll(b.key, ".", "-"), b.key, "eni"
		}
		if err := l.admin(ctx, http.MethodPost, l.path(), body); err != nil {
			return err
		}
		r.rows[i] = &row{health: Unavailable}
		time.AfterFunc(listener.CheckDelay, func() { l.runCheck(r, i) })
	}
	l.backends[b.key] = r
	return nil
}

// runCheck reports the first result for a row, unless its backend was deregistered meanwhile.
func (l *LoadBalancer) runCheck(b *registered, listener int) {
	if l.ctx.Err() != nil {
		return
	}
	defer l.changed()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.backends[b.key] != b {
		return
	}
	b.rows[listener].checked = true
	if err := l.report(b, listener, l.check(b.key)); err != nil && l.ctx.Err() == nil {
		l.failed(err)
	}
}

func (l *LoadBalancer) report(b *registered, listener int, health string) error {
	r := b.rows[listener]
	if r.health == health {
		return nil
	}
	r.health = health
	field, value := b.selector()
	return l.admin(l.ctx, http.MethodPatch, l.path(), map[string]any{
		field: value, "listenerPort": l.listeners[listener].Port, "serverHealthStatus": health,
	})
}

func (l *LoadBalancer) path() string { return "loadbalancers/" + l.ID + "/backends" }
