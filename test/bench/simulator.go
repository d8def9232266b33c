// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

const (
	accessKeyID     = "LTAI-bench"
	accessKeySecret = "bench-secret"
	// addressWait is how long the simulator may take to say where it listens.
	addressWait = 20 * time.Second
	// keptCalls is how many calls the simulator keeps in detail.
	keptCalls = 10_000
)

// A simulator is slb-simulator, and a client of its admin API.
type simulator struct {
	*process
	url    string
	client *http.Client
}

func startSimulator(ctx context.Context, folder, certificate string) (*simulator, error) {
	key, config := filepath.Join(folder, "key.pem"), filepath.Join(folder, "simulator.yaml")
	if err := writeCertificate(certificate, key); err != nil {
		return nil, err
	}
	account := fmt.Sprintf("accounts: [{accessKeyId: %s, accessKeySecret: %s}]\n", accessKeyID, accessKeySecret)
	if err := os.WriteFile(config, []byte(account), 0o600); err != nil {
		return nil, fmt.Errorf("the simulator's file: %w", err)
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("a pipe to the simulator: %w", err)
	}
	defer func() { _ = reader.Close() }()
	p, err := start(ctx, folder, "simulator", func(c *exec.Cmd) { c.Stdout = writer }, builtProgram("slb-simulator"),
		"--listen", "127.0.0.1:0", "--config", config, "--tls-cert", certificate, "--tls-key", key)
	_ = writer.Close()
	if err != nil {
		return nil, err
	}
	_ = reader.SetReadDeadline(time.Now().Add(addressWait))
	line, err := bufio.NewReader(reader).ReadString('\n')
	address, found := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if err != nil || !found {
		return nil, fmt.Errorf("the simulator does not say where it listens (%q): %w", line, errors.Join(err, p.alive()))
	}
	client, err := trusting(certificate)
	return &simulator{process: p, url: address, client: client}, err
}

func trusting(certificate string) (*http.Client, error) {
	content, err := os.ReadFile(certificate)
	if err != nil {
		return nil, fmt.Errorf("the simulator's certificate: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(content)
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, MaxIdleConnsPerHost: setupConcurrency,
	}}, nil
}

// admin calls the admin API; into may be nil.
func (s *simulator) admin(ctx context.Context, method, path string, body, into any) error {
	var content []byte
	if body != nil {
		var err error
		if content, err = json.Marshal(body); err != nil {
			return err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, s.url+"/admin/v1/"+path, bytes.NewReader(content))
	if err != nil {
		return err
	}
	response, err := s.client.Do(request)
	if err != nil {
		return fmt.Errorf("the simulator: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("the simulator: %w", err)
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("the simulator: %s %s: %s: %s", method, path, response.Status, answer)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}

// put creates or replaces a load balancer whose backends are all normal.
func (s *simulator) put(ctx context.Context, balancer string, rows int) error {
	type backend struct {
		ServerID         string `json:"serverId"`
		ServerIP         string `json:"serverIp"`
		Type             string `json:"type"`
		ListenerPort     int32  `json:"listenerPort"`
		ListenerProtocol string `json:"listenerProtocol"`
		Port             int32  `json:"port"`
	}
	backends := make([]backend, 0, rows)
	for j := range rows {
		r := newRow(balancer, j, metav1.Time{})
		backends = append(backends, backend{r.ServerID, r.ServerIP, r.Type, r.ListenerPort, r.ListenerProtocol, r.Port})
	}
	return s.admin(ctx, http.MethodPut, "loadbalancers/"+balancer, map[string]any{"regionId": region, "backends": backends}, nil)
}

func (s *simulator) remove(ctx context.Context, balancer string) error {
	return s.admin(ctx, http.MethodDelete, "loadbalancers/"+balancer, nil, nil)
}

// set makes the first backend of a load balancer normal or abnormal.
func (s *simulator) set(ctx context.Context, balancer string, abnormal bool) error {
	status := v1alpha1.StatusNormal
	if abnormal {
		status = v1alpha1.StatusAbnormal
	}
	first := newRow(balancer, 0, metav1.Time{}).ServerID
	return s.admin(ctx, http.MethodPatch, "loadbalancers/"+balancer+"/backends", map[string]string{"serverId": first, "serverHealthStatus": status}, nil)
}

// A callReport is what the simulator says of the calls that it got.
type callReport struct {
	Total          int            `json:"total"`
	ByOutcome      map[string]int `json:"byOutcome"`
	ByLoadBalancer map[string]int `json:"byLoadBalancer"`
	Calls          []call         `json:"calls"`
}

type call struct {
	Time           time.Time `json:"time"`
	LoadBalancerID string    `json:"loadBalancerId"`
	RequestID      string    `json:"requestId"`
}

// calls tells how many there were, and the newest in detail.
func (s *simulator) calls(ctx context.Context, newest int) (callReport, error) {
	var report callReport
	err := s.admin(ctx, http.MethodGet, fmt.Sprintf("calls?limit=%d", newest), nil, &report)
	if err == nil && len(report.ByOutcome) > 1 {
		err = fmt.Errorf("the simulator refused calls: %v", report.ByOutcome)
	}
	return report, err
}
