// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"fmt"
	"io"
)

const usage = `slb-simulator serves DescribeHealthStatus and DescribeLoadBalancerListeners as Alibaba Cloud SLB (CLB) does, and
GetListenerHealthStatus with the actions that list as NLB and ALB do, from a file and without an account. It is for tests.

Usage:
  slb-simulator [flags]

Example:
  slb-simulator --listen 127.0.0.1:8888 --config slb.yaml

While it runs, the admin API under /admin/v1 changes backends, listeners and server groups, and makes calls fail. It requires no
password: listen on loopback. docs/simulator.md describes the file, the admin API and the faults.

Flags:
`

// writeUsage prints flags with two dashes, as the docs do; flag.PrintDefaults prints one.
func writeUsage(out io.Writer, flags *flag.FlagSet) {
	fmt.Fprint(out, usage)
	flags.VisitAll(func(f *flag.Flag) {
		value, help := flag.UnquoteUsage(f)
		if f.DefValue != "" {
			help += " (default " + f.DefValue + ")"
		}
		fmt.Fprintf(out, "  --%s %s\n        %s\n", f.Name, value, help)
	})
}
