// SPDX-License-Identifier: Apache-2.0

// Command slb-simulator serves the health of CLB, NLB and ALB instances as Alibaba
// Cloud does, from a file. See docs/simulator.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/lbhealth/slb-health-operator/internal/simulator"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "slb-simulator: "+strings.Join(strings.Fields(err.Error()), " "))
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	opts, err := parseFlags(args, stdout, stderr)
	if err != nil {
		return err
	}
	return simulator.Run(ctx, opts)
}

// parseFlags parses the flags. It prints the usage only with --help, so that the
// error about an invalid flag is short.
func parseFlags(args []string, stdout, stderr io.Writer) (simulator.RunOptions, error) {
	opts := simulator.RunOptions{Stdout: stdout}
	flags := flag.NewFlagSet("slb-simulator", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&opts.Listen, "listen", "127.0.0.1:8888", "`host:port` to listen on; port 0 selects a free port, an empty host every interface")
	flags.StringVar(&opts.ConfigFile, "config", "", "YAML `file` with accounts and load balancers, reloaded when it changes")
	flags.StringVar(&opts.TLSCertFile, "tls-cert", "", "PEM `file` with the certificate chain; without it, plain HTTP")
	flags.StringVar(&opts.TLSKeyFile, "tls-key", "", "PEM `file` with the key of the certificate")
	level := flags.String("log-level", "info", "minimum `level` to log: debug, info, warn or error; debug logs each call")
	format := flags.String("log-format", "json", "`format` of the log on standard error: json or text")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		writeUsage(stdout, flags)
		return opts, err
	case err != nil:
		return opts, fmt.Errorf("%w: see --help", err)
	case flags.NArg() > 0:
		return opts, fmt.Errorf("unexpected argument %q: write flags only, see --help", flags.Arg(0))
	}
	opts.Logger, err = newLogger(stderr, *level, *format)
	return opts, err
}

func newLogger(out io.Writer, level, format string) (*slog.Logger, error) {
	var minimum slog.Level
	if err := minimum.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("--log-level: %q is not known: write debug, info, warn or error", level)
	}
	options := &slog.HandlerOptions{Level: minimum}
	switch format {
	case "json":
		return slog.New(slog.NewJSONHandler(out, options)), nil
	case "text":
		return slog.New(slog.NewTextHandler(out, options)), nil
	default:
		return nil, fmt.Errorf("--log-format: %q is not known: write json or text", format)
	}
}
