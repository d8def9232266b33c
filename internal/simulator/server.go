// SPDX-License-Identifier: Apache-2.0

// Package simulator is an HTTP server that speaks the RPC protocol of Alibaba Cloud's CLB
// (DescribeHealthStatus, DescribeLoadBalancerListeners), NLB and ALB
// (GetListenerHealthStatus and the actions that list) as the real endpoints do, checks
// signatures, nonces and time, throttles per account, and misbehaves on request.
//
// A test uses it in process:
//
//	sim := simulator.New(simulator.Config{LoadBalancers: []simulator.LoadBalancer{…}}, simulator.Options{})
//	server := httptest.NewServer(sim)
//	defer server.Close()
//	defer sim.Close() // stops calls that hang, which server.Close waits for
package simulator

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options of New. The zero value is usable.
type Options struct {
	// Now is the clock for request times, nonces and throttling; default time.Now. Delays always use
	// real time.
	Now func() time.Time
	// Logger gets one line per call at debug level; default none.
	Logger *slog.Logger
}

// Server is the simulator. All its methods may be called at any time, by several goroutines at once.
type Server struct {
	now func() time.Time
	log *slog.Logger

	keys   keyring
	fleet  fleet
	nlb    *ProductState
	alb    *ProductState
	faults faultList
	nonces *nonceLog
	calls  *callLog
	admin  http.Handler
	// listenersForbidden refuses DescribeLoadBalancerListeners for every account.
	listenersForbidden atomic.Bool

	stopped  chan struct{}
	stopOnce sync.Once
}

// New makes a simulator of a configuration and does not validate it: one not from LoadConfig
// or ParseConfig may be validated with Config.Validate, or have values on purpose that this
// refuses.
func New(cfg Config, opts Options) *Server {
	s := &Server{now: opts.Now, log: opts.Logger, nonces: newNonceLog(maxNonces), calls: newCallLog(), stopped: make(chan struct{})}
	s.nlb, s.alb = newProductState(ProductNLB), newProductState(ProductALB)
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.admin = s.adminHandler()
	s.Load(cfg)
	return s
}

// Load replaces the accounts and the load balancers that an earlier configuration had. Load balancers of
// PutLoadBalancer stay unless cfg has them, too, and so do server groups; faults, used nonces and recorded calls stay.
func (s *Server) Load(cfg Config) {
	s.keys.load(cfg.Accounts)
	s.fleet.load(cfg.LoadBalancers)
	s.nlb.load(cfg.NLB)
	s.alb.load(cfg.ALB)
}

// NLB has the load balancers and server groups of NLB.
func (s *Server) NLB() *ProductState { return s.nlb }

// ALB has those of ALB.
func (s *Server) ALB() *ProductState { return s.alb }

// Close stops the calls that a fault delays or lets hang, now and later. Other calls continue.
func (s *Server) Close() {
	s.stopOnce.Do(func() { close(s.stopped) })
}

// ServeHTTP serves the API at /, the admin API below /admin/ and GET /healthz.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/healthz":
		_, _ = w.Write([]byte("ok\n"))
	case strings.HasPrefix(r.URL.Path, "/admin/"):
		s.admin.ServeHTTP(w, r)
	default:
		s.serveCall(w, r)
	}
}

func (s *Server) serveCall(w http.ResponseWriter, r *http.Request) {
	requestID := newRequestID()
	req, err := parseRequest(r)
	delay, out := s.decide(req, requestID, err)
	call := newCall(req, s.now(), requestID, out)
	s.calls.add(call)
	s.log.DebugContext(r.Context(), "call", "method", call.Method, "product", call.Product, "action", call.Action, "region", call.RegionID, "loadBalancer", call.LoadBalancerID,
		"listenerPort", call.ListenerPort, "outcome", call.Outcome, "fault", call.Fault, "delay", delay, "requestId", requestID)
	s.deliver(w, r, delay, out)
}

