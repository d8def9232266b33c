// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// addressTimeout is the time within which the simulator must print its address.
const addressTimeout = 90 * time.Second

// Simulator is slb-simulator, and a client of its admin API.
type Simulator struct {
	*Process
	// URL is where it listens, and Config the file that it reads.
	URL, Config string

	client *http.Client
}

// StartSimulator runs the program at path, over HTTPS unless the certificate is nil.
func StartSimulator(ctx context.Context, folder, path string, certificate *Certificate, config string, args ...string) (*Simulator, error) {
	s := &Simulator{Config: filepath.Join(folder, "simulator.yaml"), client: http.DefaultClient}
	if err := os.WriteFile(s.Config, []byte(config), 0o600); err != nil {
		return nil, fmt.Errorf("the simulator's file: %w", err)
	}
	args = append([]string{"--listen=127.0.0.1:0", "--config=" + s.Config}, args...)
	if certificate != nil {
		s.client = certificate.Client(time.Minute)
		args = append(args, "--tls-cert="+certificate.CertFile, "--tls-key="+certificate.KeyFile)
	}
	var err error
	if s.Process, err = Start(ctx, folder, "simulator", []string{"HOME=" + folder}, path, args...); err != nil {
		return nil, err
	}
	err = wait.PollUntilContextTimeout(ctx, 10*time.Millisecond, addressTimeout, true, func(context.Context) (bool, error) {
		content, _ := os.ReadFile(s.Stdout)
		first, _, whole := strings.Cut(string(content), "\n")
		s.URL = strings.TrimPrefix(first, "listening on ")
		return whole, s.Alive()
	})
	if err != nil {
		s.Kill()
		return nil, fmt.Errorf("the simulator does not print where it listens: %w\n%s", err, s.Tail())
	}
	return s, nil
}

// Admin calls the admin API; body and into may be nil.
func (s *Simulator) Admin(ctx context.Context, method, path string, body, into any) (err error) {
	var content []byte
	if body != nil {
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
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	reply, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("the simulator: %w", err)
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("the simulator: %s %s: %s: %s", method, path, response.Status, reply)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(reply, into)
}
