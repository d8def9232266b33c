// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/util/cert"
)

// running starts Run and returns the address from its output, a function that stops it, and its result.
func running(t *testing.T, opts RunOptions) (address string, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	opts.Stdout = writer
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, opts)
		_ = writer.Close()
	}()
	line, err := bufio.NewReader(reader).ReadString('\n')
	if err != nil {
		t.Fatalf("%v: %v", err, <-done)
	}
	stop = func() error {
		cancel()
		return <-done
	}
	t.Cleanup(cancel)
	return strings.TrimPrefix(strings.TrimSpace(line), "listening on "), stop
}

// certificate writes a self-signed pair for 127.0.0.1 and returns a client that trusts it.
func certificate(t *testing.T) (certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	certPEM, keyPEM, err := cert.GenerateSelfSignedCertKey("127.0.0.1", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	writeFile(t, certFile, string(certPEM))
	writeFile(t, keyFile, string(keyPEM))
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return certFile, keyFile, pool
}

func TestRunServesTLSAndStops(t *testing.T) {
	certFile, keyFile, pool := certificate(t)
	address, stop := running(t, RunOptions{Listen: "127.0.0.1:0", TLSCertFile: certFile, TLSKeyFile: keyFile})
	if !strings.HasPrefix(address, "https://127.0.0.1:") {
		t.Fatalf("listens on %q", address)
	}
	client := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: pool}}}
	response, err := client.Do(newRequest(t, http.MethodGet, address+"/healthz", ""))
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.ProtoMajor != 1 {
		t.Errorf("spoke %s", response.Proto)
	}
	old := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11} // #nosec G402 -- to be refused
	if conn, err := tls.Dial("tcp", strings.TrimPrefix(address, "https://"), old); err == nil {
		_ = conn.Close()
		t.Error("TLS 1.1 was accepted")
	}
	client.CloseIdleConnections()
	if err := stop(); err != nil {
		t.Errorf("stopped with %v", err)
	}
}

func TestRunStopsWhileACallHangs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "slb.yaml")
	writeFile(t, file, strings.Replace(contractFile, "accounts:\n- {accessKeyId: LTAIexample, accessKeySecret: example-secret}\n", "", 1))
	address, stop := running(t, RunOptions{Listen: "127.0.0.1:0", ConfigFile: file})
	if status, body := admin(t, address, http.MethodPut, "/admin/v1/faults", `{"faults":[{"kind":"hang"}]}`); status != http.StatusOK {
		t.Fatal(body)
	}
	hung := make(chan error, 1)
	go func() {
		_, err := fetch(t, address+bareCall+"JSON")
		hung <- err
	}()
	for deadline := time.Now().Add(30 * time.Second); ; {
		if _, body := admin(t, address, http.MethodGet, "/admin/v1/calls", ""); strings.Contains(body, `"total":1`) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the call did not arrive within 30s")
		}
	}
	if err := stop(); err != nil {
		t.Errorf("stopped with %v", err)
	}
	if err := <-hung; err == nil {
		t.Error("the call that hung succeeded")
	}
}

func TestRunReloadsItsFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "slb.yaml")
	writeFile(t, file, fileWith("lb-a"))
	address, stop := running(t, RunOptions{Listen: "127.0.0.1:0", ConfigFile: file})
	writeFile(t, file, fileWith("lb-b"))
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(ReloadInterval / 10) {
		if _, body := admin(t, address, http.MethodGet, "/admin/v1/loadbalancers", ""); strings.Contains(body, "lb-b") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the file was not loaded again within 30s")
		}
	}
	if err := stop(); err != nil {
		t.Errorf("stopped with %v", err)
	}
}

func TestRunRefusesOptions(t *testing.T) {
	certFile, keyFile, _ := certificate(t)
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	writeFile(t, bad, "loadBalancer: []")
	broken := filepath.Join(t.TempDir(), "broken.yaml")
	writeFile(t, broken, "loadBalancers: [")
	occupied, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = occupied.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // bounds a run that is not refused
	defer cancel()
	for _, tc := range []struct {
		opts RunOptions
		want string
	}{
		{RunOptions{}, `--listen: "" is no address: write host:port, such as 127.0.0.1:8888`},
		{RunOptions{Listen: "8888"}, `--listen: "8888" is no address: write host:port, such as 127.0.0.1:8888`},
		{RunOptions{Listen: "127.0.0.1:"}, `--listen: "127.0.0.1:" is no address: write host:port`},
		{RunOptions{Listen: "http://127.0.0.1:8888"}, `--listen: "http://127.0.0.1:8888" is no address: write host:port`},
		{RunOptions{Listen: "127.0.0.1:65536"}, `--listen: "127.0.0.1:65536" is no address: write host:port, such as 127.0.0.1:8888, with a port up to 65535`},
		{RunOptions{Listen: occupied.Addr().String()}, "--listen: " + occupied.Addr().String() + " is in use: write another port, or 0 for a free one"},
		{RunOptions{Listen: "127.0.0.1:0", ConfigFile: bad + ".missing"}, "--config: "},
		{RunOptions{Listen: "127.0.0.1:0", ConfigFile: bad}, "--config: " + bad + `: unknown field "loadBalancer"`},
		{RunOptions{Listen: "127.0.0.1:0", ConfigFile: broken}, "--config: " + broken + ": not valid YAML: line 1: "},
		{RunOptions{Listen: "127.0.0.1:0", TLSCertFile: certFile}, "--tls-key: missing"},
		{RunOptions{Listen: "127.0.0.1:0", TLSKeyFile: keyFile}, "--tls-cert: missing"},
		{RunOptions{Listen: "127.0.0.1:0", TLSKeyFile: keyFile, TLSCertFile: bad}, "--tls-cert, --tls-key: "},
	} {
		tc.opts.Stdout = io.Discard
		if err := Run(ctx, tc.opts); err == nil || !strings.HasPrefix(err.Error(), tc.want) {
			t.Errorf("%+v: got %v, want %s", tc.opts, err, tc.want)
		}
	}
}
