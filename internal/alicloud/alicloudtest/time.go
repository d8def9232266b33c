// SPDX-License-Identifier: Apache-2.0

package alicloudtest

import (
	"syscall"
	"testing"
	"time"
)

// ProcessorTime is the processor time of this process during do: the load of the
// machine does not count.
func ProcessorTime(t *testing.T, do func()) time.Duration {
	t.Helper()
	used := func() time.Duration {
		var usage syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
			t.Fatal(err)
		}
		return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	before := used()
	do()
	return used() - before
}
