// SPDX-License-Identifier: Apache-2.0

package rig

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
)

const (
	// addressWait is how long the simulator may take to say where it listens.
	addressWait = 20 * time.Second
	// adminConnections are kept for calls of the admin API at the same time.
	adminConnections = 32
)

// A Simulator is slb-simulator, and a client of its admin API.
type Simulator struct {
	*Process
	// URL is where it listens, and Config the file that it reads.
	URL, Config string

	client *http.Client
}

// StartSimulator runs the program at path over HTTPS. Its certificate is
// written to the file that is named, for others to trust.
func StartSimulator(ctx context.Context, folder, path, certificate, config string) (*Simulator, error) {
	key := filepath.Join(folder, "key.pem")
	if err := WriteCertificate(certificate, key); err != nil {
		return nil, err
	}
	s := &Simulator{Config: filepath.Join(folder, "simulator.yaml")}
	if err := os.WriteFile(s.Config, []byte(config), 0o600); err != nil {
		return nil, fmt.Errorf("the simulator's file: %w", err)
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("a pipe to the simulator: %w", err)
	}
	defer func() { _ = reader.Close() }()
	s.Process, err = Start(ctx, folder, "simulator", func(c *exec.Cmd) { c.Stdout = writer }, path,
		"--listen", "127.0.0.1:0", "--config", s.Config, "--tls-cert", certificate, "--tls-key", key)
	_ = writer.Close()
	if err != nil {
		return nil, err
	}
	_ = reader.SetReadDeadline(time.Now().Add(addressWait))
	line, err := bufio.NewReader(reader).ReadString('\n')
	address, found := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if err != nil || !found {
		return nil, fmt.Errorf("the simulator does not say where it listens (%q): %w", line, errors.Join(err, s.Alive()))
	}
	s.URL = address
	s.client, err = trusting(certificate)
	return s, err
}

func trusting(certificate string) (*http.Client, error) {
	content, err := os.ReadFile(certificate)
	if err != nil {
		return nil, fmt.Errorf("the simulator's certificate: %w", err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(content)
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, MaxIdleConnsPerHost: adminConnections,
	}}, nil
}

// Admin calls the admin API; body and into may be nil.
func (s *Simulator) Admin(ctx context.Context, method, path string, body, into any) error {
	var content []byte
	if body != nil {
		var err error
		if content, err = json.Marshal(body); err != nil {
			return err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, s.URL+"/admin/v1/"+path, bytes.NewReader(content))
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
