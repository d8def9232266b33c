// SPDX-License-Identifier: Apache-2.0

package main

import (
	"maps"
	"os"
	"sync"
	"time"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// readInterval is between two readings of CPU times during a storm.
const readInterval = 10 * harness.ClockTick

// The processes of a storm, besides etcd and the simulator.
const (
	apiServer = "kube-apiserver"
	writer    = "writer" // the measured program
	bencher   = "bench"  // this program, which watches
)

// A reading is the CPU time that each process has used.
type reading struct {
	at  time.Time
	cpu map[string]time.Duration
}

// A cpuRecorder reads CPU times until it is stopped, because the times at which a
// storm starts and stops are known only afterwards.
type cpuRecorder struct {
	pids     map[string]int
	readings []reading
	stop     func()
}

// startCPURecorder records every process that a storm keeps busy.
func (s *env) startCPURecorder(program *harness.Process) (*cpuRecorder, error) {
	r := &cpuRecorder{pids: map[string]int{writer: program.PID(), bencher: os.Getpid()}}
	for _, name := range []string{"etcd", apiServer, "slb-simulator"} {
		var err error
		if r.pids[name], err = harness.ChildNamed(name); err != nil {
			return nil, err
		}
	}
	stopping, done := make(chan struct{}), make(chan struct{})
	r.stop = sync.OnceFunc(func() {
		close(stopping)
		<-done
	})
	r.read()
	go func() {
		defer close(done)
		ticker := time.NewTicker(readInterval)
		defer ticker.Stop()
		for {
			select {
			case <-stopping:
				return
			case <-ticker.C:
				r.read()
			}
		}
	}()
	return r, nil
}

func (r *cpuRecorder) read() {
	next := reading{at: time.Now(), cpu: map[string]time.Duration{}}
	if n := len(r.readings); n > 0 {
		next.cpu = maps.Clone(r.readings[n-1].cpu)
	}
	for name, pid := range r.pids {
		if u, err := harness.UsageOf(pid); err == nil { // an exited process keeps its last value
			next.cpu[name] = u.CPU
		}
	}
	r.readings = append(r.readings, next)
}

// busyCores is how many cores each process kept busy, from the last reading before
// from to the first after to.
func busyCores(readings []reading, from, to time.Time) map[string]float64 {
	first, last := readings[0], readings[len(readings)-1]
	for _, r := range readings {
		if !r.at.After(from) {
			first = r
		}
		if !r.at.Before(to) {
			last = r
			break
		}
	}
	cores := map[string]float64{}
	for name, cpu := range last.cpu {
		cores[name] = (cpu - first.cpu[name]).Seconds() / last.at.Sub(first.at).Seconds()
	}
	return cores
}
