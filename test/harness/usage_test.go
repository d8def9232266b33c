// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"os"
	"runtime"
	"testing"
	"time"
)

func TestParseUsage(t *testing.T) {
	t.Parallel()

	const stat = "42 (a (strange) name) S 1 42 42 0 -1 4194560 100 0 3 0 150 25 0 0 20 0 7 0 1000 1000000 2000\n"
	const status = "Name:\ta\nVmPeak:\t   9 kB\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n"
	got, err := parseUsage([]byte(stat), []byte(status))
	if want := (Usage{CPU: 1750 * time.Millisecond, RSS: 1 << 20, Peak: 2 << 20}); err != nil || got != want {
		t.Errorf("%+v, %v, not %+v", got, err, want)
	}
	if _, err := parseUsage([]byte("42 (a) S 1"), nil); err == nil {
		t.Error("a stat with too few fields is accepted")
	}
}

func TestUsageOfThisProcess(t *testing.T) {
	t.Parallel()

	if runtime.GOOS != "linux" {
		t.Skip("there is /proc on Linux only")
	}
	got, err := UsageOf(os.Getpid())
	if err != nil || got.RSS == 0 || got.Peak < got.RSS {
		t.Errorf("%+v, %v", got, err)
	}
}
