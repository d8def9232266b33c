// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
)

// printWrites prints the comparison as a Markdown table.
func printWrites(out io.Writer, results []writeResult) {
	fmt.Fprintln(out, "| rows | at once | form | writes/s | p50 ms | p99 ms | body KiB | sent KiB | received KiB | client CPU µs | API server CPU µs |")
	fmt.Fprintln(out, "| ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
	for _, r := range results {
		fmt.Fprintf(out, "| %d | %d | %s | %.0f | %.1f | %.1f | %.1f | %.1f | %.1f | %.0f | %.0f |\n", r.Rows, r.Concurrency, r.Form,
			r.WritesPerSecond, r.P50, r.P99, r.BodyBytes/1024, r.SentBytes/1024, r.ReceivedBytes/1024, r.ClientCPU, r.ServerCPU)
	}
}
