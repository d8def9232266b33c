// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"fmt"
	"slices"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/lbhealth/slb-health-operator/internal/simulator"
)

const region = "cn-hangzhou"

var ownAccount = simulator.Account{AccessKeyID: "LTAIown", AccessKeySecret: "the-operators-own-secret"}

// fakeCloud is the simulator, with one load balancer and at most one account
// for each spec.
type fakeCloud struct {
	*simulator.Server
	url string

	mu       sync.Mutex
	accounts []simulator.Account
	history  []simulator.Account
}

func newFakeCloud() *fakeCloud {
	c := &fakeCloud{Server: simulator.New(simulator.Config{}, simulator.Options{})}
	c.setAccount(ownAccount)
	return c
}

// setAccount adds an account, or replaces the one with that access key.
func (c *fakeCloud) setAccount(account simulator.Account) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.accounts = slices.DeleteFunc(c.accounts, func(a simulator.Account) bool { return a.AccessKeyID == account.AccessKeyID })
	c.accounts = append(c.accounts, account)
	c.history = append(c.history, account)
	c.Load(simulator.Config{Accounts: c.accounts})
}

// allAccounts returns every account that was ever set.
func (c *fakeCloud) allAccounts() []simulator.Account {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.history)
}

// put creates or replaces a load balancer.
func (c *fakeCloud) put(id string, backends ...simulator.Backend) {
	GinkgoHelper()
	Expect(c.PutLoadBalancer(simulator.LoadBalancer{LoadBalancerID: id, RegionID: region, Backends: backends})).To(Succeed())
}

// setStatus sets the health status of the backends of one server.
func (c *fakeCloud) setStatus(id, serverID, status string) {
	GinkgoHelper()
	_, err := c.SetBackendStatus(id, simulator.Selector{ServerID: serverID}, status)
	Expect(err).NotTo(HaveOccurred())
}

// fail makes the calls for a load balancer fail until restore.
func (c *fakeCloud) fail(id string, fault simulator.Fault) {
	GinkgoHelper()
	c.mu.Lock()
	defer c.mu.Unlock()
	fault.LoadBalancerID = id
	Expect(c.SetFaults(append(c.faultsOfOthers(id), fault))).To(Succeed())
}

func (c *fakeCloud) restore(id string) {
	GinkgoHelper()
	c.mu.Lock()
	defer c.mu.Unlock()
	Expect(c.SetFaults(c.faultsOfOthers(id))).To(Succeed())
}

func (c *fakeCloud) faultsOfOthers(id string) []simulator.Fault {
	return slices.DeleteFunc(c.Faults(), func(f simulator.Fault) bool { return f.LoadBalancerID == id })
}

// callsFor returns the calls for a load balancer, oldest first.
func (c *fakeCloud) callsFor(id string) []simulator.Call {
	return slices.DeleteFunc(c.Calls(), func(call simulator.Call) bool { return call.LoadBalancerID != id })
}

func (c *fakeCloud) lastCall(id string) simulator.Call {
	GinkgoHelper()
	calls := c.callsFor(id)
	Expect(calls).NotTo(BeEmpty())
	return calls[len(calls)-1]
}

// https are n backends of one HTTPS listener: i-1 on 10.0.0.1 and so on.
func https(n int) []simulator.Backend {
	var backends []simulator.Backend
	for i := 1; i <= n; i++ {
		backends = append(backends, simulator.Backend{
			ServerID: fmt.Sprintf("i-%d", i), ServerIP: fmt.Sprintf("10.0.%d.%d", i/250, i%250), Type: "ecs",
			ListenerPort: 443, ListenerProtocol: "https", Port: 8443,
		})
	}
	return backends
}
