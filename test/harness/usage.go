// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// ClockTick is the unit of CPU time in /proc: 100 to the second on every Linux
// that Go runs on.
const ClockTick = 10 * time.Millisecond

// Usage is what the kernel reports about a process.
type Usage struct {
	CPU  time.Duration // user and system time
	RSS  int64         // bytes
	Peak int64         // bytes
}

// UsageOf reads it from /proc.
func UsageOf(pid int) (Usage, error) {
	folder := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(filepath.Join(folder, "stat"))
	if err != nil {
		return Usage{}, fmt.Errorf("the CPU time of a process: %w", err)
	}
	status, err := os.ReadFile(filepath.Join(folder, "status"))
	if err != nil {
		return Usage{}, fmt.Errorf("the RSS of a process: %w", err)
	}
	return parseUsage(stat, status)
}

// parseUsage reads fields 14 and 15 of stat, counted from the closing bracket of the
// name, which may contain anything, and VmRSS and VmHWM of status.
func parseUsage(stat, status []byte) (Usage, error) {
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return Usage{}, fmt.Errorf("/proc/PID/stat has %d fields after the name", len(fields))
	}
	var u Usage
	for _, field := range fields[11:13] {
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return Usage{}, fmt.Errorf("/proc/PID/stat: %w", err)
		}
		u.CPU += time.Duration(ticks) * ClockTick
	}
	for field := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(field, ":")
		target := map[string]*int64{"VmRSS": &u.RSS, "VmHWM": &u.Peak}[name]
		if target == nil {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			return Usage{}, fmt.Errorf("/proc/PID/status: %w", err)
		}
		*target = kib << 10
	}
	return u, nil
}

// ChildNamed finds a child of this process, such as kube-apiserver, which
// envtest starts without returning its id.
func ChildNamed(name string) (int, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile
		}
		var pid, parent int
		var state rune
		if _, err := fmt.Sscanf(string(stat), "%d ("+name+") %c %d", &pid, &state, &parent); err == nil && parent == os.Getpid() {
			return pid, nil
		}
	}
	return 0, fmt.Errorf("no child process is called %s", name)
}
