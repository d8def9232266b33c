// SPDX-License-Identifier: Apache-2.0

// Command slb-health-operator reports the health of Alibaba Cloud load balancers
// in the status of LoadBalancerHealth objects.
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

// gcPercent is the default of GOGC.
const gcPercent = 70

// version is set by the linker.
var version = "dev"

func main() {
	options, err := parseOptions(os.Args[1:], os.Stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		exit(2, err)
	}
	setGCPercent()
	logger := zap.New(zap.UseFlagOptions(&options.logging))
	ctrl.SetLogger(logger)
	klog.SetLogger(logger)
	if err = run(ctrl.SetupSignalHandler(), options); err != nil {
		exit(1, err)
	}
}

// setGCPercent lets the heap grow by 70 % between two garbage collections instead
// of 100 %: most of the heap is the cache, which is permanent, and memory is
// scarcer than CPU. GOGC in the environment has precedence.
func setGCPercent() {
	if _, set := os.LookupEnv("GOGC"); !set {
		debug.SetGCPercent(gcPercent)
	}
}

func exit(code int, err error) {
	fmt.Fprintln(os.Stderr, "slb-health-operator:", err)
	os.Exit(code)
}
