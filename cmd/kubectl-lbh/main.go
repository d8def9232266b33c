// SPDX-License-Identifier: Apache-2.0

// Command kubectl-lbh is the plugin `kubectl lbh`. It shows LoadBalancerHealth
// objects in a terminal, and waits for them in scripts.
//
//	command.go     flags and subcommands
//	client.go      requests to the API server
//	connection.go  whether the API server is reachable, and its clock
//	explain.go     errors of the API server, with a remedy
//	fleet.go       the table: a row for each object, worst first
//	order.go       --sort-by
//	summary.go     --unhealthy, and the line below the table
//	contexts.go    the table of several contexts
//	tree.go        one object with its listeners; backends.go their backends
//	listeners.go   the table of listeners
//	history.go     the last changes of an object's health
//	changes.go     the differences between two states of an object
//	watch.go       the table, live, and the changes; screen.go draws it
//	wait.go        waits until an object is healthy
//	refresh.go     requests an observation, and waits for it
//	gates.go       readiness gates of pods
//	staleness.go   whether a status is current
//	text.go        columns, colours, ages
//	console_*.go   escapes on Windows and elsewhere
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/klog/v2"
)

// exitInterrupted is the exit code after Ctrl-C, as in shells.
const exitInterrupted = 130

// version is set by the linker.
var version = "dev"

func main() {
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, restore)                   // a second Ctrl-C exits at once
	klog.SetSlogLogger(slog.New(slog.DiscardHandler)) // client-go would log into the live view
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	err := newCommand(streams).ExecuteContext(ctx)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		os.Exit(exitInterrupted)
	default:
		var all failures
		if !errors.As(err, &all) {
			all = failures{err}
		}
		for _, one := range all {
			fmt.Fprintln(os.Stderr, "error:", one)
		}
		os.Exit(1)
	}
}
