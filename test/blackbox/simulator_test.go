// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// simulator is the built simulator, and its admin API.
type simulator struct {
	*harness.Simulator

	faults   sync.Mutex // guards the faults of the admin API
	keys     sync.Mutex // guards accounts and the file
	accounts map[string]account
}

// backend is a row, or a selector of rows, of the admin API.
type backend struct {
	ServerID           string `json:"serverId,omitempty"`
	ServerIP           string `json:"serverIp,omitempty"`
	Type               string `json:"type,omitempty"`
	ListenerPort       int    `json:"listenerPort,omitempty"`
	ListenerProtocol   string `json:"listenerProtocol,omitempty"`
	Port               int    `json:"port,omitempty"`
	ServerHealthStatus string `json:"serverHealthStatus,omitempty"`
}

// call is a call of the SLB API, in the format of the admin API.
type call struct {
	Time         time.Time `json:"time"`
	AccessKeyID  string    `json:"accessKeyId"`
	RequestID    string    `json:"requestId"`
	ListenerPort int       `json:"listenerPort"`
	Outcome      string    `json:"outcome"`
}

// fault is a rule of the admin API.
type fault struct {
	Kind           string `json:"kind"`
	LoadBalancerID string `json:"loadBalancerId,omitempty"`
	AccessKeyID    string `json:"accessKeyId,omitempty"`
	Times          int    `json:"times,omitempty"`
	Delay          string `json:"delay,omitempty"`
	HTTPStatus     int    `json:"httpStatus,omitempty"`
	Code           string `json:"code,omitempty"`
}

// startSimulator starts the simulator with an unused account: with an account it checks signatures.
func startSimulator(t *testing.T, w *env) *simulator {
	t.Helper()
	s := &simulator{accounts: map[string]account{}}
	unused := w.newAccount("unused")
	s.accounts[unused.AccessKeyID] = unused
	var err error
	s.Simulator, err = harness.StartSimulator(w.ctx, t.TempDir(), w.programs.simulator, w.certificate, s.config(t), "--log-level=debug")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Stop()
		if err := s.Failure(); err != nil {
			t.Errorf("the simulator: %v", err)
		}
		if log := readFile(t, s.Stderr); strings.Contains(log, dataRace) {
			t.Errorf("a data race in the simulator:\n%s", log)
		}
	})
	return s
}

// setAccount adds accounts, or replaces those with the same ids.
func (s *simulator) setAccount(t *testing.T, accounts ...account) {
	t.Helper()
	s.keys.Lock()
	defer s.keys.Unlock()
	for _, a := range accounts {
		s.accounts[a.AccessKeyID] = a
	}
	s.reload(t)
}

func (s *simulator) removeAccount(t *testing.T, a account) {
	t.Helper()
	s.keys.Lock()
	defer s.keys.Unlock()
	delete(s.accounts, a.AccessKeyID)
	s.reload(t)
}

// reload writes the accounts, and waits until the simulator has loaded them.
func (s *simulator) reload(t *testing.T) {
	t.Helper()
	loads := func() int {
		return strings.Count(readFile(t, s.Stderr), `"configuration loaded"`)
	}
	before := loads()
	next := s.Config + ".next"
	if err := os.WriteFile(next, []byte(s.config(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, s.Config); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); loads() == before; time.Sleep(pause) {
		if time.Now().After(deadline) {
			t.Fatalf("the simulator does not load its configuration:\n%s", s.Tail())
		}
	}
}

func (s *simulator) config(t *testing.T) string {
	t.Helper()
	var config struct {
		Accounts []account `json:"accounts"`
	}
	for _, a := range s.accounts {
		config.Accounts = append(config.Accounts, a)
	}
	content, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// put creates a load balancer, or replaces it.
func (s *simulator) put(t *testing.T, id string, backends ...backend) {
	t.Helper()
	if backends == nil {
		backends = []backend{}
	}
	s.do(t, http.MethodPut, "loadbalancers/"+id, map[string]any{"regionId": region, "backends": backends}, nil)
}

// set changes the status of a server behind every listener.
func (s *simulator) set(t *testing.T, id, server, status string) {
	t.Helper()
	s.do(t, http.MethodPatch, "loadbalancers/"+id+"/backends", backend{ServerID: server, ServerHealthStatus: status}, nil)
}

func (s *simulator) add(t *testing.T, id string, b backend) {
	t.Helper()
	s.do(t, http.MethodPost, "loadbalancers/"+id+"/backends", b, nil)
}

func (s *simulator) remove(t *testing.T, id, server string) {
	t.Helper()
	s.do(t, http.MethodDelete, "loadbalancers/"+id+"/backends?serverId="+server, nil, nil)
}

func (s *simulator) addFault(t *testing.T, f fault) {
	t.Helper()
	s.faults.Lock()
	defer s.faults.Unlock()
	s.do(t, http.MethodPost, "faults", f, nil)
}

// clearFaults removes the faults of one load balancer.
func (s *simulator) clearFaults(t *testing.T, id string) {
	t.Helper()
	s.faults.Lock()
	defer s.faults.Unlock()
	var faults struct {
		Faults []fault `json:"faults"`
	}
	s.do(t, http.MethodGet, "faults", nil, &faults)
	faults.Faults = slices.DeleteFunc(faults.Faults, func(f fault) bool { return f.LoadBalancerID == id })
	s.do(t, http.MethodPut, "faults", faults, nil)
}

// calls returns the calls about a load balancer, or all calls if the id is empty, oldest first.
func (s *simulator) calls(t *testing.T, id string) []call {
	t.Helper()
	var report struct {
		Calls []call `json:"calls"`
	}
	path := "calls"
	if id != "" {
		path += "?loadBalancerId=" + id
	}
	s.do(t, http.MethodGet, path, nil, &report)
	return report.Calls
}

func (s *simulator) do(t *testing.T, method, path string, in, out any) {
	t.Helper()
	if err := s.Admin(t.Context(), method, path, in, out); err != nil {
		t.Fatal(err)
	}
}