// decide decides on a call before the response is sent, so that a test finds it in the report while it still hangs.
func (s *Server) decide(req *request, requestID string, err *apiError) (time.Duration, outcome) {
	refuse := func(err *apiError) outcome {
		return outcome{code: err.code, doc: errorDocument(req, requestID, err)}
	}
	if err != nil {
		return 0, refuse(err)
	}
	caller, err := s.admit(req)
	if err != nil {
		return 0, refuse(err)
	}
	var honest outcome
	if doc, err := req.product.actions[req.action](s, req, caller, requestID); err != nil {
		honest = refuse(err)
	} else {
		honest = outcome{code: "OK", doc: doc}
	}
	delay, fault := s.faults.match(req)
	if fault != nil {
		return delay, distort(req, requestID, honest, fault)
	}
	if delay > 0 {
		honest.fault = FaultDelay
	}
	return delay, honest
}

// PutLoadBalancer adds a load balancer or replaces the one of the same id.
func (s *Server) PutLoadBalancer(lb LoadBalancer) error {
	if err := lb.validate(""); err != nil {
		return err
	}
	s.fleet.put(lb)
	return nil
}

// DeleteLoadBalancer reports whether there was one. One of the file exists again after the next edit of the file.
func (s *Server) DeleteLoadBalancer(id string) bool {
	return s.fleet.remove(id)
}

// LoadBalancers returns all, sorted by id. They are the server's own: read only.
func (s *Server) LoadBalancers() []LoadBalancer {
	return s.fleet.list()
}

// SetBackendStatus gives the backends that sel selects a status (normal, abnormal or unavailable) and returns how many
// these are. An error is ErrNoLoadBalancer, ErrNoBackend (sel is not empty and none matches), or has the bad status.
func (s *Server) SetBackendStatus(loadBalancerID string, sel Selector, status string) (int, error) {
	if !slices.Contains(healthStatuses, status) {
		return 0, fmt.Errorf("serverHealthStatus: %q is not known: write one of %s", status, strings.Join(healthStatuses, ", "))
	}
	return s.fleet.editMatching(loadBalancerID, sel, func(backends []Backend) []Backend {
		for i := range backends {
			if sel.matches(backends[i]) {
				backends[i].ServerHealthStatus = status
			}
		}
		return backends
	})
}

// AddBackend appends one row, and its listener if there is none yet. An error is
// ErrNoLoadBalancer, ErrBackendExists, or has the bad field.
func (s *Server) AddBackend(loadBalancerID string, backend Backend) error {
	if err := backend.validate(""); err != nil {
		return err
	}
	return s.fleet.edit(loadBalancerID, func(lb *LoadBalancer) error {
		if slices.ContainsFunc(lb.Backends, func(known Backend) bool { return known.key() == backend.key() }) {
			return fmt.Errorf("serverId: %w: %q", ErrBackendExists, backend.ServerID)
		}
		lb.Backends = append(lb.Backends, backend)
		return nil
	})
}

// RemoveBackends removes the rows that sel selects and returns how many these were, with the
// errors of SetBackendStatus. Their listeners stay.
func (s *Server) RemoveBackends(loadBalancerID string, sel Selector) (int, error) {
	return s.fleet.editMatching(loadBalancerID, sel, func(backends []Backend) []Backend {
		return slices.DeleteFunc(backends, sel.matches)
	})
}

// SetFaults replaces all rules; none clears them.
func (s *Server) SetFaults(rules []Fault) error {
	for i, rule := range rules {
		if err := rule.validate(fmt.Sprintf("faults[%d].", i)); err != nil {
			return err
		}
	}
	s.faults.set(rules)
	return nil
}

// Faults returns the active rules.
func (s *Server) Faults() []Fault {
	return s.faults.list()
}

// Calls returns the newest calls to the API, at most 10,000, oldest first. A call is in it before its response is sent.
func (s *Server) Calls() []Call {
	return s.calls.report(callFilter{}, maxCalls).Calls
}

// CallCount returns how many calls had this load balancer since the last reset, if it is one of the first 10,000.
func (s *Server) CallCount(loadBalancerID string) int {
	return s.calls.count(loadBalancerID)
}

// ResetCalls drops calls and counts.
func (s *Server) ResetCalls() {
	s.calls.reset()
}
