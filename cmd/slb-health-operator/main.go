// SPDX-License-Identifier: Apache-2.0

// Command slb-health-operator keeps the status of LoadBalancerHealth objects true.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime/debug"

	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
)

// gcPercent is what GOGC would be.
const gcPercent = 70

// version is set by the linker.
var version = "dev"

func main() {
	options, err := parseOptions(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		exit(2, err)
	}
	collectSooner()
	logger := zap.New(zap.UseFlagOptions(&options.logging))
	ctrl.SetLogger(logger)
	klog.SetLogger(logger)
	if err = run(ctrl.SetupSignalHandler(), options); err != nil {
		exit(1, err)
	}
}

// collectSooner lets the heap grow by two thirds between two garbage collections
// instead of doubling: most of it is the cache, which lives for ever, and there
// is more processor to spare than memory. A GOGC of the environment prevails.
func collectSooner() {
	if _, set := os.LookupEnv("GOGC"); !set {
		debug.SetGCPercent(gcPercent)
	}
}

func exit(code int, err error) {
	fmt.Fprintln(os.Stderr, "slb-health-operator:", err)
	os.Exit(code)
}
