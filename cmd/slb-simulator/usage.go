package main

import (
	"flag"
	"fmt"
	"io"
)

const usage = `slb-simulator answers DescribeHealthStatus and DescribeLoadBalancerListeners as Alibaba Cloud SLB does, from a file and
without an account: for tests.

Usage:
  slb-simulator [flags]

Example:
  slb-simulator --listen 127.0.0.1:8888 --config slb.yaml

While it runs, the admin API under /admin/v1 changes backends and listeners and makes calls fail. It asks for no password: listen on
loopback. docs/simulator.md has the file, the admin API and the faults.

Flags:
`

// writeUsage is for two dashes, as everywhere in the docs; flag.PrintDefaults writes one.
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
