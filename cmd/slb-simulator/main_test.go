package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"strings"
	"testing"
)

func TestFlagsThatMakeNoSense(t *testing.T) {
	for _, tc := range []struct {
		args string
		want string
	}{
		{"--colour red", "flag provided but not defined: -colour"},
		{"extra", `unexpected argument "extra"`},
		{"--log-format yaml", "--log-format: "},
		{"--log-level loud", "log-level"},
		{"--listen nowhere", "--listen: "},
		{"--listen 127.0.0.1:0 --config no-such-file", "--config: "},
		{"--listen 127.0.0.1:0 --tls-cert c.pem", "--tls-key: missing"},
	} {
		t.Run(tc.args, func(t *testing.T) {
			err := run(t.Context(), strings.Fields(tc.args), io.Discard, io.Discard)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

func TestHelpNamesEveryFlag(t *testing.T) {
	var usage bytes.Buffer
	if err := run(t.Context(), []string{"--help"}, io.Discard, &usage); !errors.Is(err, flag.ErrHelp) {
		t.Fatal(err)
	}
	for _, name := range []string{"-listen", "-config", "-tls-cert", "-tls-key", "-log-level", "-log-format"} {
		if !strings.Contains(usage.String(), name) {
			t.Errorf("%s is missing in %s", name, &usage)
		}
	}
}

func TestRunPrintsItsAddressAndStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	stdout := writerFunc(func(line []byte) { // the line comes once it listens
		if !strings.HasPrefix(string(line), "listening on http://127.0.0.1:") {
			t.Errorf("printed %q", line)
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
