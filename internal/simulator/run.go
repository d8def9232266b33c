// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"syscall"
	"time"
)

// stopGrace is how long a stop waits for responses in progress.
const stopGrace = 5 * time.Second

// RunOptions of Run, as the flags of cmd/slb-simulator give them.
type RunOptions struct {
	// Listen is host:port; port 0 is a free one, an empty host every interface.
	Listen string
	// ConfigFile is watched for edits; empty: nothing exists until the admin API creates it.
	ConfigFile string
	// TLSCertFile and TLSKeyFile are PEM files; both or neither.
	TLSCertFile, TLSKeyFile string
	// Logger gets the log; nil: no log.
	Logger *slog.Logger
	// Stdout gets one line with the address once the simulator listens.
	Stdout io.Writer
}

// Run serves until ctx is done, then lets responses in progress finish. An error says which option is wrong.
func Run(ctx context.Context, opts RunOptions) error {
	config, cfg, err := readConfig(opts.ConfigFile)
	if err != nil {
		return fmt.Errorf("--config: %w", err)
	}
	tlsConfig, err := loadTLS(opts.TLSCertFile, opts.TLSKeyFile)
	if err != nil {
		return err
	}
	listener, err := listen(ctx, opts.Listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	scheme := "http"
	if tlsConfig != nil {
		scheme, listener = "https", tls.NewListener(listener, tlsConfig)
	}
	sim := New(cfg, Options{Logger: opts.Logger})
	_, _ = fmt.Fprintf(opts.Stdout, "listening on %s://%s\n", scheme, listener.Addr())

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if opts.ConfigFile != "" {
		go sim.WatchFile(ctx, opts.ConfigFile, config)
	}
	return serve(ctx, sim, listener)
}

// listen refuses an address without a port, which in Go is any port on every interface: the admin API needs no
// password.
func listen(ctx context.Context, address string) (net.Listener, error) {
	_, port, err := net.SplitHostPort(address)
	if _, notPort := strconv.ParseUint(port, 10, 16); err != nil || notPort != nil {
		return nil, fmt.Errorf("%q is no address: write host:port, such as 127.0.0.1:8888, with a port up to 65535", address)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is in use: write another port, or 0 for a free one", address)
	}
	return listener, err
}

func readConfig(path string) ([]byte, Config, error) {
	if path == "" {
		return nil, Config{}, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, Config{}, err
	}
	cfg, err := ParseConfig(data)
	if err != nil {
		return nil, Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return data, cfg, nil
}

// loadTLS offers no HTTP/2, so that a reset or a truncated response closes the connection,
// and not just one stream of it.
func loadTLS(certFile, keyFile string) (*tls.Config, error) {
	switch {
	case certFile == "" && keyFile == "":
		return nil, nil
	case certFile == "":
		return nil, errors.New("--tls-cert: missing: it is needed beside --tls-key")
	case keyFile == "":
		return nil, errors.New("--tls-key: missing: it is needed beside --tls-cert")
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert, --tls-key: %w", err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}, nil
}

func serve(ctx context.Context, sim *Server, listener net.Listener) error {
	server := newHTTPServer(sim)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	sim.Close()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		return server.Close()
	}
	return nil
}

// newHTTPServer bounds the resources of one client. The write timeout is per response; a delay extends it.
func newHTTPServer(sim *Server) *http.Server {
	return &http.Server{
		Handler:           sim,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      writeGrace,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(sim.log.Handler(), slog.LevelWarn),
	}
}
