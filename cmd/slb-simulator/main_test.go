// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"strings"
	"testing"
	"time"
)

func TestInvalidFlagsAreErrors(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // stops a simulator that starts
	defer cancel()
	for _, tc := range []struct {
		args string
		want string
	}{
		{"--colour red", "flag provided but not defined: -colour: see --help"},
		{"extra", `unexpected argument "extra"`},
		{"--log-format yaml", "--log-format: "},
		{"--log-level loud", `--log-level: "loud" is not known: write debug, info, warn or error`},
		{"--listen nowhere", `--listen: "nowhere" is no address: write host:port, such as 127.0.0.1:8888`},
		{"--listen=", `--listen: "" is no address`},
		{"--listen 127.0.0.1:0 --config no-such-file", "--config: "},
		{"--listen 127.0.0.1:0 --tls-cert c.pem", "--tls-key: missing"},
	} {
		t.Run(tc.args, func(t *testing.T) {
			err := run(ctx, strings.Fields(tc.args), io.Discard, io.Discard)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

func TestHelpIsOnStandardOutputAndHasEveryFlag(t *testing.T) {
	var usage, stderr bytes.Buffer
	if err := run(t.Context(), []string{"--help"}, &usage, &stderr); !errors.Is(err, flag.ErrHelp) || stderr.Len() > 0 {
		t.Fatalf("%v, and on standard error %q", err, &stderr)
	}
	for _, part := range []string{
		"slb-simulator serves DescribeHealthStatus", "slb-simulator [flags]", "slb-simulator --listen 127.0.0.1:8888 --config slb.yaml",
		"/admin/v1", "docs/simulator.md", "  --listen host:port\n", "  --config file\n", "  --tls-cert file\n", "  --tls-key file\n",
		"  --log-level level\n", "(default info)", "  --log-format format\n",
	} {
		if !strings.Contains(usage.String(), part) {
			t.Errorf("%q is missing in %s", part, &usage)
		}
	}
}

func TestRunPrintsItsAddressAndStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	stdout := writerFunc(func(text []byte) { // printed once it listens
		if !strings.HasPrefix(string(text), "listening on http://127.0.0.1:") {
			t.Errorf("printed %q", text)
		}
		cancel()
	})
	if err := run(ctx, []string{"--listen", "127.0.0.1:0", "--log-format", "text"}, stdout, io.Discard); err != nil {
		t.Error(err)
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}
