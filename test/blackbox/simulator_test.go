// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// simulator is the built simulator, and its admin API.
type simulator struct {
	*process
	url    string
	client *http.Client
	config string

	faults   sync.Mutex // held by whoever edits them
	keys     sync.Mutex // guards accounts and the file
	accounts map[string]account
}

// backend is a row, and a selector of rows, as the admin API spells them.
type backend struct {
	ServerID           string `json:"serverId,omitempty"`
	ServerIP           string `json:"serverIp,omitempty"`
	Type               string `json:"type,omitempty"`
	ListenerPort       int    `json:"listenerPort,omitempty"`
	ListenerProtocol   string `json:"listenerProtocol,omitempty"`
	Port               int    `json:"port,omitempty"`
	ServerHealthStatus string `json:"serverHealthStatus,omitempty"`
}

// call is what the simulator tells of a call.
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

var listening = regexp.MustCompile(`listening on (https://\S+)`)

// startSimulator starts it with an account nobody uses, so that it checks signatures from its first call on.
func startSimulator(t *testing.T, w *world) *simulator {
	t.Helper()
	s := &simulator{client: w.authority.client(), config: filepath.Join(t.TempDir(), "simulator.yaml"), accounts: map[string]account{}}
	unused := w.newAccount("unused")
	s.accounts[unused.AccessKeyID] = unused
	s.writeConfig(t)
	s.process = start(t, t.TempDir(), "simulator", w.programs.simulator, []string{"HOME=" + w.home},
		"--listen=127.0.0.1:0", "--config="+s.config, "--log-level=debug",
		"--tls-cert="+w.authority.certificateFile, "--tls-key="+w.authority.keyFile)
	for deadline := time.Now().Add(patience); s.url == ""; time.Sleep(pause) {
		if !s.running() || time.Now().After(deadline) {
			t.Fatalf("the simulator does not listen:\n%s", s.tail())
		}
		stdout, _ := s.output(t)
		if found := listening.FindStringSubmatch(stdout); found != nil {
			s.url = found[1]
		}
	}
	t.Cleanup(func() {
		s.terminate(t, stopGrace)
		if _, stderr := s.output(t); strings.Contains(stderr, dataRace) {
			t.Errorf("a data race in the simulator:\n%s", stderr)
		}
	})
	return s
}

// setAccount adds an account, or replaces the one of the same id.
func (s *simulator) setAccount(t *testing.T, a account) {
	t.Helper()
	s.keys.Lock()
	defer s.keys.Unlock()
	s.accounts[a.AccessKeyID] = a
	s.reload(t)
}

func (s *simulator) removeAccount(t *testing.T, a account) {
	t.Helper()
	s.keys.Lock()
	defer s.keys.Unlock()
	delete(s.accounts, a.AccessKeyID)
	s.reload(t)
}

// reload returns when the simulator has taken the accounts over.
func (s *simulator) reload(t *testing.T) {
	t.Helper()
	loads := func() int {
		_, log := s.output(t)
		return strings.Count(log, `"configuration loaded"`)
	}
	before := loads()
	s.writeConfig(t)
	for deadline := time.Now().Add(patience); loads() == before; time.Sleep(pause) {
		if time.Now().After(deadline) {
			t.Fatalf("the simulator does not take its configuration over:\n%s", s.tail())
		}
	}
}

func (s *simulator) writeConfig(t *testing.T) {
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
	next := s.config + ".next"
	if err := os.WriteFile(next, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, s.config); err != nil {
		t.Fatal(err)
	}
}

// put makes a load balancer, or replaces it.
func (s *simulator) put(t *testing.T, id string, backends ...backend) {
	t.Helper()
	if backends == nil {
		backends = []backend{}
	}
	s.do(t, http.MethodPut, "loadbalancers/"+id, map[string]any{"regionId": region, "backends": backends}, nil)
}

// set gives the server a status behind every listener.
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

// calls returns the calls that named this load balancer, or any when it is empty, oldest first.
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
	body := io.Reader(http.NoBody)
	if in != nil {
		content, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		body = bytes.NewReader(content)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, s.url+"/admin/v1/"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	response, err := s.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode >= http.StatusMultipleChoices {
		t.Fatalf("%s %s: %v: %d: %s", method, path, err, response.StatusCode, content)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal(content, out); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
}
