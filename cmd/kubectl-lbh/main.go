// SPDX-License-Identifier: Apache-2.0

// Command kubectl-lbh is `kubectl lbh`: what LoadBalancerHealth objects say, for
// people who look.
//
//	command.go   flags and subcommands
//	client.go    the API server; link.go whether it answers, explain.go what to do if not
//	fleet.go     a row for each object, worst first
//	tree.go      one object: listeners, backends, since when
//	changes.go   what turned between two states of an object
//	watch.go     both, live; screen.go draws it
//	wait.go      until an object is healthy; refresh.go until an answer came
//	fresh.go     whether a status is still current
//	text.go      columns, colours, ages
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/klog/v2"
)

// interruptedStatus is what shells give a program that Ctrl-C ended.
const interruptedStatus = 130

// version is set by the linker.
var version = "dev"

func main() {
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, restore)                   // a second Ctrl-C ends it at once
	klog.SetSlogLogger(slog.New(slog.DiscardHandler)) // client-go would write across the live view
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	err := newCommand(streams).ExecuteContext(ctx)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		os.Exit(interruptedStatus)
	default:
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}
