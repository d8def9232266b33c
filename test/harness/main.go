// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// Main is the main function of a program that cleans up after a signal; a second
// Ctrl-C ends it at once.
func Main(name string, run func(context.Context) error) {
	log.SetLogger(logr.Discard()) // libraries stay silent
	klog.SetLogger(logr.Discard())
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, restore)
	err := run(ctx)
	if ctx.Err() != nil && err != nil {
		err = fmt.Errorf("interrupted: %w: %w", context.Cause(ctx), err)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, name+":", err)
		os.Exit(1)
	}
}

// WriteFiles writes the files of a report into a folder, which may be missing.
func WriteFiles(folder string, files map[string][]byte) error {
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return fmt.Errorf("the report: %w", err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o644); err != nil {
			return fmt.Errorf("the report: %w", err)
		}
	}
	return nil
}
